# SPDX-License-Identifier: MIT
"""mflt-relay between a broker and the endpoint: what is acknowledged is on the disk, and nothing acknowledged is lost.

With FIELDPIPE_PROVE the runs are as long as they are meant to be, otherwise a tenth of that.
"""

import collections
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

from integration import endpoint, peers
from integration.peers import Broker, Running, wait_for
from tools import BIN, TIMEOUT, environment, run

PROVE = bool(os.environ.get("FIELDPIPE_PROVE"))
KEY = "0123456789abcdef0123456789ABCDEF"
DURABLE = ["persistence true", "autosave_interval 1", "autosave_on_changes true", "max_queued_messages 0", "max_inflight_messages 100"]


def topic(device):
    return f"prod/board/{device}/memfault/{KEY}/chunk"


def envelopes(records):
    return b"".join(json.dumps({"topic": topic(device), "payload": payload}).encode() + b"\n" for device, payload in records)


class Relay(unittest.TestCase):
    def setUp(self):
        self.scratch = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def command(self, broker, server, *more):
        return ["mflt-relay", "--broker", broker.url, "--endpoint", server.url, "--spool", str(self.scratch / "spool"), "--id", "relay",
                "--backoff-base", "1ms", "--verbose", "--ack", *more]

    def start(self, broker, server, *more, trace=()):
        """A relay that has subscribed."""
        relay = Running(*trace, *self.command(broker, server, *more)) if not trace else Running(
            *trace, str(BIN / "mflt-relay"), *self.command(broker, server, *more)[1:])
        self.enterContext(relay)
        self.lines = []
        collector = threading.Thread(target=lambda: self.lines.extend(relay.stdout), daemon=True)
        collector.start()
        relay.collector = collector
        self.subscribed(relay)
        return relay

    def subscribed(self, relay, times=1):
        wait_for(lambda: relay.stderr.count("subscribed to") >= times or relay.process.poll() is not None, "the subscription")
        self.assertIsNone(relay.process.poll(), relay.stderr)

    def stop(self, relay, number=signal.SIGTERM):
        relay.signal(number)
        relay.process.wait(TIMEOUT)
        relay.collector.join(TIMEOUT)
        self.assertEqual(relay.process.returncode, -number, relay.stderr)

    def publish(self, broker, records):
        result = run("mqtt-pub", "--broker", broker.url, "--from", "envelope", "-q", "1", stdin=envelopes(records))
        self.assertEqual(result.returncode, 0, result.stderr)

    def arrived(self, server):
        """The payloads of each device in order, repeats left out; a repeated run is no disorder."""
        found = collections.defaultdict(list)
        for request in list(server.requests):
            for chunk in request.chunks:
                if chunk.decode() not in found[request.device]:
                    found[request.device].append(chunk.decode())
        return found


