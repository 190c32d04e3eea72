# SPDX-License-Identifier: MIT
"""mqtt-pub --spool over outages, kills and refusals, and fieldpipe-spool beside it."""

import json
import os
import signal
import stat
import struct
import tempfile
import unittest
from pathlib import Path

import tools
from integration import peers
from integration.peers import Broker, FakeBroker, Running, Subscriber, wait_for

NOBODY = "mqtt://127.0.0.1:1"
NOW = ("--drain-timeout", "0s")


class SpoolTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="fieldpipe-spool-")
        self.addCleanup(folder.cleanup)
        self.spool = Path(folder.name, "spool")

    def pub(self, url, *arguments, stdin=b"", status=0):
        result = tools.run("mqtt-pub", "--broker", url, "-t", "t", "--spool", self.spool, *arguments, stdin=stdin)
        self.assertEqual(result.returncode, status, result.stderr)
        return result.stderr.decode()

    def running(self, url, *arguments):
        return Running("mqtt-pub", "--broker", url, "-t", "t", "--spool", self.spool, *arguments)

    def look(self, command, *arguments, status=0):
        result = tools.run("fieldpipe-spool", command, self.spool, *arguments)
        self.assertEqual(result.returncode, status, result.stderr)
        return [json.loads(line) for line in result.stdout.splitlines()]

    def queued(self):
        return sum(record["state"] == "queued" for record in self.look("list")) if self.spool.exists() else 0


class Outages(SpoolTest):
    def test_records_are_kept_while_there_is_no_broker_and_sent_by_the_next_run(self):
        self.pub(NOBODY, *NOW, stdin=b"1\n2\n", status=75)
        error = self.pub(NOBODY, *NOW, stdin=b"3\n", status=75)
        self.assertIn("not all is delivered 0s after the end of input; 3 records are kept in the spool", error)
        for path in [self.spool, *self.spool.iterdir()]:
            self.assertEqual(stat.S_IMODE(path.stat().st_mode) & 0o077, 0, path)
        with Broker() as broker, Subscriber(broker, "#") as subscriber:
            self.assertEqual(self.pub(broker.url, stdin=b""), "")
            self.assertEqual(subscriber.payloads(3), [b"1", b"2", b"3"])
        self.assertEqual(self.queued(), 0)

    def test_a_deadline_holds_for_a_spool_as_well(self):
        with self.running(NOBODY, "--deadline", "200ms") as run:  # its input does not end
            self.assertEqual(run.process.wait(peers.TIMEOUT), 75)
        run._collector.join(peers.TIMEOUT)
        self.assertIn("mqtt-pub: the deadline has passed", run.stderr)

    def test_nothing_to_do_needs_no_broker(self):
        self.pub(NOBODY, stdin=b"")

    def test_what_a_message_says_is_decided_when_it_is_accepted(self):
        lines = b'{"topic":"a/1","payload_b64":"AAH/","qos":2,"retain":true}\n{"topic":"a/2","payload":"","properties":{"content_type":"x"}}\n'
        self.pub(NOBODY, *NOW, "--from", "envelope", "-q", "1", "-D", "publish", "user-property", "k", "v", stdin=lines, status=75)
        with Broker() as broker:
            peers.keep_session(broker, "keeper", "#")
            self.pub(broker.url, "-q", "0", "-t", "other")
            found = tools.run("mqtt-sub", "--broker", broker.url, "-i", "keeper", "-c", "-t", "#", "-R", "-C", "2", "--to", "envelope")
            kept = tools.run("mqtt-sub", "--broker", broker.url, "-t", "#", "--retained-only", "-C", "1", "--to", "envelope")
        # A message of QoS 2 takes longer than one of QoS 1.
        first, second = sorted(map(json.loads, found.stdout.splitlines()), key=lambda message: message["topic"])
        self.assertEqual((first["topic"], first["payload_b64"]), ("a/1", "AAH/"))
        self.assertEqual(json.loads(kept.stdout)["topic"], "a/1")
        self.assertEqual((second["topic"], second["payload"], second["qos"], second["retain"]), ("a/2", "", 1, False))
        self.assertEqual(second["properties"], {"content_type": "x", "user_properties": [{"k": "v"}]})

    def test_an_outage_does_not_stop_the_input(self):
        with Broker("persistence true") as broker:
            peers.keep_session(broker, "keeper", "t")
            with self.running(broker.url, "-l") as publisher:
                publisher.stdin.write(b"".join(b"%d\n" % n for n in range(1000)))
                publisher.stdin.flush()
                wait_for(lambda: self.spool.exists() and self.look("check")[0]["delivered"] == 1000, "delivery")
                broker.stop()
                # More than all pipes and windows between here and the broker hold.
                publisher.stdin.write(b"".join(b"%0200d\n" % n for n in range(1000, 6000)))
                publisher.stdin.flush()
                wait_for(lambda: self.queued() == 5000, "5000 records in the spool")
                broker.start()
                status, _ = publisher.finish(b"last\n")
                self.assertEqual(status, 0, publisher.stderr)
            with Subscriber(broker, client_id="keeper", clean=False) as subscriber:
                payloads = subscriber.payloads(6001)
            self.assertEqual([int(payload) for payload in dict.fromkeys(payloads[:-1])], list(range(6000)))
            self.assertEqual(payloads[-1], b"last")

    def test_killed(self):
        with self.running(NOBODY, "-l") as publisher:
            publisher.stdin.write(b"1\n2\n3\n")
            publisher.stdin.flush()
            wait_for(lambda: self.queued() == 3, "three records")
            publisher.signal(signal.SIGKILL)
            self.assertEqual(publisher.finish()[0], -9)
        with Broker() as broker, Subscriber(broker, "#") as subscriber:
            self.pub(broker.url)
            self.assertEqual(subscriber.payloads(3), [b"1", b"2", b"3"])

    def test_stopped_without_a_broker(self):
        with self.running(NOBODY, "-l", "--stop-timeout", "60s") as publisher:
            publisher.stdin.write(b"1\n")
            publisher.stdin.flush()
            wait_for(lambda: self.queued() == 1, "a record")
            publisher.signal(signal.SIGTERM)
            self.assertEqual(publisher.finish()[0], -signal.SIGTERM)
        self.assertIn("1 records are kept", publisher.stderr)

    def test_one_owner(self):
        with self.running(NOBODY, "-l") as publisher:
            wait_for(lambda: self.spool.exists() and list(self.spool.glob("acknowledged-*")), "a spool")
            self.assertIn(f"in use by process {publisher.pid}", self.pub(NOBODY, stdin=b"1\n", status=75))
            for command in ("requeue", "drop"):
                result = tools.run("fieldpipe-spool", command, self.spool, "--all")
                self.assertEqual(result.returncode, 75)
                self.assertIn(f"in use by process {publisher.pid}".encode(), result.stderr)


