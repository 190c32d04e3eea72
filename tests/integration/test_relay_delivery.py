# SPDX-License-Identifier: MIT
"""What mflt-relay does with each answer: requests, waits, who waits, what the spool holds afterwards, and the status."""

import base64
import collections
import concurrent.futures
import contextlib
import json
import os
import pty
import re
import socket
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import tools
from integration.endpoint import Endpoint
from integration.peers import SANITIZED, Running, wait_for

KEY = "0123456789abcdefghijklmnopqrstuv"

# Seconds, for --backoff-base 1s: floor and the limit after a first failure (doc: fieldpipe's own policy).
WAITS = {"network": (0.25, 1), "server": (1, 10), "slow": (60, 120), "rate": (1, 10), "credential": (10, 30), "endpoint": (10, 30)}
EXACT = {200: "delivered", 201: "delivered", 202: "delivered", 204: "delivered", 409: "delivered", 401: "credential",
         403: "credential", 407: "credential", 404: "endpoint", 405: "endpoint", 501: "endpoint", 505: "endpoint",
         408: "server", 425: "server", 413: "size", 429: "rate", 500: "slow", 511: "network"}


def meaning(status):
    return EXACT.get(status) or {2: "network", 3: "network", 4: "record", 5: "server"}[status // 100]


def record(device, chunk):
    return json.dumps({"device": device, "chunk": base64.b64encode(chunk).decode()}).encode() + b"\n"


Run = collections.namedtuple("Run", "status requests lines stderr metrics seconds")


class Relay:
    """A spool of its own, and runs of mflt-relay on it."""

    def __init__(self, folder):
        self.folder = Path(tempfile.mkdtemp(dir=folder))
        self.spool = self.folder / "spool"
        self.key = self.folder / "key"
        self.key.write_text(KEY + "\n")
        self.key.chmod(0o600)

    def command(self, endpoint, *options, base="5ms"):
        return ("mflt-relay", "--endpoint", getattr(endpoint, "url", endpoint), "--spool", self.spool, "--project-key-file", self.key,
                "--from", "ndjson", "--backoff-base", base, "--metrics-file", self.folder / "metrics", *options)

    def run(self, endpoint, records, *options, base="5ms", env=None):
        before = len(getattr(endpoint, "requests", ()))
        start = time.monotonic()
        result = tools.run(*self.command(endpoint, *options, base=base), stdin=b"".join(record(*r) for r in records), env=env)
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        return Run(result.returncode, getattr(endpoint, "requests", [])[before:], lines, result.stderr.decode(), self.metrics(), time.monotonic() - start)

    def run_until(self, lines, endpoint, records, *options, base="5ms"):
        """The same, but the input ends when so many requests have ended; then it leaves at once."""
        before, start = len(endpoint.requests), time.monotonic()
        with subprocess.Popen([tools.BIN / "mflt-relay", *self.command(endpoint, *options, "--drain-timeout", "1ms", base=base)[1:]],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=tools.environment()) as process:
            process.stdin.write(b"".join(record(*r) for r in records))
            process.stdin.flush()
            printed = [process.stdout.readline() for _ in range(lines)]
            rest, errors = process.communicate(timeout=tools.TIMEOUT)
        lines = [json.loads(line) for line in b"".join([*printed, rest]).splitlines()]
        return Run(process.returncode, endpoint.requests[before:], lines, errors.decode(), self.metrics(), time.monotonic() - start)

    def metrics(self):
        path = self.folder / "metrics"
        if not path.exists():
            return {}
        rows = re.findall(r"^mflt_relay_(\S+) (\S+)$", path.read_text(), re.M)
        return {name: float(value) for name, value in rows}

    def pauses(self):
        return (self.spool / "pauses").read_text().splitlines()


def brief(run):
    """The requests that an endpoint saw: device, number of chunks, status."""
    return [(r.device, len(r.chunks), r.status) for r in run.requests]


def open_files(pid):
    names = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            names.append(os.readlink(link))
    return names


def signal_pending(pid):
    """Whether a process has a signal that it has not taken yet."""
    status = Path(f"/proc/{pid}/status").read_text()
    return any(int(value, 16) for value in re.findall(r"^(?:SigPnd|ShdPnd):\s*(\w+)", status, re.M))


def waits(run):
    """Seconds between requests. An answer was sent after its request arrived, so no wait was shorter than it is here."""
    return [later.began - earlier.arrived for earlier, later in zip(run.requests, run.requests[1:])]


class Delivery(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        base = "/dev/shm" if Path("/dev/shm").is_dir() else None  # durability is the matter of other tests
        cls.folder = tempfile.mkdtemp(prefix="fieldpipe-relay-", dir=base)
        cls.addClassCleanup(shutil.rmtree, cls.folder)

    def relay(self):
        return Relay(self.folder)

    def each(self, rows, check):
        """check(row) for all rows, several at a time; a failure names its row."""
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            results = [(row, pool.submit(check, row)) for row in rows]
        for row, result in results:
            with self.subTest(row=row):
                result.result()

    def assert_wait(self, wait, kind, base, failures=0):
        floor, limit = (base * seconds for seconds in WAITS[kind])
        # The process may be late on a loaded machine, but never early.
        self.assertGreater(wait, floor, kind)
        self.assertLess(wait, max(limit * 2 ** failures, 2 * floor) + 1, kind)

    # Statuses.

    def check_status(self, row):
        """One answer of this status to the first of two devices, then 202."""
        status, rule, kind = row
        base = 0.002
        with Endpoint([{"status": status, "times": 1, **rule}]) as endpoint:
            run = self.relay().run(endpoint, [("A", b"one"), ("A", b"two"), ("B", b"three")], "--connections", "1", base="2ms")
        first = ("A", 2, status)
        expected = {"delivered": [first, ("B", 1, 202)],
                    "rate": [first, ("B", 1, 202), ("A", 2, 202)],
                    "record": [first, ("B", 1, 202), ("A", 1, 202), ("A", 1, 202)],
                    "size": [first, ("B", 1, 202), ("A", 1, 202), ("A", 1, 202)]}
        # A failure that may concern all: they wait, and another device is the probe.
        self.assertEqual(brief(run), expected.get(kind, [first, ("B", 1, 202), ("A", 2, 202)]))
        self.assertEqual(run.status, 0, run.stderr)
        between = waits(run)
        if kind == "rate":
            self.assert_wait(run.requests[2].began - run.requests[0].arrived, kind, base)
        elif kind in WAITS:
            self.assert_wait(between[0], kind, base)
        attempts = [line["attempt"] for line in run.lines if line["device"] == "A"]
        self.assertEqual(attempts[:2], [1] if kind == "delivered" else [1, 2])
        self.assertEqual([(line["device"], line["chunks"], line["status"]) for line in run.lines], brief(run))
        self.assertEqual(run.metrics["queued_records"], 0)
        self.assertEqual(run.metrics["delivered_total"], 3)
        self.assertEqual(run.metrics[f'http_status_total{{code="{status}"}}'], 1 + 2 * (status == 202) - (status == 202))

    def test_each_status_once(self):
        self.each([(status, {}, meaning(status)) for status in range(200, 600)], self.check_status)

    def test_a_web_page_is_no_success(self):
        page = {"headers": {"Content-Type": "text/html; charset=utf-8"}, "body": "<html>log in</html>"}
        rows = [(200, page, "network"), (200, {"body": "\r\n <!DOCTYPE html>"}, "network"), (201, page, "network"), (202, page, "delivered"),
                (200, {"body": "{}"}, "delivered"), (302, {"headers": {"Location": "http://127.0.0.1:1/"}}, "network")]
        self.each(rows, self.check_status)

    def check_for_good(self, row):
        """Nothing but this status: what is paused, what is kept, and that the next run delivers it."""
        status, kind, exit_status, ended, class_name = row
        relay = self.relay()
        records = [(device, bytes([number])) for number in range(4) for device in ("A", "B")]
        with Endpoint([{"status": status}]) as endpoint:
            options = ("--connections", "1", "--batch-chunks", "4")
            if ended:
                run = relay.run_until(ended, endpoint, records, *options, base="2ms")
            else:
                run = relay.run(endpoint, records, *options, base="2ms")
            self.assertEqual(run.status, exit_status, run.stderr)
            dead = run.metrics["dead_lettered_total"]
            self.assertEqual(dead, 8 if exit_status == 1 else 0)
            self.assertEqual(run.metrics["queued_records"] + run.metrics["in_flight_records"], 8 - dead)
            if class_name:
                # One of the two may be on its way again.
                self.assertGreaterEqual(run.metrics[f'paused_lanes{{class="{class_name}"}}'], 1)
                self.assertEqual({(r.device, len(r.chunks)) for r in run.requests}, {("A", 4), ("B", 4)})
                self.assertEqual(sum(value for name, value in run.metrics.items() if name.startswith("paused_lanes")),
                                 run.metrics[f'paused_lanes{{class="{class_name}"}}'])
            between = waits(run) if kind != "rate" else [later.began - earlier.arrived for earlier, later in zip(run.requests, run.requests[2:])]
            for wait in between if class_name else []:
                self.assertGreater(wait, 0.002 * WAITS[kind][0])
            endpoint.play([])
            if exit_status != 1:
                (relay.spool / "pauses").unlink()
            again = relay.run(endpoint, [])
            self.assertEqual(again.status, 0, again.stderr)
            self.assertEqual({device: endpoint.chunks(device) for device in "AB"},
                             {device: [] if dead else [bytes([number]) for number in range(4)] for device in "AB"})

    def test_each_class_for_good(self):
        self.each([(302, "network", 75, 6, "network"), (503, "server", 75, 6, "server"), (500, "slow", 75, 2, "server"),
                   (403, "credential", 77, 4, "credential"), (404, "endpoint", 75, 4, "endpoint"), (429, "rate", 75, 6, "rate"),
                   (400, "record", 1, 0, ""), (413, "size", 1, 0, "")], self.check_for_good)

    def test_what_an_answer_says_is_shown_safely(self):
        with Endpoint([{"status": 400, "body": "no\x1b[2J\r\n" + "x" * 300, "times": 1}]) as endpoint:
            run = self.relay().run(endpoint, [("A", b"one")], "-v")
        self.assertEqual(run.status, 1)
        self.assertIn("A: status 400: no\\x1b[2J\\r\\n" + "x" * 200, run.stderr)
        self.assertNotIn("x" * 257, run.stderr)
        self.assertNotIn("\x1b", run.stderr)
        self.assertNotIn(KEY, run.stderr)

    # Connections that break.

    def test_resets_at_each_point_of_an_answer(self):
        answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 4\r\nX: y\r\n\r\nbody"
        head = answer.index(b"\r\n\r\n") + 4
        for way in ("reset_at", "end_at"):
            with self.subTest(way=way):
                script = [{"raw": answer.hex(), way: at, "times": 1} for at in range(len(answer))]
                chunks = [bytes([number]) for number in range(len(answer) - head + 1)]
                relay = self.relay()
                with Endpoint(script) as endpoint:
                    run = relay.run(endpoint, [("A", chunk) for chunk in chunks], "--batch-chunks", "1", "--backoff-max", "2ms", base="100ms")
                self.assertEqual(run.status, 0, run.stderr)
                # Until the header is whole it is not an answer; what comes behind it does not matter.
                self.assertEqual([r.chunks for r in run.requests], [[chunks[0]]] * head + [[chunk] for chunk in chunks])
                self.assertEqual([line["status"] for line in run.lines], [None] * head + [202] * len(chunks))
                self.assertEqual([line["attempt"] for line in run.lines], [*range(1, head + 2), *[1] * (len(chunks) - 1)])
                self.assertEqual(run.metrics["duplicates_possible_total"], head)
                self.assertTrue(all(wait >= 0.0009 for wait in waits(run)[:head]), waits(run)[:head])

    def test_a_connection_that_was_never_made_is_not_held_against_the_chunks(self):
        relay = self.relay()
        with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers a handshake
            url = f"https://127.0.0.1:{silent.getsockname()[1]}"
            run = relay.run(url, [("A", b"one")], "--connect-timeout", "50ms", "--drain-timeout", "400ms", base="1ms")
        self.assertEqual(run.status, 75, run.stderr)
        self.assertGreater(len(run.lines), 1)
        self.assertEqual(run.metrics['requests_total{class="network"}'], len(run.lines))
        self.assertEqual(run.metrics["duplicates_possible_total"], 0)

    def test_the_first_request_comes_after_a_time_of_chance(self):
        with Endpoint() as endpoint:
            run = self.relay().run(endpoint, [("A", b"one")], "--startup-splay", "24h", "--drain-timeout", "100ms")
            self.assertEqual((run.status, run.requests), (75, []))
            run = self.relay().run(endpoint, [("A", b"one")], "--startup-splay", "200ms")
            self.assertEqual((run.status, len(run.requests)), (0, 1))

    def test_nobody_there(self):
        with Endpoint() as endpoint:
            url = endpoint.url
        relay = self.relay()
        run = relay.run(url, [("A", b"one"), ("B", b"two")], "--drain-timeout", "300ms")
        self.assertEqual(run.status, 75)
        self.assertIn("connect", run.lines[0]["error"])
        self.assertEqual(run.metrics['paused_lanes{class="network"}'], 2)
        # 5 ms doubled with each: seven cannot be over before 300 ms have passed, unless chance is very kind.
        self.assertLess(len(run.lines), 80)
        self.assertEqual(run.stderr.count("all chunks are kept"), 1)  # once in an outage, not for each attempt

    def test_an_outage_at_each_other_request_is_told_once(self):
        chunks = [b"1", b"2", b"3"]
        with Endpoint([{"chunk": chunk.hex(), "status": 503, "times": 1} for chunk in chunks]) as endpoint:
            run = self.relay().run(endpoint, [("D", chunk) for chunk in chunks], "--batch-chunks", "1")
            self.assertEqual([status for _, _, status in brief(run)], [503, 202] * 3)
        self.assertEqual([run.stderr.count(text) for text in ("all chunks are kept", "delivered again")], [1, 1])

    # Refused credentials and chunks.

    def check_refused_credentials(self, connections):
        """Ten minutes of 403, at 1 ms for a second."""
        base = 0.001
        relay = self.relay()
        records = [(f"D{number % 20}", bytes([number])) for number in range(200)]
        with Endpoint([{"status": 403, "body": "wrong key"}]) as endpoint:
            begin = []

            def look(request):
                begin.append(request.began)
                if request.began - begin[0] > 600 * base:
                    endpoint.play([])

            endpoint.on_request = look
            run = relay.run(endpoint, records, "--connections", connections, base="1ms")
            self.assertEqual(run.status, 0, run.stderr)
            self.assertEqual(len(endpoint.chunks()), 200)
            self.assertEqual(run.metrics["dead_lettered_total"], 0)
            refused = [r for r in run.requests if r.status == 403]
            self.assertGreaterEqual(len(refused), 2)
            # As many as were on their way at once, then one at a time.
            self.assertLessEqual(len(refused), int(connections) + 600 // 10)
            if connections == "1":
                for failures, wait in enumerate(waits(run)[:len(refused) - 1]):
                    self.assert_wait(wait, "credential", base, failures)
        self.assertEqual(run.stderr.count("is refused (status 403): all chunks are kept"), 1)
        self.assertNotIn(KEY, run.stderr + json.dumps(run.lines))

    def test_ten_minutes_of_refused_credentials(self):
        self.each(["1", "8"], self.check_refused_credentials)

    def test_a_refused_key_can_be_corrected(self):
        relay = self.relay()
        with Endpoint([{"key": KEY, "status": 403}]) as endpoint:
            self.assertEqual(relay.run_until(1, endpoint, [("A", b"one")]).status, 77)
            relay.key.write_text(KEY[::-1])
            again = relay.run(endpoint, [])
            self.assertEqual(again.status, 0)
            self.assertLess(again.requests[0].began - endpoint.requests[0].answered, 5)
            self.assertEqual(endpoint.chunks(), [b"one"])

    def test_one_bad_chunk_among_a_thousand(self):
        chunks = {f"D{device}": [f"{device}-{number}".encode() for number in range(100)] for device in range(10)}
        poison = b"7-41"
        relay = self.relay()
        with Endpoint([{"chunk": poison.hex(), "status": 400, "body": "bad chunk"}]) as endpoint:
            run = relay.run(endpoint, [(device, chunks[device][number]) for number in range(100) for device in chunks])
            self.assertEqual(run.status, 1, run.stderr)
            for device, own in chunks.items():
                self.assertEqual(endpoint.chunks(device), [chunk for chunk in own if chunk != poison])
            self.assertEqual(len(endpoint.chunks()), 999)
            self.assertEqual(run.metrics["delivered_total"], 999)
            self.assertEqual(run.metrics["dead_lettered_total"], 1)
            self.assertEqual(run.metrics['dead_letter_total{reason="refused"}'], 1)
            # The whole batch, at most seven to divide it, the one, and what is left.
            self.assertLessEqual(sum(r.device == "D7" for r in run.requests), 12)
            self.assertEqual(sum(r.status == 400 for r in run.requests if len(r.chunks) == 1), 1)
            identities = {r.header("X-Request-ID") for r in run.requests}
            self.assertEqual(len(identities), len(run.requests))

    def test_where_everything_is_refused_the_chunks_are_kept(self):
        relay = self.relay()
        with Endpoint([{"status": 400}]) as endpoint:
            run = relay.run(endpoint, [("A", bytes([number])) for number in range(100)], "--drain-timeout", "300ms", base="2ms")
            self.assertEqual(run.metrics["dead_lettered_total"], 19)
            self.assertEqual(run.metrics["queued_records"] + run.metrics["in_flight_records"], 81)
            self.assertEqual(run.status, 75, run.stderr)
            self.assertIn("refuses chunk after chunk", run.stderr)
            # That is known in the next run, too.
            run = relay.run(endpoint, [], "--drain-timeout", "300ms", base="2ms")
            self.assertEqual(run.metrics["dead_lettered_total"], 19)
            endpoint.play([])
            run = relay.run(endpoint, [], base="2ms")
            self.assertEqual(run.status, 0, run.stderr)
            self.assertEqual(endpoint.chunks(), [bytes([number]) for number in range(19, 100)])

    def test_hup_reads_the_key_again_and_tries_at_once(self):
        relay = self.relay()
        device, console = pty.openpty()
        try:
            with Endpoint([{"key": KEY, "status": 403}]) as endpoint:
                command = [part for part in relay.command(endpoint, "--serial", os.ttyname(console), "--device", "A", base="1s")
                           if part not in ("--from", "ndjson")]
                with Running(*command) as running:
                    # Opening a terminal empties it: it is not written to before the tool has it open.
                    wait_for(lambda: os.ttyname(console) in open_files(running.pid), "the console is open")
                    wait_for(lambda: os.write(device, b"MC:b25l:\n") and endpoint.requests, "a request")
                    wait_for(lambda: "is refused" in running.stderr, "the refusal")
                    relay.key.write_text(KEY[::-1])
                    running.signal(signal.SIGHUP)
                    endpoint.wait(lambda: endpoint.chunks(), "a delivery")
                    self.assertLess(endpoint.requests[-1].began - endpoint.requests[0].arrived, 9)  # the pause is 10 s at least
                    running.signal(signal.SIGTERM)
                    running.process.wait(tools.TIMEOUT)
                self.assertEqual(set(endpoint.chunks()), {b"one"})
        finally:
            os.close(device)
            os.close(console)

    def test_a_stop_waits_for_the_answer_but_not_for_long(self):
        for answered in (True, False):
            with self.subTest(answered=answered):
                relay = self.relay()
                with Endpoint([{"hold": "answer"}]) as endpoint:
                    with Running(*relay.command(endpoint, "--stop-timeout", "500ms" if not answered else "30s")) as running:
                        running.stdin.write(record("A", b"one"))
                        running.stdin.flush()
                        endpoint.wait_requests(1)
                        running.signal(signal.SIGTERM)
                        if answered:
                            wait_for(lambda: not signal_pending(running.pid), "the signal is taken")
                            endpoint.release("answer")
                        self.assertEqual(running.process.wait(tools.TIMEOUT), -signal.SIGTERM)
                    self.assertEqual(relay.metrics()["queued_records"] + relay.metrics()["in_flight_records"], 0 if answered else 1)
                with Endpoint() as endpoint:
                    self.assertEqual(relay.run(endpoint, []).status, 0)
                    self.assertEqual(endpoint.chunks(), [] if answered else [b"one"])

    # Waits that the server tells.

    def check_retry_after(self, row):
        status, headers, rule, least, most = row
        relay = self.relay()
        with Endpoint([{"status": status, "headers": headers, "times": 1, **rule}]) as endpoint:
            run = relay.run(endpoint, [("A", b"one"), ("B", b"two")], "--connections", "1", "--batch-chunks", "1", base="1ms")
            self.assertEqual(run.status, 0, run.stderr)
            self.assertEqual([r.device for r in run.requests], ["A", "B", "A"])
            waited = run.requests[2 if status == 429 else 1].began - run.requests[0].arrived
            self.assertGreaterEqual(waited, least)
            self.assertLess(waited, most)

    def test_retry_after_in_all_its_forms(self):
        told, own = (1, 2), (0.0008, 0.9)
        forms = [({"Retry-After": "1"}, {}, told), ({"Retry-After": "{date+1}"}, {}, told), ({"Retry-After": "{date-3600}"}, {}, own),
                 ({"Retry-After": "0"}, {}, own), ({"Retry-After": "-1"}, {}, own), ({"Retry-After": "1.5"}, {}, own),
                 ({"Retry-After": "soon"}, {}, own), ({"Retry-After": ""}, {}, own), ({"Retry-After": ["1", "1"]}, {}, own), ({}, {}, own),
                 ({"Retry-After": "1", "Date": "Thu, 01 Jan 1970 00:00:00 GMT"}, {"date": False}, told),
                 # From the answer's own date: this machine's clock is half a century ahead of it.
                 ({"Retry-After": "Thu, 01 Jan 1970 00:00:01 GMT", "Date": "Thu, 01 Jan 1970 00:00:00 GMT"}, {"date": False}, told),
                 ({"Retry-After": "Thu, 01 Jan 1970 00:00:01 GMT"}, {"date": False}, own)]
        self.each([(status, headers, rule, *bounds) for status in (429, 503) for headers, rule, bounds in forms], self.check_retry_after)

    def test_a_wait_of_years_is_one_of_a_day_and_outlives_a_restart(self):
        for told in ("86400000", "99999999999999999999", "{date+100000000}"):
            with self.subTest(told=told):
                relay = self.relay()
                with Endpoint([{"status": 503, "headers": {"Retry-After": told}}]) as endpoint:
                    run = relay.run_until(1, endpoint, [("A", b"one")])
                    if told != "99999999999999999999":
                        self.assertEqual((run.status, len(run.requests)), (75, 1))
                    remaining = int(relay.pauses()[1].split()[-1])
                    day = 24 * 3600 * 1000
                    if told != "99999999999999999999":  # as good as nothing said
                        self.assertGreater(remaining, day - 1000)
                        run = relay.run(endpoint, [], "--drain-timeout", "50ms")
                        self.assertEqual((run.status, run.requests), (75, []))
                    self.assertLess(remaining, day + 31000)

    # Restarts, and a clock that is set.

    def test_a_pause_outlives_a_restart_whatever_the_clock_does_meanwhile(self):
        year = 365 * 24 * 3600 * 10 ** 9

        def check(row):
            step, least, most = row
            relay = self.relay()
            with Endpoint([{"status": 503, "headers": {"Retry-After": "2"}, "times": 1}]) as endpoint:
                run = relay.run_until(1, endpoint, [("A", b"one"), ("B", b"two")], "--connections", "1")
                self.assertEqual((run.status, len(run.requests)), (75, 1))
                first, *rest = relay.pauses()
                word, version, written = first.split()
                (relay.spool / "pauses").write_text("\n".join([f"{word} {version} {int(written) - step}", *rest]) + "\n")
                run = relay.run(endpoint, [])
                self.assertEqual(run.status, 0, run.stderr)
                waited = run.requests[0].began - endpoint.requests[0].arrived
                self.assertGreaterEqual(waited, least)
                self.assertLess(waited, most)
                # However it came out of its wait, one request went first.
                self.assertGreaterEqual(run.requests[1].began, run.requests[0].answered)

        # A clock that is ahead by years makes the pause look over; one that is behind cannot make it longer.
        self.each([(0, 1.9, 4), (10 * year, 0, 1.9), (-10 * year, 1.9, 4), (100 * year, 0, 1.9), (-200 * year, 1.9, 4)], check)

    @unittest.skipIf(SANITIZED, "a sanitizer has to be loaded before all else")
    def test_a_clock_that_is_set_changes_no_wait(self):
        library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))

        def check(step):
            relay = self.relay()
            clock = relay.folder / "clock"
            clock.write_text("+0")
            with Endpoint([{"status": 503, "headers": {"Retry-After": "1"}, "date": False, "times": 1}]) as endpoint:
                endpoint.on_request = lambda _: clock.write_text(step)
                run = relay.run(endpoint, [("A", b"one"), ("B", b"two")], "--connections", "1", env=tools.environment(
                    LD_PRELOAD=str(library), FAKETIME_TIMESTAMP_FILE=str(clock), FAKETIME_NO_CACHE="1", FAKETIME_DONT_FAKE_MONOTONIC="1"))
            self.assertEqual(run.status, 0, run.stderr)
            self.assertGreaterEqual(waits(run)[0], 1)
            self.assertLess(waits(run)[0], 3)
            if step != "+0":  # it did see another time
                written = int(relay.pauses()[0].split()[2]) / 1e9
                self.assertGreater(abs(written - time.time()), 3e8)

        self.each(["+0", "+10y", "-10y", "+60y"], check)

    def test_damaged_state_is_as_good_as_none(self):
        for text in (b"", b"\0" * 4096, b"pauses 1 0\n" + b"\xff" * 100, b"x" * (2 << 20)):
            relay = self.relay()
            with Endpoint() as endpoint:
                relay.run(endpoint, [])
                (relay.spool / "pauses").write_bytes(text)
                self.assertEqual(relay.run(endpoint, [("A", b"one")]).status, 0)

    # Lanes.

    def test_order_within_a_device_and_one_request_at_a_time(self):
        chunks = {f"D{device}": [f"{device}-{number}".encode() for number in range(60)] for device in range(12)}
        rules = [{"status": 503, "skip": 10, "times": 2}, {"status": 400, "skip": 20, "times": 1}, {"reset_at": 20, "skip": 30, "times": 1},
                 {"status": 429, "skip": 40, "times": 2}, {"status": 413, "over_chunks": 5, "skip": 10, "times": 1}, {"delay": 0.003}]
        with Endpoint(rules) as endpoint:
            run = self.relay().run(endpoint, [(device, chunks[device][number]) for number in range(60) for device in chunks],
                                   "--batch-chunks", "7", base="1ms")
            self.assertEqual(run.status, 0, run.stderr)
            for device, own in chunks.items():
                self.assertEqual(list(dict.fromkeys(endpoint.chunks(device))), own)
                mine = sorted((r for r in run.requests if r.device == device), key=lambda r: r.began)
                for earlier, later in zip(mine, mine[1:]):
                    if earlier.status == 202:
                        self.assertGreaterEqual(later.began, earlier.arrived + 0.003)

    def test_a_slow_device_does_not_hold_others_up(self):
        with Endpoint([{"path": "*/slow", "hold": "others"}]) as endpoint:
            def look(_):
                if len(endpoint.chunks()) == 300:
                    endpoint.release("others")

            endpoint.on_request = look
            run = self.relay().run(endpoint, [("slow", b"one")] + [(f"D{n % 30}", bytes([n // 30])) for n in range(300)], "--connections", "2")
        self.assertEqual(run.status, 0, run.stderr)

    def test_a_device_that_always_fails_takes_its_share_and_no_more(self):
        devices = [f"D{number}" for number in range(10)]
        records = [(device, bytes([number]) * 2000) for number in range(200) for device in devices]  # 4 MB
        options = ("--spool-max-bytes", "1MiB", "--spool-min-free", "0", "--batch-chunks", "4", "--drain-timeout", "1500ms", "--connections", "4")
        relay, largest = self.relay(), 0
        with Endpoint([{"path": "*/D0", "status": 503}, {"delay": 0.002}]) as endpoint:
            def look(_):
                nonlocal largest
                largest = max(largest, sum(file.stat().st_size for file in relay.spool.rglob("*") if "dead" not in file.parts and file.is_file()))

            endpoint.on_request = look
            run = relay.run(endpoint, records, *options, base="20ms")
            for device in devices[1:]:
                self.assertEqual([chunk[0] for chunk in endpoint.chunks(device)], list(range(200)))
        self.assertLessEqual(largest, 1 << 20)
        # How fast the nine are is a row of the benchmark; that the tenth has no more than its turns is what makes them so.
        failed = sum(request.device == "D0" for request in run.requests)
        self.assertLess(failed, (len(run.requests) - failed) / 9)
        self.assertEqual(run.status, 75, run.stderr)
        kept, refused = run.metrics["queued_records"] + run.metrics["in_flight_records"], run.metrics['rejected_total{reason="over-share"}']
        self.assertEqual(kept + refused, 200)
        self.assertGreater(kept, 50)

    def test_a_dry_run_sends_nothing(self):
        relay = self.relay()
        with Endpoint() as endpoint:
            run = relay.run(endpoint, [("A", b"one"), ("A", b"three"), ("B", b"four")], "--dry-run")
            self.assertEqual((run.status, run.requests), (0, []))
            self.assertEqual([(l["method"], l["url"], l["device"], l["chunks"], l["bytes"]) for l in run.lines],
                             [("POST", f"{endpoint.url}/api/v0/chunks/A", "A", 2, 8), ("POST", f"{endpoint.url}/api/v0/chunks/B", "B", 1, 4)])
            self.assertNotIn(KEY, json.dumps(run.lines) + run.stderr)


if __name__ == "__main__":
    unittest.main()