class Subscription(Relay):
    def test_chunks_from_topics(self):
        with Broker() as broker, endpoint.Endpoint() as server:
            retained = json.dumps({"topic": topic("OLD"), "payload": "retained", "retain": True}).encode()
            run("mqtt-pub", "--broker", broker.url, "--from", "envelope", stdin=retained)
            relay = self.start(broker, server, "--metrics-file", str(self.scratch / "metrics"))
            self.publish(broker, [("A", "one"), ("B", "two"), ("A", "three")])
            run("mqtt-pub", "--broker", broker.url, "-t", topic("C"), "-m", "unprotected", "-q", "0")
            # Nothing of these is a device, a key or a chunk; each is answered, so that it does not come again.
            for hostile in ("prod/board/../memfault/K/chunk", "prod/board//memfault/K/chunk", "prod/board/%2e/memfault/K/chunk",
                            "prod/board/a b/memfault/K/chunk", topic("x" * 300), topic("A").replace(KEY, "short")):
                run("mqtt-pub", "--broker", broker.url, "-t", hostile, "-m", "hostile", "-q", "1")
            run("mqtt-pub", "--broker", broker.url, "-t", topic("A"), "-n", "-q", "1")
            server.wait(lambda: len(server.chunks()) == 4, "the chunks")
            wait_for(lambda: sum(b"ack" in line for line in self.lines) == 11, "the answers")
            self.stop(relay)
            self.assertEqual({request.header("Memfault-Project-Key") for request in server.requests}, {KEY})
            self.assertEqual(self.arrived(server), {"A": ["one", "three"], "B": ["two"], "C": ["unprotected"]})
            errors = [answer["error"] for answer in map(json.loads, self.lines) if "error" in answer and "ack" in answer]
            self.assertEqual(collections.Counter(errors), {"bad-device-id": 5, "bad-key": 1, "empty": 1})
            figures = (self.scratch / "metrics").read_text()
            self.assertIn("mflt_relay_mqtt_unprotected_total 1\n", figures)
            self.assertIn("mflt_relay_mqtt_retained_ignored_total 1\n", figures)
            self.assertNotIn(KEY, relay.stderr)
            # They were all acknowledged: a later run gets none again.
            relay = self.start(broker, server)
            self.publish(broker, [("A", "last")])
            server.wait(lambda: b"last" in server.chunks(), "the last chunk")
            self.stop(relay)
            self.assertEqual([json.loads(line)["ack"] for line in self.lines if b"ack" in line], [1])

    def test_the_documented_filter_and_a_topic_without_key(self):
        with Broker() as broker, endpoint.Endpoint() as server:
            relay = self.start(broker, server, "--topic", "prod/+/+/memfault/#")
            self.publish(broker, [("A", "one")])
            server.wait(lambda: server.chunks("A"), "the chunk")
            self.stop(relay)
            (self.scratch / "key").write_text(KEY)
            relay = self.start(broker, server, "--topic", "fleet/{device}", "--project-key-file", str(self.scratch / "key"))
            run("mqtt-pub", "--broker", broker.url, "-t", "fleet/B", "-m", "two", "-q", "1")
            server.wait(lambda: server.chunks("B"), "the chunk")
            self.stop(relay)
            self.assertEqual(server.requests[-1].header("Memfault-Project-Key"), KEY)
            result = run(*self.command(broker, server, "--topic", "fleet/{device}"))
            self.assertEqual(result.returncode, 77, result.stderr)

    def test_a_relay_that_starts_before_its_broker(self):
        broker = Broker()
        with endpoint.Endpoint() as server:
            with broker:
                pass
            broker.folder.mkdir(exist_ok=True)
            relay = self.enterContext(Running(*self.command(broker, server)))
            wait_for(lambda: "cannot connect" in relay.stderr, "the first attempt")
            with broker:
                self.subscribed(relay)
            relay.signal(signal.SIGTERM)
            self.assertEqual(relay.finish()[0], -signal.SIGTERM)

    def test_two_relays_with_one_id_are_told_so(self):
        with Broker() as broker, endpoint.Endpoint() as server:
            relays = [self.enterContext(Running(*self.command(broker, server, "--id", "same", "--spool", self.scratch / name)))
                      for name in ("one", "other")]
            wait_for(lambda: any("another client may have the id 'same'" in relay.stderr for relay in relays), "the notice")
            for relay in relays:
                relay.signal(signal.SIGTERM)
                relay.finish()

    def test_a_subscription_that_is_not_granted(self):
        for granted, message in ((0, "the broker grants QoS 0, not 1"), (0x80, "subscribing to")):
            def script(wire, _, granted=granted):
                wire.accept()
                wire.grant(granted)
                wire.read()

            with peers.FakeBroker(script) as broker, endpoint.Endpoint() as server:
                relay = self.enterContext(Running(*self.command(broker, server)))
                self.assertEqual(relay.finish()[0], 69, relay.stderr)
                self.assertIn(message, relay.stderr)

    def test_a_broker_that_refuses_is_asked_again_after_longer_and_longer_pauses(self):
        subscribed = threading.Event()

        def script(wire, number):
            wire.accept(0x87 if number < 5 else 0)
            if number == 5:
                wire.grant()
                subscribed.set()

        with peers.FakeBroker(script) as broker, endpoint.Endpoint() as server:
            relay = self.enterContext(Running(*self.command(broker, server)))
            wait_for(subscribed.is_set, "the subscription")
            relay.signal(signal.SIGTERM)
            relay.finish()
            pauses = [float(pause) for pause in re.findall(r"trying again in (\d+)ms", relay.stderr)][:4]
            self.assertEqual(len(pauses), 4, relay.stderr)
            for number, pause in enumerate(pauses):  # of a base of a thousandth
                self.assertTrue(10 <= pause <= 30 * 2**number + 1, pauses)

    def test_a_trace_shows_no_key(self):
        with Broker(*DURABLE) as broker, endpoint.Endpoint() as server:
            relay = self.start(broker, server, "--debug")
            self.publish(broker, [("D", "one")])
            server.wait(lambda: server.chunks("D"), "the chunk")
            self.stop(relay)
            self.assertIn("memfault/" + "*" * 32 + "/chunk", relay.stderr)
            self.assertNotIn(KEY, relay.stderr)

    def test_the_first_connection_comes_after_a_time_of_chance(self):
        connected = []

        def script(wire, number):
            connected.append(number)
            wire.accept()
            wire.grant()
            wire.read()

        with peers.FakeBroker(script) as broker, endpoint.Endpoint() as server:
            for splay, expected in (("24h", []), ("200ms", [1])):
                figures = self.scratch / splay
                relay = self.enterContext(Running(*self.command(broker, server, "--startup-splay", splay, "--metrics-file", str(figures))))
                if expected:
                    self.subscribed(relay)
                wait_for(figures.exists, "figures")
                self.assertEqual(connected, expected)
                relay.signal(signal.SIGTERM)
                relay.finish()

    def test_a_connection_that_never_lasts_is_told_three_times(self):
        connected = []

        def script(wire, number):
            wire.accept()
            wire.grant()
            connected.append(number)

        with peers.FakeBroker(script) as broker, endpoint.Endpoint() as server:
            relay = self.enterContext(Running(*self.command(broker, server)))
            wait_for(lambda: len(connected) >= 5, "the connections")
            relay.signal(signal.SIGTERM)
            relay.finish()
            self.assertEqual(relay.stderr.count("connection lost"), 3, relay.stderr)
            self.assertEqual(relay.stderr.count("another client may have the id 'relay'"), 1, relay.stderr)

    def test_a_full_spool_stops_the_acknowledgements(self):
        with Broker(*DURABLE) as broker, endpoint.Endpoint([{"hold": "go"}]) as server:
            relay = self.start(broker, server, "--spool-max-bytes", "512KiB", "--spool-min-free", "0", "--batch-bytes", "20000")
            records = [(f"D{n % 3}", f"{n:04}" + "x" * 20000) for n in range(60)]
            self.publish(broker, records)
            wait_for(lambda: "the spool is full" in relay.stderr, "the full spool")
            server.release("go")
            server.wait(lambda: len(set(server.chunks())) == len(records), "all chunks")
            self.stop(relay)
            for device, payloads in self.arrived(server).items():
                self.assertEqual(payloads, [payload for to, payload in records if to == device])

    def test_a_disk_that_fails_acknowledges_nothing(self):
        with Broker(*DURABLE) as broker, endpoint.Endpoint() as server:
            def traced(*how):
                return self.enterContext(Running("/usr/bin/env", "ASAN_OPTIONS=detect_leaks=0", "strace", "-f", *how, str(BIN / "mflt-relay"),
                                                 *self.command(broker, server)[1:]))

            # As many syncs as a run makes that takes nothing in; the next one is that of the record.
            self.stop(self.start(broker, server))
            trace = self.scratch / "trace"
            relay = traced("-o", str(trace), "-e", "trace=fdatasync")
            self.subscribed(relay)
            os.kill(int(Path(f"/proc/{relay.pid}/task/{relay.pid}/children").read_text().split()[0]), signal.SIGTERM)
            relay.process.wait(TIMEOUT)
            before = trace.read_text().count("fdatasync(")
            relay = traced("-o", "/dev/null", "-e", "trace=fdatasync", "-e", f"inject=fdatasync:error=EIO:when={before + 1}+")
            self.subscribed(relay)
            self.publish(broker, [("A", "one")])
            self.assertEqual(relay.process.wait(TIMEOUT), 74)
            self.assertEqual(server.chunks(), [])
            relay = self.start(broker, server)
            server.wait(lambda: server.chunks() == [b"one"], "the chunk, again from the broker")
            self.stop(relay)