class Full(SpoolTest):
    LIMIT = ("--spool-max-bytes", "256KiB")
    LINES = b"".join(b"%0500d\n" % n for n in range(2000))

    def test_the_input_waits(self):
        with Broker("persistence true") as broker:
            peers.keep_session(broker, "sub", "t")
            broker.stop()
            with self.running(broker.url, "-l", *self.LIMIT) as publisher:
                os.set_blocking(publisher.stdin.fileno(), False)
                sent = 0
                # The pipe stays full only when nobody reads it any more.
                while not (sent > 200_000 and self.is_full()):
                    sent += self.write_some(publisher, self.LINES[sent:])
                self.assertLess(sent, len(self.LINES))
                broker.start()
                os.set_blocking(publisher.stdin.fileno(), True)
                with Subscriber(broker, "t", client_id="sub", clean=False) as subscriber:
                    status, _ = publisher.finish(self.LINES[sent:])
                    self.assertEqual(status, 0, publisher.stderr)
                    self.assertEqual([int(p) for p in dict.fromkeys(subscriber.payloads(2000))], list(range(2000)))

    def write_some(self, publisher, data):
        try:
            return os.write(publisher.stdin.fileno(), data)
        except BlockingIOError:
            return 0

    def is_full(self):
        before = self.queued()
        return before > 200 and self.queued() == before and sum(p.stat().st_size for p in self.spool.iterdir() if p.is_file()) > 190_000

    def test_the_oldest_are_dropped(self):
        error = self.pub(NOBODY, *NOW, "-l", *self.LIMIT, "--on-full", "drop-oldest", stdin=self.LINES, status=75)
        dropped = int(error.split(" records were dropped")[0].split()[-1])
        queued = self.look("export")
        self.assertEqual(len(queued) + dropped, 2000)
        self.assertGreater(len(queued), 200)
        self.assertEqual(queued[-1]["sequence"], 2000)
        figures = self.look("check")[0]
        self.assertEqual((figures["accepted"], figures["dropped"]), (2000, dropped))

    def test_the_newest_are_dropped(self):
        error = self.pub(NOBODY, *NOW, "-l", *self.LIMIT, "--on-full", "drop-newest", stdin=self.LINES, status=75)
        queued = self.look("export")
        self.assertIn(f"{2000 - len(queued)} records were dropped", error)
        self.assertEqual([r["sequence"] for r in queued], list(range(1, len(queued) + 1)))


