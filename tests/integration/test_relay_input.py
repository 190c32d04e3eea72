# SPDX-License-Identifier: MIT
"""How chunks get into mflt-relay: every form and source, what is refused, and how it starts and stops."""

import base64
import json
import os
import pty
import re
import resource
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

from integration import endpoint, peers
from integration.peers import Running, wait_for
from tools import BIN, TIMEOUT, environment, run

KEY = "0123456789abcdef0123456789ABCDEF"
# The two payloads of the documentation's page on chunk relays, and its single one.
FIRST = bytes.fromhex("485402a702010301076a5445535453455249414c0a6d746573742d736f667477617265096a312e302e302d746573")
SECOND = bytes.fromhex("802c74066d746573742d686172647761726504a101a1726368756e6b5f746573745f737563636573730131e4")
TOPIC = f"prod/board/TESTSERIAL/memfault/{KEY}/chunk"


def b64(data):
    return base64.b64encode(data).decode()


def framed(chunk):
    return b"\0fp1" + len(chunk).to_bytes(4, "big") + chunk


def lines(*records):
    return "".join((record if isinstance(record, str) else json.dumps(record)) + "\n" for record in records).encode()


FORMS = {
    "frames": framed(FIRST) + framed(SECOND),
    "hex": lines(FIRST.hex(), SECOND.hex()),
    "base64": lines(b64(FIRST), b64(SECOND)),
    "console": f"boot\r\n\x1b[32m[00:01] INF MC:{b64(FIRST)}: MC:{b64(SECOND)}:\x1b[0m\r\nML:xxxx:\r\n".encode(),
    "ndjson": lines({"device": "TESTSERIAL", "chunk": b64(FIRST), "project_key": KEY},
                    {"device": "TESTSERIAL", "chunk": b64(SECOND), "project_key": KEY}),
    "events": lines({"topic": TOPIC, "data": b64(FIRST)}, {"topic": TOPIC, "data": b64(SECOND)}),
    "envelope": lines({"topic": TOPIC, "payload_b64": b64(FIRST)}, {"topic": TOPIC, "payload_b64": b64(SECOND)}),
}
NAMED = {"ndjson", "events", "envelope"}  # bring device and key
HOSTILE = ["..", "/", "#", "%2e", "a\r\nX: y", "nul\0", "x" * 300, "", ".", "?a", "a b", "é"]


class Relay(unittest.TestCase):
    def setUp(self):
        self.scratch = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.spool = self.scratch / "spool"

    def arguments(self, server, *more):
        return ["mflt-relay", "--endpoint", server.url, "--spool", str(self.spool), "--spool-min-free", "0",
                "--backoff-base", "1ms", *more]

    def relay(self, server, data, *more, status=0, key=KEY, **options):
        result = run(*self.arguments(server, *more), stdin=data, env=environment(MEMFAULT_PROJECT_KEY=key), **options)
        self.assertEqual(result.returncode, status, result.stderr)
        return result

    def start(self, server, *more, key=KEY, **options):
        return self.enterContext(Running(*self.arguments(server, *more), env=environment(MEMFAULT_PROJECT_KEY=key), **options))

    def acknowledgements(self, output):
        return [line for line in map(json.loads, output.splitlines()) if "ack" in line]

    def kept(self):
        """What the dead letters hold, as text: the folder is searched, no tool is asked."""
        return b"".join(path.read_bytes() for path in (self.spool / "dead").iterdir() if path.is_file())