class AcknowledgedAfterTheDisk(Relay):
    CALLS = "fdatasync,pwrite64,sendto,write,writev,sendmsg"

    def test_from_a_trace(self):
        """Each PUBACK on the socket comes after an fdatasync that follows the write of its record."""
        count = 10_000 if PROVE else 1_000
        with Broker(*DURABLE) as broker, endpoint.Endpoint([{"status": 503}]) as server:
            trace = self.scratch / "trace"
            relay = self.start(broker, server, trace=("/usr/bin/env", "ASAN_OPTIONS=detect_leaks=0", "strace", "-f", "-yy", "-o", str(trace), "-xx",
                                                      "-s", "100000000", "-e", f"trace={self.CALLS}"))
            self.publish(broker, [(f"D{n % 7}", f"payload-{n:06}-") for n in range(count)])
            wait_for(lambda: sum(b'"ack"' in line for line in self.lines) >= count, "the answers")
            child = Path(f"/proc/{relay.pid}/task/{relay.pid}/children").read_text().split()[0]
            os.kill(int(child), signal.SIGTERM)
            relay.process.wait(TIMEOUT)
            acknowledged, stored = self.replay(trace, broker.port)
        self.assertEqual((acknowledged, stored), (count, count))

    def replay(self, trace, port):
        """How many PUBACKs were written, and records synced; raises where an acknowledgement is early."""
        written = synced = acknowledged = 0
        for line in trace.read_text().splitlines():
            call = re.match(r"\d+ +(\w+)\((\d+)<(.*?)>(?:, |\))", line)
            if not call or "= -1" in line[-60:]:
                continue
            name, target = call[1], call[3]
            data = b"".join(bytes.fromhex(text.replace("\\x", "")) for text in re.findall(r'"((?:\\x[0-9a-f]{2})*)"', line))
            if name == "pwrite64":
                written += len(re.findall(rb"payload-\d{6}-", data))
            elif name == "fdatasync":
                synced = written
            elif f":{port}" in target and data[:1] == b"\x40":
                acknowledged += 1
                if acknowledged > synced:
                    raise AssertionError(f"PUBACK {acknowledged} after {synced} records were synced, {written} written")
        return acknowledged, synced

    def test_the_replay_notices_an_early_acknowledgement(self):
        write = '1 pwrite64(9</spool/segment-1>, "%s", 15, 0) = 15' % "".join(f"\\x{byte:02x}" for byte in b"payload-000001-")
        sync, puback = "1 fdatasync(9</spool/segment-1>) = 0", '1 sendto(5<TCP:[1:2->127.0.0.1:1883]>, "\\x40\\x02\\x00\\x01", 4, 0, NULL, 0) = 4'
        path = self.scratch / "trace"
        path.write_text("\n".join((write, sync, puback)))
        self.assertEqual(self.replay(path, 1883), (1, 1))
        path.write_text("\n".join((write, puback, sync)))
        with self.assertRaises(AssertionError):
            self.replay(path, 1883)


