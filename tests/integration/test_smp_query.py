# SPDX-License-Identifier: MIT
"""smp-query against a device of our own: every command on every transport, and devices that misbehave."""

import json
import os
import select
import signal
import socket
import struct
import tempfile
import time
import unittest
from pathlib import Path

import tools
from integration import devices, peers
from integration.devices import Device, RawTerminal, Tcp, Terminal, Udp, frames
from tools import run

KEY = "0123456789abcdef0123456789ABCDEF"
IMAGE = devices.image()
OTHER = devices.image((2, 0, 0, 0), size=5000)


def query(place, *words, **options):
    return run("smp-query", "-c", place, *words, **options)


def result(place, *words, status=0, **options):
    """The object that a command prints."""
    done = query(place, *words, **options)
    if done.returncode != status:
        raise AssertionError(f"{words}: status {done.returncode}: {done.stdout!r} {done.stderr!r}")
    return json.loads(done.stdout)


class Leaving(Tcp):
    """A device that is gone before it has answered the reset, and does not come back."""

    def serve(self):
        with self.listener:
            if not self.readable(self.listener):
                return
            connection, _ = self.listener.accept()
        with connection:
            self.device.handlers[(0, 5, True)] = lambda request: connection.shutdown(socket.SHUT_RDWR)
            self.talk(connection.fileno())


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.image = self.folder / "fw.bin"
        self.image.write_bytes(IMAGE)

    def serve(self, kind, device=None, **options):
        return self.enterContext(kind(device or Device(), **options))