def answering(reasons):
    """A broker of MQTT 5 that answers publishes with these reasons in turn, and then takes everything."""
    seen = []

    def script(wire, _):
        wire.accept()
        while packet := wire.read():
            if packet[0] == peers.PUBLISH:
                message = peers.Message(packet[1], packet[2], wire.version)
                wire.acknowledge(message.packet_id, reasons.get(len(seen), 0))
                seen.append(message.payload)

    return FakeBroker(script), seen


class Refusals(SpoolTest):
    def test_for_good(self):
        broker, seen = answering({1: 0x99})
        with broker:
            error = self.pub(broker.url, stdin=b"1\n2\n3\n", status=1)
        self.assertEqual(seen, [b"1", b"2", b"3"])
        self.assertIn("record 2: refused by the broker: payload format invalid (0x99); it is a dead letter now", error)
        letter, = self.look("list", "--dead")
        self.assertEqual((letter["number"], letter["sequence"], letter["lane"], letter["reason"]), (1, 2, "mqtt", "refused"))
        figures = self.look("check")
        self.assertEqual((figures[0]["accepted"], figures[0]["delivered"], figures[0]["dead_lettered"]), (3, 2, 1))
        self.look("requeue", "1", "2", status=1)
        self.assertEqual(self.look("check")[0]["dead_lettered"], 0)
        with Broker() as other, Subscriber(other, "#") as subscriber:
            self.pub(other.url)
            self.assertEqual(subscriber.payloads(1), [b"2"])
        self.assertEqual(self.look("list", "--dead"), [])
        self.assertEqual(self.look("check")[0]["accepted"], 3)

    def test_a_dropped_dead_letter_counts_as_dropped(self):
        broker, _ = answering({0: 0x99, 1: 0x99})
        with broker:
            self.pub(broker.url, stdin=b"1\n2\n3\n", status=1)
        exported = self.look("export", "--dead")
        self.assertEqual([letter["payload_b64"][-4:] for letter in exported], ["AAB0MQ=="[-4:], "AAB0Mg=="[-4:]])
        self.look("drop", "--all")
        figures = self.look("check")[0]
        self.assertEqual((figures["accepted"], figures["delivered"], figures["dead_lettered"], figures["dropped"]), (3, 1, 0, 2))

    def test_for_now(self):
        broker, seen = answering({0: 0x97})
        with broker:
            error = self.pub(broker.url, stdin=b"1\n2\n")
        self.assertEqual(seen, [b"1", b"2", b"1"])
        self.assertIn("record 1: not taken by the broker: quota exceeded (0x97); kept and tried again", error)

    def test_a_denied_topic_costs_nothing(self):
        broker, _ = answering({n: 0x87 for n in range(1000)})
        with broker:
            error = self.pub(broker.url, "--drain-timeout", "300ms", stdin=b"1\n2\n", status=77)
        self.assertIn("2 records are kept in the spool", error)
        self.assertEqual(self.queued(), 2)

    def test_a_topic_that_is_none(self):
        with Broker() as broker, Subscriber(broker, "#") as subscriber:
            error = self.pub(broker.url, "--from", "envelope", stdin=b'{"topic":"a/+","payload":"x"}\n{"topic":"a","payload":"y"}\n', status=1)
            self.assertEqual(subscriber.payloads(1), [b"y"])
        self.assertIn("record 1: 'a/+' is no topic; it is a dead letter now", error)

    def test_a_record_over_which_the_broker_closes(self):
        def script(wire, _):
            wire.accept()
            while packet := wire.read():
                if packet[0] == peers.PUBLISH:
                    message = peers.Message(packet[1], packet[2], wire.version)
                    if message.payload == b"poison":
                        return
                    wire.acknowledge(message.packet_id)

        with FakeBroker(script) as broker:
            error = self.pub(broker.url, "-V", "mqttv311", "-M", "1", stdin=b"1\npoison\n3\n", status=69)
            self.assertIn("record 2: the broker closed the connection 3 times", error)
            self.pub(broker.url, "-V", "mqttv311")
        self.assertEqual([letter["sequence"] for letter in self.look("list", "--dead")], [2])
        self.assertEqual(self.queued(), 0)

    def test_what_came_before_broken_input_is_delivered(self):
        with Broker() as broker, Subscriber(broker, "#") as subscriber:
            frames = b"\0fp1" + struct.pack("!I", 1) + b"1" + b"\0fp1" + struct.pack("!I", 9) + b"cut"
            self.assertIn("stdin", self.pub(broker.url, stdin=frames, status=65))
            self.assertEqual(subscriber.payloads(1), [b"1"])