class Forms(Relay):
    def check(self, requests):
        for request in requests:
            self.assertEqual(request.path, "/api/v0/chunks/TESTSERIAL")
            self.assertEqual(request.header("Memfault-Project-Key"), KEY)
            self.assertEqual(request.header("Content-Length"), str(len(request.body)))
        self.assertEqual([chunk for request in requests for chunk in request.chunks], [FIRST, SECOND])

    def test_both_payloads_in_every_form_over_tls(self):
        authority = peers.Authority(self.scratch)
        for form, data in FORMS.items():
            for asked in ([], ["--from", form]):
                if form == "base64" and not asked:
                    continue  # never guessed
                with self.subTest(form=form, asked=asked), endpoint.Endpoint(tls=authority.server) as server:
                    device = [] if form in NAMED else ["--device", "TESTSERIAL"]
                    self.relay(server, data, "--cafile", authority.ca, *asked, *device, key=None if form in NAMED else KEY)
                    self.assertEqual(server.requests[0].header("Content-Type").split(";")[0], "multipart/mixed")
                    self.check(server.requests)

    def test_one_chunk_is_one_octet_stream(self):
        for arguments in (["--from", "whole"], ["--batch-chunks", "1"]):
            with endpoint.Endpoint() as server:
                data = FIRST if arguments[0] == "--from" else FORMS["hex"]
                self.relay(server, data, "--device", "TESTSERIAL", *arguments)
                self.assertEqual(server.requests[0].header("Content-Type"), "application/octet-stream")
                self.assertEqual(server.requests[0].body, FIRST)

    def test_files_one_after_the_other_each_in_its_form(self):
        (self.scratch / "first").write_bytes(FORMS["hex"])
        (self.scratch / "second").write_bytes(FORMS["console"])
        with endpoint.Endpoint() as server:
            self.relay(server, framed(b"third"), "--device", "D", self.scratch / "first", self.scratch / "second", "-")
            self.assertEqual(server.chunks("D"), [FIRST, SECOND, FIRST, SECOND, b"third"])
            result = self.relay(server, b"", "--device", "D", self.scratch / "missing", status=66)
            self.assertIn(b"missing", result.stderr)

    def test_a_serial_console_that_goes_and_comes_back(self):
        link = self.scratch / "tty"
        with endpoint.Endpoint() as server:
            relay = self.start(server, "--device", "TESTSERIAL", "--serial", f"{link}@115200")
            wait_for(lambda: "waiting for it" in relay.stderr, "the first look")
            for chunk in (FIRST, SECOND):
                master, slave = pty.openpty()
                link.unlink(missing_ok=True)
                link.symlink_to(os.ttyname(slave))
                os.close(slave)
                wait_for(lambda: relay.stderr.count("there again") == relay.stderr.count("waiting for it"), "the port")
                os.write(master, f"[1] MC:{b64(chunk)}:\r\nMC:half".encode())
                server.wait(lambda: chunk in server.chunks(), "the chunk")
                seen = relay.stderr.count("waiting for it")
                os.close(master)
                wait_for(lambda: relay.stderr.count("waiting for it") > seen, "the end of the port")
            relay.signal(signal.SIGTERM)
            self.assertEqual(relay.finish()[0], -signal.SIGTERM)
            self.check(server.requests)

    def test_a_key_for_each_device(self):
        other = "F" * 32
        (self.scratch / "keys").write_text(f"# comment\nA {other}\n\nB\t{KEY} # too\n")
        with endpoint.Endpoint() as server:
            data = lines(*({"device": device, "chunk": b64(b"x"), "project_key": "9" * 32} for device in "ABC"))
            self.relay(server, data, "--key-map", self.scratch / "keys", key=None)
            self.assertEqual({request.device: request.header("Memfault-Project-Key") for request in server.requests},
                             {"A": other, "B": KEY, "C": "9" * 32})
            for text, message in ((f"A {KEY}\nA {KEY}\n", "line 2: A has a key already"), (f"a/b {KEY}\n", "line 1: "),
                                  ("A short\n", "line 1: ")):
                (self.scratch / "keys").write_text(text)
                result = self.relay(server, b"", "--key-map", self.scratch / "keys", status=78, key=None)
                self.assertIn(message, result.stderr.decode())
                self.assertNotIn("short", result.stderr.decode())

    def test_a_key_file_and_the_credential(self):
        path = self.scratch / "project-key"
        path.write_text(KEY + "\n")
        with endpoint.Endpoint() as server:
            self.relay(server, FORMS["hex"], "--device", "D", "--project-key-file", path, key=None)
            result = run(*self.arguments(server, "--device", "D"), stdin=FORMS["hex"],
                         env=environment(CREDENTIALS_DIRECTORY=str(self.scratch)))
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(len(server.chunks("D")), 4)
        # A configured key does not reach the disk.
        for file in self.spool.rglob("*"):
            if file.is_file():
                self.assertNotIn(KEY.encode(), file.read_bytes(), file)