class Commands(Files):
    def check_all(self, place, device):
        state = {"images": [{"image": 0, "slot": 0, "version": "1.0.0", "hash": device.slots[0].hash.hex(), "bootable": True,
                             "pending": False, "confirmed": True, "active": True, "permanent": False}], "splitStatus": 0}
        info = {"device_serial": "DEMO1", "hardware_version": "dvt", "software_type": "app", "current_version": "1.0.0"}
        for words, expected in [
            ("memfault", info), ("memfault info", info), ("memfault --show-key", info | {"project_key": KEY}),
            ("memfault key", {"project_key": KEY}), ("echo hello", {"r": "hello"}), ("params", {"buf_size": 384, "buf_count": 4}),
            ("info", {"kernel": "Zephyr", "release": "4.4.0"}), ("bootloader", {"bootloader": "MCUboot", "mode": 3, "no-downgrade": True}),
            ("tasks", {"tasks": {"idle": {"prio": 15, "tid": 1, "state": 0, "stksiz": 64, "stkuse": 6}}}),
            ("pools", {"pool": {"blksiz": 64, "nblks": 10, "nfree": 7, "min": 3}}), ("datetime", {"datetime": "2026-08-01T12:34:56"}),
            ("datetime set", {}), ("reset", {}), ("image state", state), ("image confirm", state),
            ("image slots", {"images": [{"image": 0, "slots": [{"slot": 0, "size": 524288}, {"slot": 1, "size": 524288, "upload_image_id": 0}]}]}),
            ("stat list", {"stat_list": ["smp_svr_stats"]}), ("stat read smp_svr_stats", {"name": "smp_svr_stats", "fields": {"ticks": 7}}),
            ("settings read app/interval", {"val": "2c010000"}), ("settings write app/interval hex:ff", {}),
            ("settings read app/interval", {"val": "ff"}), ("settings write app/interval text", {}), ("settings load", {}),
            ("settings save", {}), ("settings commit", {}), ("settings delete app/interval", {}), ("fs status /lfs/a.txt", {"len": 5}),
            ("fs hash /lfs/a.txt", {"type": "crc32", "len": 5, "output": 907060870}), ("fs types", {"types": {"crc32": {"format": 0, "size": 4}}}),
            ("fs close", {}), ("shell -- kernel -v", {"o": "kernel -v\r\n", "ret": 0}),
            ("enum", {"groups": [{"group": 0, "name": "os mgmt", "handlers": 9}]}), ("storage erase", {}),
            ("raw 0 6 read", {"buf_size": 384, "buf_count": 4}), ('raw settings 0 write {"name":"a","val":{"$bytes":"00ff"}}', {}),
            ("image erase", {}),
        ]:
            with self.subTest(place=place.split(":")[0], words=words):
                self.assertEqual(result(place, *words.split(" ")), expected)
        self.assertEqual(device.settings["a"], b"\x00\xff")

    def test_every_command_on_every_transport(self):
        for kind in (Udp, Tcp, Terminal, RawTerminal):
            device = Device()
            with kind(device) as server:
                self.check_all(server.place, device)

    def test_version_1_and_ipv6(self):
        device = Device()
        with Udp(device, socket.AF_INET6) as server:
            self.assertEqual(result(server.place, "--smp-version", "1", "echo", "x"), {"r": "x"})

    def test_files_there_and_back(self):
        device = Device()
        content = bytes(range(256)) * 20
        (self.folder / "big").write_bytes(content)
        for kind in (Udp, Terminal):
            with kind(device) as server:
                self.assertEqual(result(server.place, "fs", "upload", self.folder / "big", "/lfs/big"),
                                 {"bytes": len(content), "resumed_at": 0, "repairs": 0})
                self.assertEqual(device.files["/lfs/big"], content)
                self.assertEqual(result(server.place, "fs", "download", "/lfs/big", self.folder / "back"), {"bytes": len(content)})
                self.assertEqual((self.folder / "back").read_bytes(), content)

    def test_the_key_is_saved_before_anything_is_printed(self):
        server = self.serve(Udp)
        path = self.folder / "key"
        record = result(server.place, "memfault", "--save-project-key", path)
        self.assertNotIn("project_key", record)
        self.assertEqual(path.read_text(), KEY + "\n")
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)

    def test_a_key_that_is_none_is_not_saved(self):
        for key, why in ("", "of 0 characters"), ("0123456789abcdef0123456789ABCDE\n", "a character that is none of A-Z a-z 0-9"):
            device = Device()
            device.handlers[(128, 1, False)] = lambda request, key=key: {"project_key": key}
            with Udp(device) as server:
                done = query(server.place, "memfault", "--save-project-key", self.folder / "key")
                self.assertEqual((done.returncode, done.stdout), (65, b""))
                self.assertIn(why.encode(), done.stderr)
                self.assertFalse((self.folder / "key").exists())
                # What is printed is what the device has, whatever it is.
                self.assertEqual(result(server.place, "memfault", "key"), {"project_key": key})

    def test_a_port_that_goes_with_the_reset_is_no_failure(self):
        self.assertEqual(result(self.serve(Leaving).place, "reset"), {})
        done = query(self.serve(Leaving).place, "-", stdin=b'{"cmd":["params"]}\n{"cmd":["reset"]}\n{"cmd":["params"]}\n')
        self.assertEqual([list(json.loads(line)) for line in done.stdout.splitlines()][:2], [["result"], ["result"]])
        self.assertEqual(done.returncode, 75)

    def test_what_the_memfault_group_lacks_is_named(self):
        for answer, status, text in [({"rc": 8}, 69, "CONFIG_MEMFAULT_MCUMGR_GRP"), ({"rc": 11}, 77, "access callback"),
                                     ({"err": {"group": 128, "rc": 2}}, 69, "CONFIG_MEMFAULT_PROJECT_KEY"),
                                     ({"rc": 5}, 69, "CONFIG_MEMFAULT_PROJECT_KEY"), ({"rc": 7}, 69, "NETBUF_SIZE")]:
            device = Device()
            device.handlers[(128, 1, False)] = lambda request, answer=answer: answer
            with Udp(device) as server:
                done = query(server.place, "memfault", "--show-key")
            self.assertEqual((done.returncode, done.stdout), (status, b""))
            self.assertIn(text, done.stderr.decode())

    def test_errors_of_a_device_and_their_statuses(self):
        for answer, status, error in [
            ({"rc": 3, "rsn": "no slot"}, 69, {"group": "general", "code": "EINVAL", "rc": 3, "message": "echo: the device answers: error EINVAL (3): no slot"}),
            ({"rc": 10}, 75, {"group": "general", "code": "EBUSY", "rc": 10, "message": "echo: the device answers: error EBUSY (10)"}),
            ({"rc": 11}, 77, {"group": "general", "code": "EACCESSDENIED", "rc": 11, "message": "echo: the device answers: error EACCESSDENIED (11)"}),
            ({"err": {"group": 1, "rc": 9}}, 69, {"group": "image", "code": "NO_FREE_SLOT", "rc": 9, "message": "echo: the device answers: image error NO_FREE_SLOT (9)"}),
            ({"err": {"group": 77, "rc": 5}}, 69, {"group": "group 77", "code": None, "rc": 5, "message": "echo: the device answers: group 77 error 5"}),
        ]:
            device = Device()
            device.handlers[(0, 0, True)] = lambda request, answer=answer: answer
            with Udp(device) as server:
                done = query(server.place, "--json-errors", "echo", "x")
            self.assertEqual((done.returncode, json.loads(done.stdout)), (status, {"error": error}))
            self.assertEqual(done.stderr.decode(), f"smp-query: {error['message']}\n")

    def test_a_shell_command_that_fails(self):
        server = self.serve(Udp)
        done = query(server.place, "shell", "--", "false")
        self.assertEqual((done.returncode, json.loads(done.stdout)), (1, {"o": "false\r\n", "ret": -8}))
        self.assertEqual(done.stderr, b"smp-query: shell: status -8\n")