class FullDisk(SpoolTest):
    def filled(self, *arguments, writes, lines):
        """Publishes `lines` lines; the disk has no room for these writes of records, nor for their repetition."""
        with Broker() as broker, Subscriber(broker, "#") as subscriber:
            result = tools.run("/usr/bin/strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=pwrite64", "-e",
                               f"inject=pwrite64:error=ENOSPC:when={writes}", tools.BIN / "mqtt-pub", "--broker", broker.url, "-t", "t", "-l",
                               "--spool", self.spool, *arguments, stdin=b"".join(b"%d\n" % n for n in range(lines)),
                               env=tools.environment(ASAN_OPTIONS="detect_leaks=0"))
            stored = self.look("check")[-1]["accepted"]
            return result, stored, subscriber.payloads(stored)

    def test_records_in_hand_of_a_commit_that_finds_no_room_are_stored_later(self):
        result, stored, payloads = self.filled(writes="8..9", lines=30_000)
        self.assertEqual((result.returncode, stored), (0, 30_000), result.stderr)
        self.assertEqual(payloads, [b"%d" % n for n in range(30_000)])

    def test_records_that_are_not_stored_are_counted_as_dropped(self):
        for place, (when, writes, lines) in enumerate((("group", "8..9", 30_000), ("always", "20..21", 300))):
            with self.subTest(when):
                self.spool = self.spool.with_name(f"spool{place}")
                result, stored, _ = self.filled("--on-full", "drop-newest", "--fsync", when, writes=writes, lines=lines)
                self.assertEqual(result.returncode, 1)
                self.assertGreater(lines, stored)
                self.assertIn(b"mqtt-pub: %d records were dropped" % (lines - stored), result.stderr)


class Reading(SpoolTest):
    def test_damage_is_found(self):
        self.pub(NOBODY, *NOW, stdin=b"1\n2\n3\n", status=75)
        segment = self.spool / "segment-0000000001"
        data = bytearray(segment.read_bytes())
        data[60] ^= 1
        segment.write_bytes(data)
        damage, figures = self.look("check", status=1)
        self.assertEqual((damage["folder"], damage["segment"], damage["damaged_from"]), ("records", 1, 40))
        self.assertEqual(figures["queued"], 2)
        self.assertEqual([record["sequence"] for record in self.look("list")], [2, 3])
        # Whether that was a record nobody can tell any more, so the next owner says what it has found.
        damaged = damage["damaged_to"] - damage["damaged_from"]
        error = self.pub(NOBODY, *NOW, stdin=b"", status=75)
        self.assertIn(f"mqtt-pub: spool: {self.spool}: {damaged} damaged bytes, a copy is in quarantine/\n", error)

    def test_damage_while_records_wait_is_counted_and_told(self):
        with Broker() as broker:
            broker.stop()
            with self.running(broker.url) as run:
                run.stdin.write(b"1\n2\n3\n")
                run.stdin.flush()
                wait_for(lambda: self.queued() == 3, "three records")
                with open(self.spool / "segment-0000000001", "r+b") as segment:
                    segment.seek(110)
                    byte, = segment.read(1)
                    segment.seek(110)
                    segment.write(bytes([byte ^ 1]))
                broker.start()
                self.assertEqual(run.finish()[0], 1)
                self.assertIn("mqtt-pub: 1 records were damaged on the disk\n", run.stderr)
        figures = self.look("check", status=1)[-1]
        self.assertEqual((figures["accepted"], figures["delivered"], figures["damaged"]), (3, 2, 1))
        with Broker() as broker:
            self.pub(broker.url, stdin=b"")  # what an earlier run has found does not make this one fail

    def test_a_folder_that_is_not_there(self):
        for command in ("list", "check", "export", "requeue", "drop"):
            arguments = ["--all"] if command in ("requeue", "drop") else []
            self.look(command, *arguments, status=66)
        self.assertFalse(self.spool.exists())

    def test_a_large_listing_streams(self):
        self.pub(NOBODY, *NOW, "-l", stdin=b"".join(b"%d\n" % n for n in range(20000)), status=75)
        self.assertEqual([record["sequence"] for record in self.look("list")], list(range(1, 20001)))
        result = tools.run("/bin/bash", "-c", f"{tools.BIN}/fieldpipe-spool list {self.spool} | head -n 1; exit ${{PIPESTATUS[0]}}")
        self.assertEqual(result.returncode, 128 + signal.SIGPIPE)


if __name__ == "__main__":
    unittest.main()