class Refusals(Relay):
    def test_devices_that_are_none(self):
        with endpoint.Endpoint() as server:
            records = [{"device": device, "chunk": b64(b"hostile"), "project_key": KEY} for device in HOSTILE]
            records.append({"device": "GOOD", "chunk": b64(b"good"), "project_key": KEY})
            result = self.relay(server, lines(*records), "--ack", status=1, key=None)
            answers = self.acknowledgements(result.stdout)
            self.assertEqual([answer["ack"] for answer in answers], list(range(1, len(records) + 1)))
            self.assertEqual({answer.get("error") for answer in answers[:-1]}, {"bad-device-id"})
            self.assertIn("sequence", answers[-1])
            self.assertIn(f"{len(HOSTILE)} records were refused: {len(HOSTILE)} bad-device-id", result.stderr.decode())
            topics = [{"topic": f"prod/b/{device}/memfault/{KEY}/chunk", "data": b64(b"hostile")} for device in HOSTILE
                      if "/" not in device]
            self.relay(server, lines(*topics), "--from", "events", status=1, key=None)
            self.assertEqual([request.path for request in server.requests], ["/api/v0/chunks/GOOD"])
            self.assertEqual(self.kept().count(b"hostile"), len(HOSTILE) + len(topics))
        self.assertTrue(all(re.fullmatch(r"[a-z0-9-]+", path.name) for path in self.spool.rglob("*")), list(self.spool.rglob("*")))
        result = run("mflt-relay", "--device", "../x", stdin=b"")
        self.assertEqual(result.returncode, 64)

    def test_damaged_records_are_refused_and_never_other_bytes(self):
        good = b64(FIRST)
        damaged = [
            ("hex", lines(FIRST.hex(), "080", "0g", "08 02"), 3),
            ("base64", lines(good, good[:-1], "A=A=", good[:8] + "*" + good[9:]), 3),
            ("console", f"MC:{good}:\nMC:{good[:-1]}:\nMC:{good[:7]}\nMC:A===:\n".encode(), None),
            ("ndjson", lines({"device": "D", "chunk": good}, {"device": "D", "chunk": good[:-1]}, {"device": "D"}, '{"device"'), 3),
        ]
        for form, data, refused in damaged:
            with self.subTest(form=form), endpoint.Endpoint() as server:
                result = self.relay(server, data, "--from", form, "--device", "D", "--ack", status=1)
                answers = self.acknowledgements(result.stdout)
                self.assertEqual(server.chunks(), [FIRST])
                self.assertEqual({answer["error"] for answer in answers if "error" in answer}, {"bad-record"})
                if refused:
                    self.assertEqual(sum("error" in answer for answer in answers), refused)

    def test_only_chunks_are_queued_again(self):
        with endpoint.Endpoint() as server:
            # A damaged line of a device, what names no device, and another device than the one that was named.
            self.relay(server, lines("aa", "zz"), "--device", "D", status=1)
            self.relay(server, lines({"device": "..", "chunk": "AAAA"}, {"device": "E", "chunk": "AAAA", "project_key": "x"}),
                       "--device", "D", status=1)
            again = run("fieldpipe-spool", "requeue", "--all", self.spool)
            self.assertEqual((again.returncode, again.stderr.count(b"is no record")), (1, 3), again.stderr)
            self.relay(server, lines({"device": "E", "chunk": b64(b"chunk")}), status=1, key=None)
            self.assertEqual(run("fieldpipe-spool", "requeue", self.spool, "4").returncode, 0)
            self.relay(server, b"")
            self.assertEqual([(request.device, request.chunks) for request in server.requests],
                             [("D", [b"\xaa"]), ("E", [b"chunk"])])

    def test_sizes_at_the_limits(self):
        sizes = {0: "empty", 1: None, 64: None, 65: "oversize", 5000: "oversize"}
        with endpoint.Endpoint() as server:
            data = lines(*({"device": "D", "chunk": b64(bytes(size))} for size in sizes))
            result = self.relay(server, data, "--max-record", "64", "--ack", status=1)
            self.assertEqual([answer.get("error") for answer in self.acknowledgements(result.stdout)], list(sizes.values()))
            self.assertEqual([len(chunk) for chunk in server.chunks()], [1, 64])
            # A length that nothing stands for costs nothing; the frame that has it has no end.
            result = self.relay(server, framed(b"good") + b"\0fp1\xff\xff\xff\xff", "--device", "D", status=65)
            self.assertEqual(server.chunks()[2:], [b"good"])
            self.assertIn(b"1 records were refused: 1 unterminated", result.stderr)

    def test_frames_and_whole_inputs_over_the_limit_are_set_aside_and_the_next_is_taken(self):
        long = b"long" * 5000
        forms = {"frames": (framed(b"one") + framed(long) + framed(b"two"), [b"one", b"two"]), "whole": (long, [])}
        for form, (data, delivered) in forms.items():
            with self.subTest(form=form), endpoint.Endpoint() as server:
                result = self.relay(server, data, "--from", form, "--max-record", "64", "--device", "D", "--ack", status=1)
                self.assertEqual(server.chunks(), delivered)
                self.assertEqual([answer.get("error") for answer in self.acknowledgements(result.stdout)].count("oversize"), 1)
        letters = [json.loads(line) for line in run("fieldpipe-spool", "list", "--dead", self.spool).stdout.splitlines()]
        self.assertEqual([(letter["reason"], letter["length"], letter["kept"]) for letter in letters],
                         [("oversize", len(long), 4096)] * 2)

    def test_half_records_at_the_end(self):
        halves = {"frames": (framed(FIRST) + framed(SECOND)[:-1], 65), "hex": (lines(FIRST.hex()) + SECOND.hex().encode(), 65),
                  "base64": (lines(b64(FIRST)) + b64(SECOND).encode(), 65),
                  "console": (f"MC:{b64(FIRST)}:\nMC:{b64(SECOND)}".encode(), None),
                  "ndjson": (FORMS["ndjson"].rstrip(), 0)}  # JSON tells itself that it is whole
        for form, (data, status) in halves.items():
            with self.subTest(form=form), endpoint.Endpoint() as server:
                result = run(*self.arguments(server, "--from", form, "--device", "TESTSERIAL"), stdin=data,
                             env=environment(MEMFAULT_PROJECT_KEY=KEY))
                if status is not None:
                    self.assertEqual(result.returncode, status, result.stderr)
                self.assertEqual(server.chunks(), [FIRST, SECOND] if status == 0 else [FIRST])

    def test_what_is_no_chunk_at_all_is_told(self):
        with endpoint.Endpoint() as server:
            for data in (b"\x08\x01\xff" * 9, b"[]\n"):
                self.assertIn(b"stdin: text without an MC: record", self.relay(server, data, "--device", "D").stderr)
            self.assertEqual(self.relay(server, b"", "--device", "D").stderr, b"")
            self.assertIn(b"input ends in a frame", self.relay(server, b"\0fp", "--device", "D", status=65).stderr)

    def test_what_is_refused_is_kept_with_one_sync_for_many(self):
        with endpoint.Endpoint() as server:
            trace = self.scratch / "trace"
            result = subprocess.run(["strace", "-f", "-o", trace, "-e", "trace=fdatasync", str(BIN / "mflt-relay"),
                                     *map(str, self.arguments(server, "--ack")[1:])],
                                    input=lines({"device": "..", "chunk": "AAAA"}) * 2000, capture_output=True, timeout=TIMEOUT,
                                    env=environment(MEMFAULT_PROJECT_KEY=KEY, ASAN_OPTIONS="detect_leaks=0"))
            self.assertEqual(result.returncode, 1, result.stderr)
            self.assertEqual(len(self.acknowledgements(result.stdout)), 2000)
            self.assertLess(trace.read_text().count("fdatasync("), 100)

    def test_too_many_devices(self):
        with endpoint.Endpoint([{"status": 503}]) as server:
            data = lines(*({"device": f"D{n}", "chunk": b64(b"x")} for n in range(5)))
            result = self.relay(server, data, "--spool-max-lanes", "3", "--ack", "--drain-timeout", "0", status=75)
            self.assertEqual([answer.get("error") for answer in self.acknowledgements(result.stdout)],
                             [None, None, None, "too-many-devices", "too-many-devices"])

    def test_what_the_call_does_not_say(self):
        with endpoint.Endpoint() as server:
            for data, more, key, message in ((FORMS["hex"], [], KEY, "does not name its device"),
                                             (b"", ["--endpoint", "http://example.com"], KEY, "--endpoint: "),
                                             (b"", ["--dry-run", "--broker", "mqtt://localhost"], KEY, "--dry-run: "),
                                             (b"", ["--serial", "/dev/null", "-"], KEY, "cannot go together"),
                                             (b"", ["--broker", "mqtt://localhost", "--serial", "x"], KEY, "cannot go together")):
                with self.subTest(message):
                    self.assertIn(message, self.relay(server, data, *more, status=64, key=key).stderr.decode())
            self.assertIn(b"no project key", self.relay(server, FORMS["hex"], "--device", "D", status=77, key=None).stderr)
            # Nothing to name: what an earlier run has left goes out.
            self.relay(server, b"", key=None)
            result = self.relay(server, lines({"device": "D", "chunk": b64(b"x")}), "--ack", status=1, key=None)
            self.assertEqual(self.acknowledgements(result.stdout), [{"ack": 1, "error": "no-key"}])
            result = self.relay(server, b"", "--device", "D", key="short", status=77)
            self.assertEqual(result.stderr, b"mflt-relay: project key of 5 characters, a key has 32\n")
            (self.scratch / "keys").write_text("")
            result = self.relay(server, b"", "--key-map", self.scratch / "keys", key="short", status=77)
            self.assertEqual(result.stderr, b"mflt-relay: project key of 5 characters, a key has 32\n")
            self.assertEqual(server.requests, [])