class Misbehaving(Files):
    def answering(self, make):
        """A device whose answers go through make(header, payload of the right answer) -> list of packets."""
        device = Device()
        right = device.packet
        device.packet = lambda data: make(data, right(data)[0])
        return device

    def outcome(self, make, *words, status):
        with Udp(self.answering(make)) as server:
            done = query(server.place, "--timeout", "200ms", "--retries", "0", *(words or ("echo", "hi")))
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stderr.decode()

    def test_foreign_answers_are_passed_over(self):
        def changed(at, value):
            return lambda data, answer: [answer[:at] + bytes([value(answer[at])]) + answer[at + 1:]]

        for at, value in [(0, lambda op: op ^ 2), (0, lambda op: op - 1), (5, lambda group: group + 1),
                          (6, lambda sequence: sequence + 1 & 255), (7, lambda command: command + 1)]:
            wrong = changed(at, value)
            self.assertIn("no answer within 200ms", self.outcome(wrong, status=75))
            # And the right one behind it counts.
            self.outcome(lambda data, answer: wrong(data, answer) + [answer], status=0)
        self.outcome(lambda data, answer: [data, b"", b"abc", answer], status=0)

    def test_answers_that_make_no_sense(self):
        for payload, text in [(b"\xa1\x61r", "CBOR ends"), (b"\xbf\x61r\x62hi", "CBOR ends"), (b"\x81\x62hi", "not a map"),
                              (b"\xa2\x61r\x62hi\x61r\x62ho", "'r' stands twice"), (b"\xa1\x61r" + b"\x81" * 64 + b"\0", "limit"),
                              (b"\xa1\x61r\x5b\x7f" + b"\xff" * 7, "CBOR"), (b"\xa1\x61r\x9b\0\0\0\1\0\0\0\0", "CBOR"),
                              (b"\xa1\x61r\x05", "r: is not a text"), (b"\xa0", "r is missing"), (b"\xa1\x62rc\x61x", "rc is not"),
                              (b"\xa1\x63err\xa1\x65group\0", "err is not")]:
            def hostile(data, answer, payload=payload):
                return [answer[:2] + struct.pack(">H", len(payload)) + answer[4:8] + payload]

            self.assertIn(text, self.outcome(hostile, status=65))
        self.assertIn("2 of the 7 payload bytes", self.outcome(lambda data, answer: [answer[:10]], status=65))

    def test_a_request_that_no_packet_holds(self):
        for kind in (Udp, Tcp, RawTerminal):
            done = query(self.serve(kind).place, "echo", "x" * 65521)
            self.assertEqual(done.returncode, 64)
            self.assertIn(b"echo: a request of 65527 bytes, a packet holds 65525", done.stderr)

    def test_a_device_that_claims_more_than_a_frame_holds(self):
        self.image.write_bytes(devices.image(size=200000))
        self.assertEqual(result(self.serve(Tcp, Device(buffer_bytes=1 << 20)).place, "image", "upload", self.image),
                         {"bytes": 200072, "resumed_at": 0, "repairs": 0})

    def test_the_file_is_not_blamed_for_the_device(self):
        device = Device()
        device.handlers[(1, 1, True)] = device.handlers[(8, 0, True)] = lambda request: {"off": 99999}
        server = self.serve(Udp, device)
        for words in ("image", "upload", self.image), ("upgrade", self.image), ("fs", "upload", self.image, "/lfs/a"):
            done = query(server.place, *words)
            self.assertEqual(done.returncode, 65)
            self.assertIn(b"malformed answer: the device goes on at byte 99999 of", done.stderr)
            self.assertNotIn(str(self.image).encode(), done.stderr)

    def test_success_with_a_status_of_0(self):
        device = Device()
        device.handlers[(0, 0, True)] = lambda request: {"rc": 0, "r": request["d"]}
        with Udp(device) as server:
            self.assertEqual(result(server.place, "echo", "x"), {"r": "x"})

    def test_reads_are_repeated_and_shells_are_not(self):
        device = Device()
        lost = []
        right = device.packet

        def lossy(data):
            lost.append(data)
            return right(data) if len(lost) > 2 else []

        device.packet = lossy
        with Udp(device) as server:
            self.assertEqual(result(server.place, "--timeout", "50ms", "params"), {"buf_size": 384, "buf_count": 4})
            self.assertEqual((len(lost), len(set(lost))), (3, 1))
            device.packet = lambda data: lost.append(data) or []
            lost.clear()
            done = query(server.place, "--timeout", "50ms", "shell", "reboot")
            self.assertEqual((done.returncode, len(lost)), (75, 1))
            lost.clear()
            self.assertEqual(query(server.place, "--timeout", "50ms", "settings", "write", "a", "b").returncode, 75)
            self.assertEqual(len(lost), 1)

    def test_an_answer_to_an_earlier_attempt_counts(self):
        device = Device()
        right, late = device.packet, []

        def slow(data):
            late.extend(right(data))
            return late[:1] if len(late) == 2 else []

        device.packet = slow
        with Udp(device) as server:
            self.assertEqual(result(server.place, "--timeout", "1s", "--retries", "1", "params"), {"buf_size": 384, "buf_count": 4})

    def test_a_time_limit_that_was_asked_for_holds_for_slow_commands_too(self):
        device = Device()
        device.packet = lambda data: []
        with Udp(device) as server:
            for words in ("fs", "hash", "/lfs/a.txt"), ("image", "erase"), ("storage", "erase"):
                done = query(server.place, "--timeout", "50ms", "--retries", "0", *words)
                self.assertEqual(done.returncode, 75)
                self.assertIn(b"no answer within 50ms", done.stderr)

    def test_a_line_that_dribbles_does_not_extend_the_time(self):
        class Dribbling(Terminal):
            def talk(self, descriptor):
                while self.readable(descriptor):
                    os.read(descriptor, 65536)
                    for byte in frames(b"\x0b" * 300):
                        if select.select([self.wake], [], [], 0.02)[0]:
                            return
                        os.write(descriptor, bytes([byte]))

        server = self.serve(Dribbling)
        begin = time.monotonic()
        done = query(server.place, "--timeout", "300ms", "--retries", "0", "params")
        self.assertEqual(done.returncode, 75)
        self.assertLess(time.monotonic() - begin, 2)

    def test_modem_lines_are_set_as_asked(self):
        server, log = self.serve(Terminal), self.folder / "trace"
        for option, line, call in (("--dtr", "off", "TIOCMBIC, [TIOCM_DTR]"), ("--rts", "on", "TIOCMBIS, [TIOCM_RTS]")):
            done = run("/usr/bin/strace", "-e", "trace=ioctl", "-o", log, tools.BIN / "smp-query", "-c", server.place, option, line, "params",
                       env=tools.environment(ASAN_OPTIONS="detect_leaks=0"))  # cannot be traced
            # A pseudo terminal has no such lines.
            self.assertEqual(done.returncode, 74)
            self.assertIn(f"{option[2:].upper()}: Inappropriate ioctl for device", done.stderr.decode())
            self.assertIn(call, log.read_text())

    def test_a_frame_after_a_prompt_and_log_text_goes_to_the_console(self):
        server = self.serve(Terminal)
        log = self.folder / "log"
        self.assertEqual(result(server.place, "--console", log, "echo", "x"), {"r": "x"})
        self.assertEqual(log.read_bytes(), Terminal.noise + b"uart:~$ ")

    def test_a_console_file_that_takes_no_more_stops_nothing(self):
        class Loud(Terminal):
            noise = b"tick\r\n" * 30000

        server = self.serve(Loud)
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        self.addCleanup(os.close, os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))
        for console, why in (pipe, b"Resource temporarily unavailable"), ("/dev/full", b"No space left on device"):
            with self.subTest(console=str(console)):
                done = query(server.place, "--console", console, "echo", "x")
                self.assertEqual((done.returncode, json.loads(done.stdout)), (0, {"r": "x"}))
                self.assertEqual(done.stderr.count(why + b"; text of the console is lost\n"), 1)

    def test_a_shell_that_swallows_the_first_frame_hears_the_second(self):
        class Shell(Terminal):
            def talk(self, descriptor):
                # Half a typed command is in the line; a line feed by itself clears it.
                while self.readable(descriptor):
                    data = os.read(descriptor, 65536)
                    if data == b"\n":
                        return super().talk(descriptor)

        server = self.serve(Shell)
        self.assertEqual(result(server.place, "--timeout", "200ms", "echo", "x"), {"r": "x"})

    def test_a_port_that_goes_away(self):
        class Leaving(Terminal):
            def serve(self):
                self.readable(self.master)
                os.close(self.master)
                os.close(self.slave)

        server = self.serve(Leaving)
        done = query(server.place, "params")
        self.assertEqual((done.returncode, done.stderr), (75, b"smp-query: params: the port has gone\n"))

    def test_a_device_that_appears_later(self):
        device = Device()
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        listener.close()
        process = peers.Running("smp-query", "-c", f"tcp:127.0.0.1:{port}", "--wait", "30s", "params")
        server = Tcp(device)
        server.listener.close()
        server.listener = socket.create_server(("127.0.0.1", port))
        with server:
            code, out = process.finish()
        self.assertEqual((code, json.loads(out)), (0, {"buf_size": 384, "buf_count": 4}))

    def test_a_download_that_makes_no_progress(self):
        for answer, text in [({"off": 0, "data": b"", "len": 10}, "no data at byte 0 of 10"), ({"off": 0, "data": b"abc"}, "len is missing"),
                             ({"off": 3, "data": b"abc", "len": 3}, "was asked for"), ({"off": 0, "data": b"abc", "len": 2}, "more than the 2 bytes")]:
            device = Device()
            device.handlers[(8, 0, False)] = lambda request, answer=answer: answer
            with Udp(device) as server:
                done = query(server.place, "fs", "download", "/x", self.folder / "x")
            self.assertEqual(done.returncode, 65)
            self.assertIn(text, done.stderr.decode())
            self.assertFalse((self.folder / "x").exists())

    def test_a_stop_signal(self):
        device = Device()
        device.packet = lambda data: []
        with Udp(device) as server:
            process = peers.Running("smp-query", "-c", server.place, "--timeout", "1h", "--console", self.folder / "log", "params")
            peers.wait_for(lambda: server.socket.fileno() >= 0, "server")
            process.signal(signal.SIGTERM)
            self.assertEqual(process.finish()[0], -signal.SIGTERM)


