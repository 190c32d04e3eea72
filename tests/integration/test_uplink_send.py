# SPDX-License-Identifier: MIT
"""uplink-send against a scripted service, over real TCP and unix sockets."""

import json
import os
import select
import signal
import socket
import tempfile
import threading
import time
import unittest
from pathlib import Path

import tools
from integration import peers
from integration.application_port import Port
from integration.peers import Running, wait_for

VECTORS = Path(__file__).parent.parent / "vectors/uplink"
PROVE = "FIELDPIPE_PROVE" in os.environ


class WithPort(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.port = self.enterContext(Port())
        self.environment = tools.environment(XDG_STATE_HOME=str(self.folder / "state"))

    def start(self, *arguments, **options):
        return self.enterContext(Running("uplink-send", "-c", self.port.address, *arguments, env=self.environment, **options))

    def sent(self, stdin, *arguments, stderr="", status=0):
        """The lines that come of an input, when the service reads them to the end."""
        sender = self.start("--stream", "s", *arguments)
        connection = self.port.accept()
        lines = []
        reader = threading.Thread(target=lambda: (lines.extend(iter(connection.raw_line, None)), connection.close()))
        reader.start()
        code, out = sender.finish(stdin)
        reader.join(tools.TIMEOUT)
        self.assertEqual((code, out, sender.stderr), (status, b"", stderr))
        return lines


class Data(WithPort):
    def points(self, *arguments, **options):
        points = [json.loads(line) for line in self.sent(*arguments, **options)]
        for point in points:
            if point["timestamp"] > 1000:
                self.assertLess(abs(point.pop("timestamp") / 1000 - time.time()), tools.TIMEOUT)
        return points

    def test_numbers(self):
        line, *_ = self.sent(b"22.50\n")
        self.assertRegex(line, rb'^\{"stream":"s","sequence":1,"timestamp":\d{13},"value":22\.50\}$')
        self.assertEqual(self.points(b"1\n\n-2e3\r\n3"), [{"stream": "s", "sequence": n, "value": v} for n, v in ((1, 1), (2, -2e3), (3, 3))])
        self.assertEqual(self.points(b"1\n", "--field", "celsius"), [{"stream": "s", "sequence": 1, "celsius": 1}])

    def test_pairs(self):
        self.assertEqual(self.points(b"temp=22.5 ok=true name=kitchen\nstream=t timestamp=7 a=\"x y\"\n"),
                         [{"stream": "s", "sequence": 1, "temp": 22.5, "ok": True, "name": "kitchen"},
                          {"stream": "t", "sequence": 1, "timestamp": 7, "a": "x y"}])

    def test_csv(self):
        self.assertEqual(self.points(b'temp,"a, b"\n1.5,x\n,"y ""z"""\n'),
                         [{"stream": "s", "sequence": 1, "temp": 1.5, "a, b": "x"}, {"stream": "s", "sequence": 2, "a, b": 'y "z"'}])

    def test_json_among_numbers(self):
        self.assertEqual(self.points(b'1\n{"a": 1e400}\n{"stream":"t","sequence":9,"o":{"k":[null]}}\n2\n'),
                         [{"stream": "s", "sequence": 1, "value": 1}, {"stream": "s", "sequence": 2, "a": float("inf")},
                          {"stream": "t", "sequence": 9, "o": {"k": [None]}}, {"stream": "s", "sequence": 3, "value": 2}])

    def test_bad_lines_are_counted_and_the_others_sent(self):
        bad = [b"tru", b"01.e", b"[1]", b"1 2", b'{"a":1}]', b'{"a":tru}', b'{"a":01.e}', b'{"a":[1,]}', b'{"sequence":1.0}',
               b'{"stream":"a","stream":"a"}', b'{"stream":"a+b"}', b'{"stream":"a\\u0000"}', b'{"stream":"a/b"}', b'{"a":"\xff"}',
               b'{"timestamp":18446744073709551616}', b'{"a":' + b"[" * 10000 + b"]" * 10000 + b"}", b"1" * 300_000]
        for line in bad:
            with self.subTest(line=line[:40]):
                first = b"3\n" if line.startswith((b"t", b"0", b"[", b"1")) else b""
                sender = self.start("--stream", "s")
                connection = self.port.accept()
                sender.stdin.write(first + line + b"\n")
                sender.stdin.flush()
                sender.stdin.write(b'{"good":1}\n')
                sender.stdin.close()
                self.assertIn("good", connection.lines()[-1])
                connection.close()
                self.assertEqual(sender.process.wait(tools.TIMEOUT), 1)
                wait_for(lambda: f"1 of {2 + bool(first)} lines could not be read; line" in sender.stderr, "the count")

    def test_an_input_that_is_no_text_ends_at_its_first_nul(self):
        stderr = ("uplink-send: stdin: line {}: holds a NUL byte, so this is no text\n"
                  "uplink-send: hint: --from FORMAT goes on behind such lines\n")
        for data, count in ((b"1\n2\0\n3\n", 1), (b"\0\0\0\n", 0), (b'{"a":1}\n{"a":"x\0y"}\n', 1), (b"\0fp1\0\0\0\1a", 0)):
            with self.subTest(data=data):
                self.assertEqual(len(self.sent(data, status=65, stderr=stderr.format(count + 1))), count)
        lines = self.sent(b"1\n2\0\n3\n", "--from", "numbers", status=1,
                          stderr="uplink-send: 1 of 3 lines could not be read; line 2: holds a NUL byte\n")
        self.assertEqual(len(lines), 2)

    def test_integers_outside_64_bits_keep_their_digits(self):
        line, = self.sent(b'{"a":123456789012345678901234567890}\n')
        self.assertIn(b'"a":123456789012345678901234567890}', line)

    def test_strict_ends_at_the_first(self):
        lines = self.sent(b"1\nx\n2\n", "--strict", status=65, stderr="uplink-send: stdin: line 2: 'x' is no number\n")
        self.assertEqual(len(lines), 1)

    def test_a_line_without_an_end_costs_no_memory(self):
        sender = self.start("--stream", "s")
        connection = self.port.accept()
        block = b"1" * (1 << 20)
        for _ in range(1024 if PROVE else 64):
            sender.stdin.write(block)
        sender.stdin.flush()
        peak = peers.peak_memory_kib(sender.pid)
        sender.stdin.write(b"\n7\n")
        sender.stdin.close()
        self.assertEqual(connection.line()["value"], 7)
        connection.close()
        self.assertEqual(sender.process.wait(tools.TIMEOUT), 1)
        if not peers.SANITIZED:
            self.assertLess(peak, 16 * 1024)

    def test_a_service_that_does_not_read_costs_no_memory(self):
        sender = self.start("--stream", "s", "--buffer", "1MiB")
        connection = self.port.accept()
        os.set_blocking(sender.stdin.fileno(), False)
        written = 0

        def is_full():
            nonlocal written
            try:
                written += os.write(sender.stdin.fileno(), b"1\n" * 32768)
                return False
            except BlockingIOError:
                return not select.select([], [sender.stdin], [], 0.2)[1]

        wait_for(is_full, "the input to stop")
        if not peers.SANITIZED:
            self.assertLess(peers.peak_memory_kib(sender.pid), 24 * 1024)
        sender.stdin.close()
        self.assertEqual(len(connection.lines()), written // 2)
        connection.close()
        self.assertEqual(sender.process.wait(tools.TIMEOUT), 0)

    def test_unix_socket(self):
        port = self.enterContext(Port(str(self.folder / "port")))
        with Running("uplink-send", "-c", port.address, "--stream", "s") as sender:
            connection = port.accept()
            sender.stdin.write(b"5\n")
            sender.stdin.close()
            self.assertEqual([line["value"] for line in connection.lines()], [5])
            connection.close()
            self.assertEqual(sender.process.wait(tools.TIMEOUT), 0)


class Connections(WithPort):
    def test_nobody_there(self):
        address = self.port.address
        self.port.listener.close()
        result = tools.run("uplink-send", "-c", address, "--status", "1", "Completed")
        self.assertEqual((result.returncode, result.stderr.decode()),
                         (75, f"uplink-send: 127.0.0.1{address}: Connection refused; 1 line not sent\n"
                              "uplink-send: hint: --retry waits for the service\n"))

    def test_retry_waits_for_the_service(self):
        number = int(self.port.address[1:])
        self.port.listener.close()
        sender = self.start("--stream", "s", "--retry")
        wait_for(lambda: "Connection refused; trying again" in sender.stderr, "the first attempt")
        sender.stdin.write(b"1\n")
        sender.stdin.close()
        self.port.listener = socket.create_server(("127.0.0.1", number))
        self.port.listener.settimeout(tools.TIMEOUT)
        connection = self.port.accept()
        self.assertEqual(len(connection.lines()), 1)
        connection.close()
        self.assertEqual(sender.process.wait(tools.TIMEOUT), 0)

    def test_what_the_service_closed_before_reading_nothing_is_lost(self):
        sender = self.start("--stream", "s")
        first = self.port.accept()
        sender.stdin.write(b"1\n")
        sender.stdin.flush()
        self.assertEqual(first.line()["sequence"], 1)
        first.close()
        sender.stdin.write(b"2\n")
        sender.stdin.flush()
        second = self.port.accept()
        sender.stdin.close()
        self.assertEqual([line["sequence"] for line in second.lines()], [2])
        second.close()
        self.assertEqual(sender.process.wait(tools.TIMEOUT), 0)

    def test_a_reset_is_reported_as_a_possible_loss(self):
        sender = self.start("--stream", "s")
        first = self.port.accept()
        sender.stdin.write(b"1\n")
        sender.stdin.flush()
        first.socket.recv(1)  # the rest is never read
        first.close()
        second = self.port.accept()
        sender.stdin.close()
        second.lines()
        second.close()
        code, _ = sender.finish()
        self.assertEqual(code, 75)
        self.assertIn("Connection reset by peer; lines that were on their way may be lost", sender.stderr)
        self.assertIn("1 connections broke", sender.stderr)

    def test_two_clients_do_not_throw_each_other_out_without_end(self):
        sender = self.start("--stream", "s")
        self.port.accept().close()
        pauses = []
        for _ in range(2):
            closed = time.monotonic()
            connection = self.port.accept()
            pauses.append(time.monotonic() - closed)
            connection.close()
        for pause in pauses:
            self.assertGreaterEqual(pause, 0.24)
        wait_for(lambda: sender.stderr.count("closed the connection and takes new ones: another client of this port") == 2, "the warnings")

    def test_a_service_that_does_not_end_the_connection(self):
        sender = self.start("--stream", "s", "--timeout", "100ms")
        connection = self.port.accept()
        code, _ = sender.finish(b"1\n")
        self.assertEqual((code, sender.stderr), (75, f"uplink-send: 127.0.0.1{self.port.address}: did not end the connection within "
                                                     "100ms, so it may not have read everything\n"))
        self.assertEqual(len(connection.lines()), 1)

    def test_a_line_that_was_cut_is_sent_again_as_a_whole(self):
        sender = self.start("--wait-stored")
        first = self.port.accept()
        line = json.dumps({"stream": "s", "text": "x" * 200_000}).encode() + b"\n"
        sender.stdin.write(line)
        sender.stdin.flush()
        first.socket.recv(1000)
        first.reset()
        second = self.port.accept()
        feeder = threading.Thread(target=lambda: (sender.stdin.write(line * 39), sender.stdin.close()))
        feeder.start()
        self.assertEqual([line["sequence"] for line in stored(second)], list(range(1, 41)))
        feeder.join(tools.TIMEOUT)
        self.assertEqual(sender.process.wait(tools.TIMEOUT), 0)


def stored(connection):
    """Answers checkpoints up to the end; gives the other lines."""
    lines = []
    for line in iter(connection.line, None):
        if line["stream"] == "fieldpipe_stored":
            connection.send(b'{"stored":%d}' % line["sequence"])
        else:
            lines.append(line)
    connection.close()
    return lines


class Stored(WithPort):
    def test_everything_is_confirmed(self):
        sender = self.start("--stream", "s", "--wait-stored")
        connection = self.port.accept()
        sender.stdin.write(b"1\n" * 1000)
        sender.stdin.close()
        self.assertEqual([line["sequence"] for line in stored(connection)], list(range(1, 1001)))
        self.assertEqual(sender.process.wait(tools.TIMEOUT), 0)

    def test_what_is_not_confirmed_is_sent_again(self):
        sender = self.start("--stream", "s", "--wait-stored")
        first = self.port.accept()
        sender.stdin.write(b"1\n" * 500)
        sender.stdin.flush()
        seen = []
        while not seen or seen[-1]["stream"] != "fieldpipe_stored":
            seen.append(first.line())
        first.send(b'{"stored":%d}' % seen[-1]["sequence"])
        confirmed = len(seen) - 1
        sender.stdin.write(b"2\n" * 300)
        sender.stdin.close()
        while len(seen) < 650:
            seen.append(first.line())
        first.reset()
        second = self.port.accept()
        self.assertEqual([line["sequence"] for line in stored(second)], list(range(confirmed + 1, 801)))
        code = sender.process.wait(tools.TIMEOUT)
        self.assertEqual((code, "lost" in sender.stderr), (0, False))

    def test_no_answer(self):
        sender = self.start("--stream", "s", "--wait-stored", "--timeout", "100ms")
        self.port.accept()
        code, _ = sender.finish(b"1\n2\n")
        self.assertEqual(code, 75)
        self.assertEqual(sender.stderr, f"uplink-send: 127.0.0.1{self.port.address}: did not say within 100ms that the lines are "
                                        "stored; 3 lines not confirmed\nuplink-send: hint: --wait-stored works with uplink-serve only\n")

    def test_an_answer_to_a_checkpoint_that_was_not_sent_is_none(self):
        lines = b"1\n" * 200_000
        sender = self.start("--stream", "s", "--wait-stored", "--buffer", "256MiB")
        connection = self.port.accept()
        sender.stdin.write(lines)
        sender.stdin.close()
        process = Path(f"/proc/{sender.pid}")

        def waits():
            read = int(process.joinpath("io").read_text().split("rchar:")[1].split()[0])
            return read >= len(lines) and process.joinpath("stat").read_text().rpartition(")")[2].split()[0] == "S"

        wait_for(waits, "the end of the input")
        connection.send(b'{"stored":1}')
        count = 0
        while (line := connection.line()) and line["stream"] != "fieldpipe_stored":
            count += 1
        self.assertEqual(line["sequence"], 1)
        self.assertIsNone(sender.process.poll())
        connection.send(b'{"stored":1}')
        rest = stored(connection)
        self.assertEqual(sender.process.wait(tools.TIMEOUT), 0)
        self.assertEqual(count + len(rest), 200_000)

    def test_a_full_buffer_stops_the_input_until_an_answer_comes(self):
        sender = self.start("--stream", "s", "--wait-stored", "--buffer", "512KiB")
        connection = self.port.accept()
        count = 200_000
        feeder = threading.Thread(target=lambda: (sender.stdin.write(b"1\n" * count), sender.stdin.close()))
        feeder.start()
        checkpoints, lines = [], 0
        connection.socket.settimeout(0.3)
        with self.assertRaises(TimeoutError):
            for line in iter(connection.line, None):
                lines += 1
                checkpoints += [line["sequence"]] if line["stream"] == "fieldpipe_stored" else []
        self.assertTrue(checkpoints)
        self.assertLess(lines, 40_000)
        self.assertTrue(feeder.is_alive())
        connection.socket.settimeout(tools.TIMEOUT)
        connection.send(b'{"stored":%d}' % checkpoints[-1])
        rest = stored(connection)
        feeder.join(tools.TIMEOUT)
        self.assertEqual(rest[-1]["sequence"], count)
        self.assertEqual(sender.process.wait(tools.TIMEOUT), 0)
        if not peers.SANITIZED:
            self.assertEqual(len(rest) + lines - len(checkpoints), count)


class Handlers(WithPort):
    def handle(self, *arguments, **options):
        options.setdefault("stdin", None)
        sender = self.start(*arguments, **options)
        return sender, self.port.accept()

    def test_the_life_of_an_action(self):
        command = 'read payload; echo 5%; echo "{\\"progress\\":40,\\"state\\":\\"Unpacking\\"}"; echo "$ACTION_NAME $ACTION_ID $payload"; echo 100%'
        _, connection = self.handle("--exec", command)
        connection.action("update", '{"url":"x"}\n', "77")
        self.assertEqual([connection.status() for _ in range(6)],
                         [("77", "Running", 0, [], 1), ("77", "Progress", 5, [], 2), ("77", "Unpacking", 40, [], 3),
                          ("77", "Progress", 40, ['update 77 {"url":"x"}'], 4), ("77", "Progress", 99, [], 5), ("77", "Completed", 100, [], 6)])

    def test_failures(self):
        _, connection = self.handle("--exec", "reboot=echo one >&2; echo two >&2; exit 3", "--exec", "quiet=exit 4",
                                    "--exec", "killed=kill -9 $$", "--exec", "missing=/nonexistent/tool")
        for number, (name, check) in enumerate((("reboot", lambda e: e == ["one", "two"]), ("quiet", lambda e: e == ["exit status 4"]),
                                                ("killed", lambda e: e == ["ended by signal 9"]), ("missing", lambda e: "not found" in e[0]))):
            connection.action(name, "", str(number))
            self.assertEqual(connection.status()[1], "Running")
            _, state, progress, errors, sequence = connection.status()
            self.assertEqual((state, progress, sequence), ("Failed", 100, 2))
            self.assertTrue(check(errors), errors)
        connection.action("other", "", "9")
        self.assertEqual(connection.status(), ("9", "Failed", 100, ["no handler for actions of type other"], 1))

    def test_a_long_stderr_keeps_its_end(self):
        _, connection = self.handle("--exec", "seq 100000 >&2; exit 1")
        connection.action("a")
        connection.status()
        self.assertEqual(connection.status()[3], [str(n) for n in range(99993, 100001)])

    def test_a_payload_larger_than_a_pipe_reaches_the_handler_and_one_nobody_reads_is_dropped(self):
        _, connection = self.handle("--exec", "count=wc -c", "--exec", "deaf=exec true")
        connection.action("count", "p" * 1_000_000, "1")
        self.assertEqual([connection.status()[1:4] for _ in range(3)][1:], [("Progress", 0, ["1000000"]), ("Completed", 100, [])])
        connection.action("deaf", "p" * 1_000_000, "2")
        self.assertEqual([connection.status()[1] for _ in range(2)], ["Running", "Completed"])

    def test_a_payload_of_10_mib_is_passed_over(self):
        sender, connection = self.handle("--exec", "true")
        connection.action("a", "p" * (10 << 20), "1")
        connection.action("a", "", "2")
        self.assertEqual(connection.status()[:2], ("2", "Running"))
        wait_for(lambda: "a line of more than 1MiB was passed over" in sender.stderr, "the warning")
        if not peers.SANITIZED:
            self.assertLess(peers.peak_memory_kib(sender.pid), 16 * 1024)

    def test_lines_that_are_no_action_are_passed_over(self):
        sender, connection = self.handle("--exec", "true")
        for line, reason in ((b"[]", "must be an object, is an array"), (b'{"action_id":1,"name":"a","payload":""}', "action_id: must be a string"),
                             (b"\xff", "not"), (b"", "no JSON text"), (b"[" * 10000, "must be an object"), (b'{"action_id":"1"}', "no name")):
            connection.send(line)
            wait_for(lambda reason=reason: reason in sender.stderr, reason)
        connection.action("a", "", "2")
        self.assertEqual(connection.status()[:2], ("2", "Running"))

    def test_a_time_limit(self):
        _, connection = self.handle("--exec", "exec cat /dev/zero > /dev/null", "--exec-timeout", "100ms")
        connection.action("a")
        self.assertEqual([connection.status()[1:4] for _ in range(2)], [("Running", 0, []), ("Failed", 100, ["no end within 100ms"])])

    def test_the_whole_group_is_stopped(self):
        mark = self.folder / "pid"
        _, connection = self.handle("--exec", f"trap '' TERM; tail -f /dev/null & echo $! > {mark}; wait; tail -f /dev/null")
        connection.action("a")
        connection.status()
        child = int(wait_for(lambda: mark.exists() and mark.read_text(), "the handler"))
        connection.action("cancel_action", '{"action_id":"1","name":"a"}', "2")
        self.assertEqual(connection.status(), ("2", "Completed", 100, [], 1))
        self.assertEqual(connection.status()[1:4], ("Failed", 100, ["action has been cancelled"]))
        wait_for(lambda: not Path(f"/proc/{child}/cmdline").exists() or not Path(f"/proc/{child}/cmdline").read_bytes(), "the end of the child")

    def test_cancelling_what_cannot_be(self):
        _, connection = self.handle("--exec", "true")
        connection.action("cancel_action", '{"action_id":"1","name":"a"}', "2")
        self.assertEqual(connection.status(), ("2", "Failed", 100, ["action 1 is not being handled"], 1))
        connection.action("cancel_action", "1", "3")
        self.assertEqual(connection.status()[1], "Failed")
        connection.action("cancel_action", '{"action_id":"1"}', "4")
        self.assertEqual(connection.status(), ("4", "Failed", 100, ["invalid payload of cancel_action: no name"], 1))

    def test_a_finished_action_is_not_run_again_even_by_a_new_process(self):
        runs = self.folder / "runs"
        arguments = ("--exec", f"echo run >> {runs}; echo bad >&2; exit 1")
        for number in range(2):
            sender, connection = self.handle(*arguments, stdin=None if number else None)
            connection.action("a", "", "id/1")
            if number == 0:
                self.assertEqual(connection.status()[:2], ("id/1", "Running"))
                self.assertEqual(connection.status(), ("id/1", "Failed", 100, ["bad"], 2))
                connection.action("a", "", "id/1")
            self.assertEqual(connection.status(), ("id/1", "Failed", 100, ["bad"], 1))
            sender.signal(signal.SIGTERM)
            connection.lines()
            connection.close()
            self.assertEqual(sender.process.wait(tools.TIMEOUT), -signal.SIGTERM)
        self.assertEqual(runs.read_text(), "run\n")
        _, connection = self.handle(*arguments, "--rerun")
        connection.action("a", "", "id/1")
        self.assertEqual(connection.status()[:2], ("id/1", "Running"))

    def test_a_torn_journal_is_read_up_to_its_tear(self):
        state = self.folder / "state/fieldpipe/uplink-send"
        state.mkdir(parents=True, mode=0o700)
        state.chmod(0o700)
        answer = '{"stream":"action_status","sequence":2,"timestamp":1,"action_id":"%s","state":"Completed","progress":100,"errors":[]}\n'
        journal = state / f"actions-127.0.0.1%3a{self.port.address[1:]}"
        journal.write_text(answer % "1" + "rubbish\n" + answer % "2" + (answer % "3")[:50])
        _, connection = self.handle("--exec", "true")
        for number in "12":
            connection.action("a", "", number)
            self.assertEqual(connection.status(), (number, "Completed", 100, [], 1))
        connection.action("a", "", "3")
        self.assertEqual([connection.status()[1] for _ in range(2)], ["Running", "Completed"])
        self.assertEqual([json.loads(line)["action_id"] for line in journal.read_text().splitlines()], ["1", "2", "3"])

    def test_the_journal_belongs_to_one_process(self):
        sender, _ = self.handle("--exec", "true", "--state", self.folder / "mine")
        result = tools.run("uplink-send", "-c", self.port.address, "--exec", "true", "--state", self.folder / "mine")
        self.assertEqual(result.returncode, 75)
        self.assertIn(b"in use by another process", result.stderr)
        self.assertIsNone(sender.process.poll())

    def test_so_many_at_once(self):
        fifo = self.folder / "fifo"
        os.mkfifo(fifo)
        _, connection = self.handle("--exec", f"read line < {fifo}")
        with open(fifo, "r+b", buffering=0) as gate:
            for number in range(17):
                connection.action("a", "", str(number))
            statuses = [connection.status() for _ in range(17)]
            self.assertEqual([status[1] for status in statuses], ["Running"] * 16 + ["Failed"])
            self.assertEqual(statuses[-1][3], ["16 actions are being handled already"])
            gate.write(b"\n" * 17)
            self.assertEqual({connection.status()[1] for _ in range(16)}, {"Completed"})
            connection.action("a", "", "16")
            self.assertEqual([connection.status()[:2] for _ in range(2)], [("16", "Running"), ("16", "Completed")])

    def test_a_stop_signal_ends_handlers_and_says_so(self):
        sender, connection = self.handle("--exec", "exec tail -f /dev/null")
        connection.action("a")
        connection.status()
        sender.signal(signal.SIGTERM)
        self.assertEqual(connection.status()[1:4], ("Failed", 100, ["the handler was stopped with the application"]))
        self.assertIsNone(connection.line())
        connection.close()
        self.assertEqual(sender.process.wait(tools.TIMEOUT), -signal.SIGTERM)

    def test_data_and_actions_together(self):
        sender, connection = self.handle("--exec", "true", "--stream", "s", stdin=-1)
        sender.stdin.write(b"1\n")
        sender.stdin.close()
        self.assertEqual(connection.line()["value"], 1)
        connection.action("a")
        self.assertEqual([connection.status()[1] for _ in range(2)], ["Running", "Completed"])
        self.assertIsNone(sender.process.poll())

    def test_actions_are_printed(self):
        sender, connection = self.handle("--actions", stdin=-1)
        connection.send_raw(b'{"action_id":"1","kind":"k","payload":"caf\xc3\xa9\\n","name":"a"}\n{"id":"2","name":"b","payload":""}\n')
        self.assertEqual(sender.stdout.readline(), '{"action_id":"1","name":"a","payload":"café\\n"}\n'.encode())
        self.assertEqual(sender.stdout.readline(), b'{"action_id":"2","name":"b","payload":""}\n')
        sender.stdin.write(b'{"stream":"action_status","action_id":"1","state":"Completed","progress":100,"errors":[]}\n')
        sender.stdin.flush()
        self.assertEqual(connection.status(), ("1", "Completed", 100, [], 1))
        sender.stdout.close()
        self.assertEqual(sender.process.wait(tools.TIMEOUT), -signal.SIGPIPE)

    def test_status(self):
        for words, expected in ((["7", "Completed"], ("7", "Completed", 100, [], 1)), (["7", "Working", "40"], ("7", "Working", 40, [], 1)),
                                (["7", "Failed", "12", "too hot", "--x"], ("7", "Failed", 12, ["too hot", "--x"], 1)),
                                (["7", "Failed", "too hot"], ("7", "Failed", 100, ["too hot"], 1))):
            sender = self.start("--status", "--", *words)
            connection = self.port.accept()
            self.assertEqual(connection.status(), expected)
            self.assertIsNone(connection.line())
            connection.close()
            self.assertEqual(sender.process.wait(tools.TIMEOUT), 0)


class Vectors(WithPort):
    """The conversations of tests/vectors/uplink, from event to event."""

    def matches(self, expected, actual):
        if expected == "$any":
            return True
        if expected == "$uint":
            return isinstance(actual, int) and actual >= 0
        if expected == "$now_ms":
            return abs(actual / 1000 - time.time()) < tools.TIMEOUT
        if isinstance(expected, dict):
            return isinstance(actual, dict) and expected.keys() == actual.keys() and all(self.matches(expected[k], actual[k]) for k in expected)
        return expected == actual

    def test_each(self):
        files = sorted(VECTORS.glob("send-*.json"))
        self.assertEqual(len(files), 6)
        for file in files:
            with self.subTest(file=file.name), tempfile.TemporaryDirectory() as folder, Port() as port:
                self.play(json.loads(file.read_text())["steps"], Path(folder), port)

    def play(self, steps, folder, port):
        # The handler tells what it got, and ends as the pipe of its action says.
        for action_id in "12":
            os.mkfifo(folder / f"exit-{action_id}")
        handler = f'cat > {folder}/payload-$ACTION_ID; echo "$ACTION_ID $ACTION_NAME" >> {folder}/runs; read x < {folder}/exit-$ACTION_ID; exit $x'
        runs = folder / "runs"
        with Running("uplink-send", "-c", port.address, "--exec", handler, "--state", str(folder / "state"), stdin=None) as sender:
            connections, closed = {}, None
            for step in sorted(steps, key=lambda step: step.get("expect") == "handler_runs"):
                kind = step.get("do") or step["expect"]
                if kind == "accept":
                    if step["conn"] not in connections:
                        connections[step["conn"]] = port.accept()
                elif kind == "send_raw":
                    connections[step["conn"]].send_raw(bytes.fromhex(step["hex"]) if "hex" in step else step["text"].encode())
                elif kind == "close":
                    # What the application has sent is read: the close is no loss.
                    connections[step["conn"]].line()
                    connections[step["conn"]].close()
                    closed = time.monotonic()
                elif kind == "app_reconnects":
                    connections["c2"] = port.accept()
                    self.assertGreaterEqual((time.monotonic() - closed) * 1000, step["min_delay_ms"])
                elif kind == "exit":
                    (folder / f"exit-{step['action_id']}").write_text(f"{step['status']}\n")
                elif kind == "app_handles":
                    wait_for(lambda: runs.exists() and len(runs.read_text().split("\n")) > len(step["actions"]), "the handlers")
                    self.assertEqual(sorted(runs.read_text().splitlines()), sorted(f"{a['action_id']} {a['name']}" for a in step["actions"]))
                    for action in step["actions"]:
                        self.assertEqual((folder / f"payload-{action['action_id']}").read_text(), action["payload"])
                elif kind == "app_line":
                    line = connections[step["on"]].line()
                    while line["state"] in ("Running", "Progress"):
                        line = connections[step["on"]].line()
                    self.assertTrue(self.matches(step["json"], line), line)
                else:
                    self.assertEqual(kind, "handler_runs")
                    self.assertEqual(runs.read_text().count(f"{step['action_id']} "), step["times"])
            self.assertIsNone(sender.process.poll())


if __name__ == "__main__":
    unittest.main()