class Life(Relay):
    def test_an_acknowledgement_comes_at_once_and_after_the_sync(self):
        with endpoint.Endpoint([{"status": 503}]) as server:
            relay = self.start(server, "--device", "D", "--ack", "--from", "hex")
            for number in range(1, 4):
                relay.stdin.write(lines(FIRST.hex()))
                relay.stdin.flush()
                line = b""
                while b'"ack"' not in line:
                    line = relay.stdout.readline()
                self.assertEqual(json.loads(line), {"ack": number, "sequence": number})
            relay.signal(signal.SIGKILL)
            relay.process.wait()
        with endpoint.Endpoint() as server:  # another one: the first may have a request left that it has not read
            self.relay(server, b"")
            self.assertEqual(server.chunks(), [FIRST] * 3)

    def test_no_key_is_in_what_the_spool_lists(self):
        with endpoint.Endpoint([{"status": 503, "times": 1}, {"status": 400}]) as server:
            self.relay(server, FORMS["ndjson"], "--drain-timeout", "0s", status=75)
            listed = [run("fieldpipe-spool", "list", str(self.spool)).stdout]
            self.relay(server, FORMS["events"], status=1)
        for command in (["list", "--dead"], ["export"], ["export", "--dead"], ["check"]):
            listed.append(run("fieldpipe-spool", *command, str(self.spool)).stdout)
        self.assertEqual(json.loads(listed[0].splitlines()[0])["lane"], "TESTSERIAL")
        self.assertEqual(json.loads(listed[1].splitlines()[0])["lane"], "TESTSERIAL")
        self.assertNotIn(KEY, b"".join(listed).decode())

    def test_what_remains_goes_out_with_the_next_run(self):
        with endpoint.Endpoint([{"status": 503}]) as server:
            result = self.relay(server, FORMS["hex"], "--device", "D", "--drain-timeout", "0s", status=75)
            self.assertIn("2 chunks remain in the spool", result.stderr.decode())
            server.play([{"status": 403}])
            (self.spool / "pauses").unlink(missing_ok=True)
            result = self.relay(server, b"", "--drain-timeout", "100ms", status=77)
            self.assertIn("their project key is refused", result.stderr.decode())
            server.play([])
            (self.spool / "pauses").unlink(missing_ok=True)
            self.relay(server, b"")
            self.assertEqual(server.chunks(), [FIRST, SECOND])
            self.relay(server, b"")
            self.assertEqual(len(server.chunks()), 2)

    def test_stop_signals(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            with self.subTest(number.name), endpoint.Endpoint([{"hold": "go"}]) as server:
                spool = self.spool = self.scratch / number.name
                relay = self.start(server, "--device", "D", "--from", "hex")
                relay.stdin.write(FORMS["hex"])
                relay.stdin.flush()
                server.wait_requests(1)
                relay.signal(number)
                # The writer of the pipe goes on for a moment; then the answer under way is waited for.
                relay.stdin.write(lines("abcd"))
                relay.stdin.close()
                relay.stdin = None
                server.release("go")
                self.assertEqual(relay.finish()[0], -number)
                self.spool = spool
                self.relay(server, b"")
                self.assertEqual(server.chunks(), [FIRST, SECOND, b"\xab\xcd"])

    def test_a_second_signal_and_the_time_limit(self):
        with endpoint.Endpoint([{"hold": "never"}]) as server:
            for second in (True, False):
                limit = [] if second else ["--stop-timeout", "50ms"]
                relay = self.start(server, "--device", "D", "--from", "hex", *limit)
                relay.stdin.write(lines(FIRST.hex()))
                relay.stdin.flush()
                count = len(server.requests)
                server.wait_requests(count + 1)
                relay.signal(signal.SIGTERM)
                if second:
                    status = Path(f"/proc/{relay.pid}/status")
                    wait_for(lambda: int(re.search(r"SigBlk:\s*(\w+)", status.read_text())[1], 16) & 1 << 14 == 0, "the first signal")
                    relay.signal(signal.SIGTERM)
                self.assertEqual(relay.process.wait(TIMEOUT), -signal.SIGTERM)
            server.play([])
            self.relay(server, b"")
            self.assertEqual(server.chunks()[-2:], [FIRST] * 2)
            server.release("never")

    def test_two_instances(self):
        with endpoint.Endpoint() as server:
            relay = self.start(server, "--device", "D", "--from", "hex", "--ack")
            relay.stdin.write(lines("00"))
            relay.stdin.flush()
            relay.stdout.readline()
            result = self.relay(server, FORMS["hex"], "--device", "D", status=75)
            self.assertIn(f"in use by process {relay.pid}", result.stderr.decode())
            self.assertEqual(relay.finish()[0], 0)
            self.assertEqual(server.chunks(), [b"\0"])

    def test_a_folder_for_others_is_refused(self):
        self.spool.mkdir(mode=0o755)
        self.spool.chmod(0o755)
        with endpoint.Endpoint() as server:
            self.relay(server, b"", status=78)
            self.spool.rmdir()
            self.relay(server, b"")
        for path in [self.spool, *self.spool.rglob("*")]:
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o700 if path.is_dir() else 0o600, path)

    def test_a_reader_that_goes_away(self):
        with endpoint.Endpoint() as server:
            relay = self.start(server, "--device", "D", "--from", "hex", "--ack")
            relay.stdin.write(lines("00"))
            relay.stdin.flush()
            relay.stdout.readline()
            relay.stdout.close()
            self.assertEqual(relay.process.wait(TIMEOUT), -signal.SIGPIPE)

    def test_a_full_disk_drains_and_accepts_again(self):
        disk = self.scratch / "disk"
        disk.mkdir()
        data = lines(*({"device": f"D{n % 10}", "chunk": b64(n.to_bytes(2, "big") + bytes(4000))} for n in range(2500)))  # 10 MB
        in_namespace = ["/usr/bin/unshare", "-rm" if os.geteuid() else "-m", "sh", "-c",
                        'mount -t tmpfs -o size=4m tmpfs "$0" || exit 77; exec "$@"', str(disk)]
        self.spool = disk / "spool"
        with endpoint.Endpoint([{"hold": "go"}]) as server:
            tool, *arguments = self.arguments(server)
            relay = self.enterContext(Running(*in_namespace, str(BIN / tool), *arguments, env=environment(MEMFAULT_PROJECT_KEY=KEY)))
            with open(self.scratch / "data", "wb") as file:
                file.write(data)
            writer = subprocess.Popen(["cat", self.scratch / "data"], stdout=relay.stdin)
            self.addCleanup(writer.wait, TIMEOUT)
            relay.stdin.close()
            relay.stdin = None
            wait_for(lambda: "nothing more is taken in" in relay.stderr or relay.process.poll() is not None, "the full disk")
            # A container or a changed root may allow neither the namespace nor the mount.
            if relay.process.poll() == 77 or "unshare: " in relay.stderr:
                self.skipTest(relay.stderr.strip())
            free = os.statvfs(f"/proc/{relay.pid}/root{disk}")
            self.assertEqual(free.f_blocks * free.f_frsize, 4 << 20)
            self.assertLess(free.f_bavail * free.f_frsize, 1 << 20)
            server.release("go")
            code, _ = relay.finish()
            self.assertEqual(code, 0, relay.stderr)
            for device in range(10):
                self.assertEqual([int.from_bytes(chunk[:2], "big") for chunk in server.chunks(f"D{device}")], list(range(device, 2500, 10)))

    def test_without_descriptors_it_waits_and_goes_on(self):
        data = lines(*((b"%06d" % n + bytes(5000)).hex() for n in range(200)))
        with endpoint.Endpoint() as server:
            refused = server.url
        relay = self.enterContext(Running("mflt-relay", "--endpoint", refused, "--spool", str(self.spool), "--spool-min-free", "0",
                                          "--spool-max-bytes", "4MiB", "--device", "D", "--from", "hex", "--ack", "--backoff-base",
                                          "1h", env=environment(MEMFAULT_PROJECT_KEY=KEY)))
        relay.stdin.write(lines("00"))
        relay.stdin.flush()
        self.assertIn("sequence", json.loads(relay.stdout.readline()))
        wait_for(lambda: "next attempt" in relay.stderr, "the one request")
        before = resource.prlimit(relay.pid, resource.RLIMIT_NOFILE)
        # All below are in use, and more than it polls.
        resource.prlimit(relay.pid, resource.RLIMIT_NOFILE, (8, before[1]))
        # More than it reads ahead.
        writer = threading.Thread(target=lambda: (relay.stdin.write(data), relay.stdin.flush()), daemon=True)
        writer.start()
        wait_for(lambda: "Too many open files: nothing more is taken in" in relay.stderr, "the limit")
        resource.prlimit(relay.pid, resource.RLIMIT_NOFILE, before)
        answers = [json.loads(relay.stdout.readline()) for _ in range(201)]  # and one of the request
        self.assertEqual([answer["ack"] for answer in answers if "sequence" in answer], list(range(2, 202)))
        writer.join(TIMEOUT)
        self.assertEqual(relay.stderr.count("nothing more is taken in"), 1)
        relay.signal(signal.SIGTERM)
        self.assertEqual(relay.finish()[0], -signal.SIGTERM)

    def test_a_full_spool_blocks_and_goes_on(self):
        chunk = os.urandom(30000)
        data = lines(*({"device": f"D{n % 3}", "chunk": b64(n.to_bytes(2, "big") + chunk)} for n in range(40)))
        for policy, status in (("block", 0), ("drop-newest", 1), ("drop-oldest", 1)):
            with self.subTest(policy), endpoint.Endpoint([{"hold": "go"}]) as server:
                self.spool = self.scratch / policy
                relay = self.start(server, "--ack", "--spool-max-bytes", "512KiB", "--on-full", policy, "--batch-bytes", "30000")
                with open(self.scratch / "data", "wb") as file:
                    file.write(data)
                writer = subprocess.Popen(["cat", self.scratch / "data"], stdout=relay.stdin)
                relay.stdin.close()
                relay.stdin = None
                if policy == "block":
                    wait_for(lambda: "the spool is full" in relay.stderr, "the full spool")
                else:
                    writer.wait(TIMEOUT)
                    server.wait_requests(3)
                server.release("go")
                code, out = relay.finish()
                writer.wait(TIMEOUT)
                self.assertEqual(code, status, relay.stderr)
                answers = self.acknowledgements(out)
                self.assertEqual([answer["ack"] for answer in answers], list(range(1, 41)))
                arrived = [int.from_bytes(one[:2], "big") for one in server.chunks()]
                accepted = [answer["ack"] - 1 for answer in answers if "sequence" in answer]
                self.assertLessEqual(set(arrived), set(accepted))
                if policy == "block":
                    self.assertIn("records are taken in again", relay.stderr)
                    self.assertEqual(relay.stderr.count("the spool is full"), 1)
                    self.assertEqual(sorted(arrived), list(range(40)))
                elif policy == "drop-newest":
                    self.assertEqual(sorted(arrived), accepted)
                    self.assertIn("full", {answer.get("error") for answer in answers})
                else:
                    self.assertIn("chunks were dropped", relay.stderr)
                for device in range(3):
                    order = [n for n in arrived if n % 3 == device]
                    self.assertEqual(order, sorted(order))

    def test_dry_run(self):
        with endpoint.Endpoint() as server:
            before = set(self.scratch.iterdir())
            result = run(*self.arguments(server, "--device", "D", "--dry-run"), stdin=FORMS["hex"],
                         env=environment(MEMFAULT_PROJECT_KEY=KEY, TMPDIR=str(self.scratch)))
            self.assertEqual(result.returncode, 0, result.stderr)
            request = json.loads(result.stdout)
            self.assertEqual((request["url"], request["chunks"]), (f"{server.url}/api/v0/chunks/D", 2))
            self.assertNotIn(KEY.encode(), result.stdout)
            self.assertEqual((server.requests, set(self.scratch.iterdir())), ([], before))
            # More than a spool holds.
            data = lines(*({"device": f"D{n % 3}", "chunk": b64(bytes(30000))} for n in range(100)))
            result = run(*self.arguments(server, "--dry-run", "--spool-max-bytes", "512KiB"), stdin=data,
                         env=environment(MEMFAULT_PROJECT_KEY=KEY, TMPDIR=str(self.scratch)))
            self.assertEqual((result.returncode, result.stderr.count(b"remain")), (0, 0), result.stderr)
            self.assertEqual(sum(json.loads(line)["chunks"] for line in result.stdout.splitlines()), 100)
            # More than is held for a reader, which takes it in pieces of any size.
            result = run(*self.arguments(server, "--dry-run", "--device", "D", "--batch-chunks", "1"), stdin=b"0102\n" * 10_000,
                         env=environment(MEMFAULT_PROJECT_KEY=KEY, TMPDIR=str(self.scratch)))
            self.assertEqual((result.returncode, result.stdout.count(b"\n")), (0, 10_000), result.stderr)