class Batches(Files):
    def answers(self, place, lines, *options, status=0):
        done = query(place, *options, "-", stdin="".join(line + "\n" for line in lines).encode())
        self.assertEqual(done.returncode, status, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_answers_come_in_order_whatever_the_request_is(self):
        server = self.serve(Udp)
        lines = ['{"id":1,"cmd":["echo","a"]}', '{"id":"x","group":0,"command":6,"op":"read","payload":{}}', "",
                 '{"cmd":["info"]}', '{"id":[2],"cmd":["frob"]}', '{"id":null,"cmd":["raw","77","0","read"]}', "nonsense",
                 f'{{"id":3,"cmd":["memfault","--show-key"]}}', '{"id":4,"group":"settings","command":0,"op":"write","payload":{"name":"b","val":{"$bytes":"01"}}}',
                 '{"id":5,"cmd":["shell","ls","--all"]}', '{"id":6,"cmd":["echo","z"]}']
        answers = self.answers(server.place, lines, status=1)
        self.assertEqual(answers[:3], [{"id": 1, "result": {"r": "a"}}, {"id": "x", "result": {"buf_size": 384, "buf_count": 4}},
                                       {"result": {"kernel": "Zephyr", "release": "4.4.0"}}])
        self.assertEqual((answers[3]["id"], answers[3]["error"]["code"]), ([2], "USAGE"))
        self.assertEqual((answers[4]["id"], answers[4]["error"]["code"]), (None, "ENOTSUP"))
        self.assertEqual(answers[5]["error"]["code"], "MALFORMED")
        self.assertEqual(answers[6]["result"]["project_key"], KEY)
        self.assertEqual(answers[7:], [{"id": 4, "result": {}}, {"id": 5, "result": {"o": "ls --all\r\n", "ret": 0}},
                                       {"id": 6, "result": {"r": "z"}}])

    def test_many_requests_overlap_and_each_gets_its_answer(self):
        device = Device(buffers=5)
        server = self.serve(Udp, device)
        count = 2000
        answers = self.answers(server.place, [f'{{"id":{number},"cmd":["echo","{number}"]}}' for number in range(count)])
        self.assertEqual(answers, [{"id": number, "result": {"r": str(number)}} for number in range(count)])

    def test_each_answer_goes_out_at_once(self):
        server = self.serve(Udp)
        process = peers.Running("smp-query", "-c", server.place, "-")
        for text in ("a", "b"):
            process.stdin.write(f'{{"cmd":["echo","{text}"]}}\n'.encode())
            process.stdin.flush()
            self.assertEqual(json.loads(process.stdout.readline()), {"result": {"r": text}})
        self.assertEqual(process.finish(), (0, b""))

    def test_a_line_that_loses_the_connection_is_answered_too(self):
        lines = [{"id": 1, "cmd": ["params"]}, {"id": 2, "cmd": ["upgrade", str(self.image)]}, {"id": 3, "cmd": ["params"]}]
        done = query(self.serve(Leaving).place, "--reboot-timeout", "100ms", "-",
                     stdin=b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual((done.returncode, [answer["id"] for answer in answers]), (75, [1, 2]))
        self.assertEqual(answers[1]["error"]["code"], "UNAVAILABLE")
        self.assertIn(b"the connection has gone", done.stderr)

    def test_a_reader_that_has_gone(self):
        server = self.serve(Udp)
        process = peers.Running("smp-query", "-c", server.place, "-")
        process.stdin.write(b'{"cmd":["params"]}\n')
        process.stdin.flush()
        process.stdout.readline()
        process.stdout.close()
        self.assertEqual(process.process.wait(tools.TIMEOUT), -signal.SIGPIPE)

    def test_memory_does_not_grow(self):
        server = self.serve(Udp)
        process = peers.Running("smp-query", "-c", server.place, "--window", "3", "-")
        line = b'{"id":1,"cmd":["echo","0123456789012345678901234567890123456789"]}\n'
        for _ in range(30):
            process.stdin.write(line * 100)
            process.stdin.flush()
            for _ in range(100):
                process.stdout.readline()
        if not peers.SANITIZED:
            self.assertLess(peers.peak_memory_kib(process.pid), 12 * 1024)
        self.assertEqual(process.finish(), (0, b""))


class Updates(Files):
    def upgrade(self, place, *options, status=0):
        return result(place, "upgrade", self.image, "--timeout", "500ms", *options, status=status)

    def test_test_reboot_confirm_on_every_transport(self):
        for kind in (Udp, Tcp, Terminal, RawTerminal):
            device = Device()
            with kind(device) as server, self.subTest(kind=kind.__name__):
                done = self.upgrade(server.place)
                self.assertEqual((done["result"], done["version"], done["before"]), ("running", "1.2.3+4", "1.0.0"))
                self.assertEqual(done["upload"], {"bytes": len(IMAGE), "resumed_at": 0, "repairs": 0})
                self.assertEqual((device.slots[0].hash, device.slots[0].confirmed), (IMAGE[-32:], True))
                self.assertEqual(device.resets, 1)
                # Once more: nothing is left to do.
                again = self.upgrade(server.place)
                self.assertEqual((again["result"], device.resets), ("already-running", 1))
                self.assertNotIn("upload", again)

    def test_modes(self):
        for options, expected, confirmed in [(["--mode", "permanent"], "running", True), (["--no-confirm"], "testing", False),
                                             (["--mode", "upload"], "uploaded", None)]:
            device = Device()
            with Udp(device) as server:
                self.assertEqual(self.upgrade(server.place, *options)["result"], expected)
                if confirmed is not None:
                    self.assertEqual((device.slots[0].hash, device.slots[0].confirmed), (IMAGE[-32:], confirmed))

    def test_a_plan_changes_nothing(self):
        device = Device()
        with Udp(device) as server:
            self.assertEqual(self.upgrade(server.place, "--dry-run")["steps"], ["upload", "test", "reset", "confirm"])
            self.assertEqual(self.upgrade(server.place, "--dry-run", "--mode", "permanent")["steps"], ["upload", "permanent", "reset"])
            self.assertTrue(all(not write for _, _, write, _ in device.requests))

    def test_what_is_done_is_not_done_again(self):
        device = Device()
        with Udp(device) as server:
            self.upgrade(server.place, "--mode", "upload")
            self.assertEqual(self.upgrade(server.place, "--dry-run")["steps"], ["test", "reset", "confirm"])
            device.mark({"hash": IMAGE[-32:]})
            self.assertEqual(self.upgrade(server.place, "--dry-run")["steps"], ["reset", "confirm"])
            self.assertEqual(self.upgrade(server.place, "--no-confirm")["result"], "testing")
            self.assertEqual(self.upgrade(server.place, "--dry-run")["steps"], ["confirm"])
            self.assertEqual(self.upgrade(server.place)["result"], "running")

    def test_an_image_that_does_not_start(self):
        device = Device()
        device.reverts = True
        with Udp(device) as server:
            done = self.upgrade(server.place, status=1)
        self.assertEqual(done["result"], "reverted")

    def test_a_device_under_test_takes_no_other_image(self):
        device = Device()
        device.slots[0].confirmed = False
        with Udp(device) as server:
            done = query(server.place, "upgrade", self.image)
        self.assertEqual(done.returncode, 69)
        self.assertIn(b"runs 1.0.0 for a test", done.stderr)

    def test_the_answer_to_the_reset_is_lost(self):
        device = Device()
        reset = device.reset
        device.handlers[(0, 5, True)] = lambda request: reset(request) and None
        with Udp(device) as server:
            self.assertEqual(self.upgrade(server.place)["result"], "running")

    def test_the_reset_is_lost(self):
        device = Device()
        asked = []
        device.handlers[(0, 5, True)] = lambda request: asked.append(1) if not asked else device.reset(request)
        with Udp(device) as server:
            self.assertEqual(self.upgrade(server.place)["result"], "running")

    def test_losses_both_ways(self):
        self.image.write_bytes(devices.image(size=20000))
        for kind in (Udp, Terminal):
            device = Device()
            right, count = device.packet, [0]

            def lossy(data):
                count[0] += 1
                if count[0] % 19 == 7:
                    return []
                answers = right(data)
                if count[0] % 23 == 11:
                    return []
                return answers * 2 if count[0] % 5 == 0 else answers

            device.packet = lossy
            with kind(device) as server:
                done = self.upgrade(server.place)
                self.assertEqual(done["result"], "running")
                self.assertGreater(done["upload"]["repairs"], 0)

    def test_a_device_that_forgets_the_upload(self):
        device = Device()
        take, count = device.take_image, [0]

        def forgetful(request):
            count[0] += 1
            if count[0] == 4:
                device.upload = None
            return take(request)

        device.handlers[(1, 1, True)] = forgetful
        with Udp(device) as server:
            self.assertEqual(self.upgrade(server.place)["result"], "running")

    def upload(self, device, *options, status=0):
        """Uploads the image, and gives the result and the offsets that the device was sent."""
        with Udp(device) as server:
            done = result(server.place, "image", "upload", self.image, "--timeout", "1s", *options, status=status)
        return done, [request["off"] for group, command, _, request in device.requests if (group, command) == (1, 1)]

    def test_the_last_part_is_lost(self):
        device = Device()
        right, lost = device.packet, []

        def lossy(data):
            request, _ = devices.decode(data, 8)
            if not lost and data[5] == 1 and request.get("off", 0) + len(request.get("data", b"")) == len(IMAGE):
                return lost.append(data) or []
            return right(data)

        device.packet = lossy
        begin = time.monotonic()
        done, offsets = self.upload(device)
        self.assertEqual((len(lost), done["bytes"], len(offsets)), (1, len(IMAGE), len(set(offsets))))
        self.assertLess(time.monotonic() - begin, 10)

    def test_the_answer_to_the_last_part_is_lost(self):
        device = Device()
        take, ended = device.take_image, []

        def silent(request):
            answer = take(request)
            if answer["off"] == len(IMAGE):
                return ended.append(answer)
            return answer

        device.handlers[(1, 1, True)] = silent
        done, offsets = self.upload(device)
        self.assertEqual((len(ended), done["bytes"], offsets.count(0)), (1, len(IMAGE), 1))
        self.assertEqual(device.slots[1].hash, IMAGE[-32:])

    def test_the_last_answers_are_all_lost(self):
        device = Device()
        take, ended = device.take_image, []

        def silent(request):
            answer = take(request)
            if not ended and answer["off"] > len(IMAGE) - 600:
                if answer["off"] == len(IMAGE):
                    ended.append(answer)
                return None
            return answer

        device.handlers[(1, 1, True)] = silent
        done, offsets = self.upload(device)
        self.assertEqual((len(ended), done["bytes"], offsets.count(0)), (1, len(IMAGE), 1))

    def test_a_device_that_takes_its_time_to_check_the_image(self):
        for match, status in (True, 0), (False, 69):
            device = Device()
            right, late = device.packet, []

            def checking(data):
                answers = right(data)
                group, command, _, request = device.requests[-1]
                if (group, command) == (1, 1) and request["off"] + len(request["data"]) == len(IMAGE):
                    late.append(answers[0])
                    if len(late) == 1:
                        payload = devices.encode({"off": len(IMAGE), "match": match})
                        late[0] = late[0][:2] + struct.pack(">H", len(payload)) + late[0][4:8] + payload
                    return late if len(late) == 3 else []
                return answers

            device.packet = checking
            with Udp(device) as server:
                done = query(server.place, "image", "upload", self.image, "--timeout", "500ms")
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertEqual(json.loads(done.stdout)["match"] if match else b"holds something else" in done.stderr, True)
            self.assertEqual([request["off"] for group, command, _, request in device.requests if (group, command) == (1, 1)].count(0), 1)

    def test_a_device_that_has_forgotten_all_but_the_last_part_gets_the_image_again(self):
        device = Device()
        take, forgotten = device.take_image, []

        def forgetful(request):
            if not forgotten and request["off"] + len(request["data"]) == len(IMAGE):
                forgotten.append(request)
                device.upload = None
                return {"off": 0}
            return take(request)

        device.handlers[(1, 1, True)] = forgetful
        done, offsets = self.upload(device)
        self.assertEqual((done["bytes"], offsets.count(0)), (len(IMAGE), 2))
        self.assertEqual(device.slots[1].hash, IMAGE[-32:])

    def test_a_device_that_stands_still_for_a_while_is_not_given_up(self):
        device = Device()
        with Udp(device) as server:
            take = device.take_image

            def standing(request):
                if request["off"] > 0 and len(device.requests) < 5:
                    select.select([server.wake], [], [], 2)
                return take(request)

            device.handlers[(1, 1, True)] = standing
            self.assertEqual(result(server.place, "image", "upload", self.image)["bytes"], len(IMAGE))

    def test_an_upload_goes_on_where_it_was(self):
        device = Device()
        take, count = device.take_image, [0]
        device.handlers[(1, 1, True)] = lambda request: (count.__setitem__(0, count[0] + 1), take(request) if count[0] <= 3 else {"rc": 10})[1]
        with Udp(device) as server:
            done = query(server.place, "image", "upload", self.image)
            self.assertEqual(done.returncode, 75, done.stderr)
            device.handlers[(1, 1, True)] = take
            done = result(server.place, "image", "upload", self.image)
            self.assertGreater(done["resumed_at"], 600)

    def test_small_buffers(self):
        for size, named in ((96, False), (128, True), (2048, True)):
            device = Device(buffer_bytes=size)
            with Udp(device) as server:
                self.assertEqual(self.upgrade(server.place)["result"], "running")
            firsts = [request for group, command, write, request in device.requests if (group, command) == (1, 1) and request["off"] == 0]
            self.assertEqual("sha" in firsts[0], named)
        device = Device(buffer_bytes=50)
        with Udp(device) as server:
            done = query(server.place, "upgrade", self.image)
        self.assertEqual(done.returncode, 69)
        self.assertIn(b"leave room for", done.stderr)

    def test_progress_as_json(self):
        server = self.serve(Udp)
        done = query(server.place, "--progress", "json", "upgrade", self.image)
        steps = [json.loads(line)["progress"] for line in done.stderr.splitlines()]
        self.assertEqual(steps[-2], {"step": "upload", "done": len(IMAGE), "total": len(IMAGE)})
        self.assertEqual(steps[-1]["step"], "reboot")

    def test_files_that_are_no_image(self):
        server = self.serve(Udp)
        self.image.write_bytes(IMAGE[:-1])
        self.assertEqual(query(server.place, "upgrade", self.image).returncode, 65)
        self.image.write_bytes(IMAGE[:100] + b"x" + IMAGE[101:])
        done = query(server.place, "upgrade", self.image)
        self.assertEqual(done.returncode, 65)
        self.assertIn(b"does not have the hash", done.stderr)
        self.assertEqual(query(server.place, "image", "upload", self.folder / "none").returncode, 66)


if __name__ == "__main__":
    unittest.main()