class BrokenBrokers(Relay):
    def load(self, broker, server, restarts, per_round, number):
        """Publishes while the broker is restarted; returns what the publisher was told that the broker has."""
        sent = []
        for at in range(restarts):
            records = [(f"D{n % 5}", f"{at:03}-{n:05}") for n in range(per_round)]
            publisher = subprocess.Popen([BIN / "mqtt-pub", "--broker", broker.url, "--from", "envelope", "-q", "1"], stdin=subprocess.PIPE,
                                         stderr=subprocess.PIPE, env=environment())
            publisher.stdin.write(envelopes(records[:per_round // 2]))
            publisher.stdin.flush()
            server.wait(lambda: f"{at:03}-00000".encode() in server.chunks(), "the first chunk of this round")
            broker.stop(number)
            broker.start()
            _, stderr = publisher.communicate(envelopes(records[per_round // 2:]), TIMEOUT)
            self.assertEqual(publisher.returncode, 0, stderr)
            sent += records
        return sent

    def acknowledged(self, number):
        restarts, per_round = (20, 500) if PROVE else (1, 200)
        with Broker(*DURABLE) as broker, endpoint.Endpoint() as server:
            relay = self.start(broker, server)
            sent = self.load(broker, server, restarts, per_round, number)
            self.publish(broker, [("LAST", "last")])
            server.wait(lambda: b"last" in server.chunks(), "the last chunk")
            self.stop(relay)
            # Each device is delivered by itself: when the last chunk is there, some of other devices may be in the spool.
            rest = run("mflt-relay", "--from", "ndjson", "--endpoint", server.url, "--spool", str(self.scratch / "spool"), stdin=b"")
            self.assertEqual((rest.returncode, rest.stderr), (0, b""))
            accepted = sum(b'"sequence"' in line for line in self.lines)
            delivered = sum(len(request.chunks) for request in server.requests if request.status == 202)
            return sent, self.arrived(server), accepted, delivered

    def test_restarts_under_load_lose_nothing(self):
        sent, arrived, _, _ = self.acknowledged(signal.SIGTERM)
        for device in {device for device, _ in sent}:
            self.assertEqual(sorted(arrived[device]), sorted(payload for to, payload in sent if to == device))

    def test_a_killed_broker_loses_nothing_that_was_acknowledged(self):
        # What the broker had not written down is its own loss; what the relay accepted is delivered, all of it.
        _, _, accepted, delivered = self.acknowledged(signal.SIGKILL)
        self.assertEqual(accepted, delivered)

    def test_a_killed_relay_loses_nothing(self):
        kills, per_round = (20, 500) if PROVE else (2, 200)
        sent = []
        with Broker(*DURABLE) as broker, endpoint.Endpoint() as server:
            for at in range(kills):
                relay = self.start(broker, server)
                records = [(f"D{n % 5}", f"{at:03}-{n:05}") for n in range(per_round)]
                publisher = threading.Thread(target=self.publish, args=(broker, records))
                publisher.start()
                wait_for(lambda: self.lines, "a chunk")
                relay.signal(signal.SIGKILL)
                relay.process.wait(TIMEOUT)
                publisher.join(TIMEOUT)
                sent += records
            relay = self.start(broker, server)
            self.publish(broker, [("LAST", "last")])
            server.wait(lambda: b"last" in server.chunks(), "the last chunk")
            self.stop(relay)
            for device, payloads in self.arrived(server).items():
                if device != "LAST":
                    self.assertEqual(payloads, [payload for to, payload in sent if to == device])


if __name__ == "__main__":
    unittest.main()