class Figures(Relay):
    def test_usr1_metrics_and_the_service_manager(self):
        figures = self.scratch / "metrics"
        name = f"\0fieldpipe-relay-{os.getpid()}"
        manager = self.enterContext(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        manager.bind(name)
        manager.settimeout(TIMEOUT)
        with endpoint.Endpoint() as server:
            variables = environment(MEMFAULT_PROJECT_KEY=KEY, NOTIFY_SOCKET="@" + name[1:], WATCHDOG_USEC="400000")
            relay = self.enterContext(Running(*self.arguments(server, "--from", "hex", "--device", "D", "--ack",
                                                              "--metrics-file", str(figures)), env=variables))
            relay.stdin.write(FORMS["hex"] + b"zz\n")
            relay.stdin.flush()
            server.wait(lambda: len(server.chunks()) == 2, "both chunks")
            heard = [manager.recv(4096) for _ in range(4)]
            while b"WATCHDOG=1" not in heard[1:] or not any(text.startswith(b"STATUS=") for text in heard):
                heard.append(manager.recv(4096))
            self.assertEqual(heard[0], b"READY=1")
            relay.signal(signal.SIGUSR1)
            said = json.loads(wait_for(lambda: re.search(r"^\{.*\}$", relay.stderr, re.M), "figures")[0])
            self.assertEqual((said["received_total"], said["accepted_total"], said["rejected_total"]), (3, 2, {"bad-record": 1}))
            self.assertEqual(relay.finish()[0], 1)
            while manager.recv(4096) != b"STOPPING=1":
                pass
        text = figures.read_text()
        for line in ("mflt_relay_accepted_total 2", "mflt_relay_delivered_total 2", 'mflt_relay_rejected_total{reason="bad-record"} 1',
                     "mflt_relay_queued_records 0"):
            self.assertIn(line + "\n", text)
        self.assertNotIn("device=", text)
        self.assertNotIn(KEY, text)
        self.assertEqual(stat.S_IMODE(figures.stat().st_mode), 0o644)

    def test_a_reader_that_stands_still_holds_up_neither_the_watchdog_nor_signals(self):
        name = f"\0fieldpipe-still-{os.getpid()}"
        manager = self.enterContext(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        manager.bind(name)
        manager.settimeout(TIMEOUT)
        count = 40_000  # answers of more than a pipe, and what is held behind it, take
        with endpoint.Endpoint() as server:
            variables = environment(MEMFAULT_PROJECT_KEY=KEY, NOTIFY_SOCKET="@" + name[1:], WATCHDOG_USEC="100000")
            relay = self.enterContext(Running(*self.arguments(server, "--from", "hex", "--device", "D", "--ack"), env=variables))
            (self.scratch / "data").write_bytes(lines(*(f"{n:08x}" for n in range(count))))
            with open(self.scratch / "data", "rb") as data:
                writer = subprocess.Popen(["cat"], stdin=data, stdout=relay.stdin)
            self.addCleanup(writer.wait, TIMEOUT)
            relay.stdin.close()
            relay.stdin = None

            def held():
                relay.signal(signal.SIGUSR1)
                figures = re.findall(r"^\{.*\}$", relay.stderr, re.M)
                return len(figures) > 2 and figures[-1] and json.loads(figures[-1])["received_total"] == json.loads(figures[-3])["received_total"]

            wait_for(held, "the reader's effect")
            self.assertIsNone(writer.poll())
            for _ in range(5):
                while manager.recv(4096) != b"WATCHDOG=1":
                    pass
            code, out = relay.finish()
            self.assertEqual(code, 0, relay.stderr)
            self.assertEqual([answer["ack"] for answer in self.acknowledgements(out)], list(range(1, count + 1)))
            self.assertEqual(len(server.chunks()), count)

    def test_progress_on_a_terminal(self):
        master, slave = pty.openpty()
        with endpoint.Endpoint() as server:
            result = self.relay(server, FORMS["hex"], "--device", "D", stderr=slave)
        os.close(slave)
        shown = os.read(master, 4096).decode()
        self.assertRegex(shown, r"^\rmflt-relay: \d+ accepted, \d+ delivered, \d+ queued\x1b\[K")
        self.assertTrue(shown.endswith("\r\x1b[K"), repr(shown))
        os.close(master)

    def test_the_unit_is_well_formed(self):
        unit = peers.tools.SOURCE / "systemd/mflt-relay.service"
        text = unit.read_text()
        for word in ("Type=notify", "WatchdogSec=", "StateDirectory=mflt-relay", "DynamicUser=yes", "LoadCredential="):
            self.assertIn(word, text)
        keys = [line.split("=")[0] for line in text.splitlines() if "=" in line and not line.startswith("#")]
        self.assertEqual(len([key for key in keys if keys.count(key) > 1 and key != "SystemCallFilter"]), 0)


if __name__ == "__main__":
    unittest.main()
