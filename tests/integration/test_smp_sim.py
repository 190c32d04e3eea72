# SPDX-License-Identifier: MIT
"""Every command of smp-query against smp-sim on every transport, and the packets of both against recorded ones."""

import json
import os
import socket
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from integration import devices
from integration.simulator import TRANSPORTS, Simulator, simulate
from tools import SOURCE, run

GOLDEN = SOURCE / "tests/integration/smp_commands.golden"
VECTORS = SOURCE / "tests/vectors/smp"
IMAGE = devices.image((2, 0, 0, 7), size=3000)
CONTENT = bytes(range(256)) * 4


def read_golden():
    """The commands of the golden file, each with its output: two lines, and an empty one."""
    blocks = GOLDEN.read_text().strip().split("\n\n")
    return [(block.split("\n")[0].removeprefix("$ "), block.split("\n")[1:]) for block in blocks]


class Commands(unittest.TestCase):
    def outcomes(self, transport):
        with tempfile.TemporaryDirectory() as folder, simulate(transport) as device:
            Path(folder, "fw.bin").write_bytes(IMAGE)
            Path(folder, "big").write_bytes(CONTENT)
            outcomes = []
            for command, _ in read_golden():
                words = command.replace("HASH", IMAGE[-32:].hex()).split(" ")
                done = run("smp-query", "-c", device.place, *words, cwd=folder, env=device.environment)
                lines = (done.stdout + done.stderr).decode().splitlines()
                outcomes.append((command, [*lines, f"status {done.returncode}"]))
            self.assertEqual(Path(folder, "back").read_bytes(), CONTENT)
            return outcomes

    def test_every_command_on_every_transport(self):
        with ThreadPoolExecutor() as pool:
            found = dict(zip(TRANSPORTS, pool.map(self.outcomes, TRANSPORTS)))
        if os.environ.get("FIELDPIPE_UPDATE"):
            GOLDEN.write_text("\n\n".join("\n".join([f"$ {command}", *lines]) for command, lines in found["udp"]) + "\n")
        golden = read_golden()
        for transport in TRANSPORTS:
            for expected, outcome in zip(golden, found[transport], strict=True):
                with self.subTest(transport=transport, command=expected[0]):
                    self.assertEqual(outcome, expected)

    def test_the_golden_file_has_every_command(self):
        known = run("smp-query", "-c", "udp:127.0.0.1", "nonsense").stderr.decode().split("hint: ")[1].strip().split(", ")
        self.assertEqual(set(known) - {command.split(" ")[0] for command, _ in read_golden()}, {"scan"})  # asks no device


def read_exchanges():
    """The recorded requests and answers, by name."""
    packets = {}
    for line in (VECTORS / "packets.jsonl").read_text().splitlines():
        vector = json.loads(line)
        if vector["transport"] == "packet":
            packets[vector["name"]] = vector
    return {name.removesuffix(".req"): (vector, packets[vector["pair"]]) for name, vector in packets.items()
            if vector["role"] == "request" and vector.get("pair") in packets}


def without_sequence(packet):
    return packet[:6] + b"\0" + packet[7:]


def as_payload(value):
    """A payload of the vectors as smp-query takes it."""
    return json.loads(json.dumps(value).replace('"$hex"', '"$bytes"'))


class Recorded(unittest.TestCase):
    def test_requests_and_answers_are_those_that_were_recorded(self):
        # Without what the recorded server was built without.
        lacks = [word for part in ("os/3", "os/4", "os/8", "image", "memfault") for word in ("--without", part)]
        chosen = [(name, request, answer) for name, (request, answer) in read_exchanges().items()
                  if request["source"].endswith("native_sim/serial") and request["header"]["op"] in (0, 2)
                  and request["header"]["version"] <= 1 and request["payload"] is not None and name != "settings-save-unsupported"]
        self.assertGreater(len(chosen), 80)
        # One run, with connections of both versions in the order of the recording.
        with Simulator("--listen", "serial", "--trace", *lacks) as device:
            at = 0
            while at < len(chosen):
                version = chosen[at][1]["header"]["version"]
                end = next((i for i in range(at, len(chosen)) if chosen[i][1]["header"]["version"] != version), len(chosen))
                lines = [json.dumps({"group": request["header"]["group"], "command": request["header"]["id"],
                                     "op": "write" if request["header"]["op"] else "read", "payload": as_payload(request["payload"])})
                         for _, request, _ in chosen[at:end]]
                done = run("smp-query", "-c", device.place, "--window", "1", "--smp-version", str(version + 1), "-",
                           stdin="\n".join(lines).encode())
                self.assertEqual(len(done.stdout.splitlines()), end - at, done.stderr)
                at = end
            packets = device.stop()
        self.assertEqual([direction for direction, _ in packets], ["request", "answer"] * len(chosen))
        for (name, request, answer), (_, sent), (_, came) in zip(chosen, packets[::2], packets[1::2]):
            with self.subTest(name):
                self.assertEqual(without_sequence(sent).hex(), without_sequence(bytes.fromhex(request["hex"])).hex())
                ticks = came.find(b"eticks") + len(b"eticks")
                if ticks > len(b"eticks"):
                    # Seconds since the start: 0 when it was recorded, more on a machine that is busy.
                    self.assertLess(came[ticks], 24)
                    came = came[:ticks] + b"\0" + came[ticks + 1:]
                self.assertEqual(without_sequence(came).hex(), without_sequence(bytes.fromhex(answer["hex"])).hex())

    def test_commands_send_what_was_recorded(self):
        exchanges = read_exchanges()
        with tempfile.TemporaryDirectory() as folder, Simulator("--trace") as device:
            Path(folder, "a").write_bytes(b"hello")
            for name, words in {
                    "os-echo": "echo hello", "os-params": "params", "os-taskstat": "tasks", "stat-list": "stat list",
                    "stat-read": "stat read smp_svr_stats", "img-state": "image state", "img-slot-info": "image slots",
                    "img-erase": "image erase", "img-erase-active": "image erase --slot 0", "img-confirm-running": "image confirm",
                    "img-set-unknown-hash": "image test " + "11" * 32, "settings-write-unknown-root": "settings write test/x hex:0102",
                    "settings-delete-unknown": "settings delete test/x", "settings-commit": "settings commit",
                    "settings-load": "settings load", "shell-exec": "shell -- kernel version", "fs-status-missing": "fs status /lfs1/nofile",
                    "fs-hash-sha256": "fs hash /lfs1/a.txt sha256", "fs-hash-types": "fs types", "fs-close": "fs close",
                    "zephyr-erase-storage": "storage erase", "memfault-device-info": "memfault info", "memfault-project-key": "memfault key",
                    "os-reset": "reset"}.items():
                with self.subTest(name):
                    run("smp-query", "-c", device.place, "--retries", "0", *words.split(" "), cwd=folder)
                    direction, packet = device.next_packet()
                    self.assertEqual((direction, without_sequence(packet).hex()),
                                     ("request", without_sequence(bytes.fromhex(exchanges[name][0]["hex"])).hex()))
                    self.assertEqual(device.next_packet()[0], "answer")


class Links(unittest.TestCase):
    def echo(self, place):
        return json.loads(run("smp-query", "-c", place, "echo", "x").stdout)

    def test_a_port_with_a_name_of_its_own(self):
        with tempfile.TemporaryDirectory() as folder:
            port = Path(folder, "port")
            with Simulator("--listen", f"serial:{port}") as device:
                self.assertEqual(device.place, f"serial:{port}")
                self.assertEqual(self.echo(device.place), {"r": "x"})
                device.stop()
            self.assertFalse(port.is_symlink())

    def test_what_the_device_prints_goes_to_the_console(self):
        with tempfile.TemporaryDirectory() as folder, Simulator("--listen", "serial", "--reset-delay", "0s") as device:
            console = Path(folder, "console")
            run("smp-query", "-c", device.place, "reset")
            run("smp-query", "-c", device.place, "--wait", "5s", "--console", console, "params")
            self.assertEqual(console.read_bytes(), b"*** Booting MCUboot v2.2.0 ***\r\n*** Booting Zephyr OS build v4.4.0 ***\r\n")

    def test_serial_recovery_and_back(self):
        with Simulator("--listen", "serial", "--reset-delay", "0s") as device:
            run("smp-query", "-c", device.place, "reset", "--boot-mode", "1")
            parameters = run("smp-query", "-c", device.place, "--wait", "5s", "params")
            self.assertEqual(json.loads(parameters.stdout), {"buf_size": 1024, "buf_count": 1})
            self.assertIn(b"ENOTSUP", run("smp-query", "-c", device.place, "echo", "x").stderr)
            with tempfile.NamedTemporaryFile() as file:
                file.write(IMAGE)
                file.flush()
                done = run("smp-query", "-c", device.place, "upgrade", "--mode", "permanent", file.name)
                self.assertEqual((done.returncode, json.loads(done.stdout)["result"]), (0, "running"), done.stderr)
            info = run("smp-query", "-c", device.place, "--wait", "5s", "memfault")
            self.assertEqual(json.loads(info.stdout)["current_version"], "2.0.0+7")

    def test_a_line_for_which_there_is_no_buffer(self):
        text = "x" * 200
        for room, sent, status in ((), (), 0), ((), ("--line-length", 131), 75), (("--line-length", 131), ("--line-length", 131), 0):
            with self.subTest(room=room, sent=sent), Simulator("--listen", "serial", *room) as device:
                done = run("smp-query", "-c", device.place, "--timeout", "2s", "--retries", "0", "echo", text, *map(str, sent))
                self.assertEqual(done.returncode, status, done.stderr)

    def test_a_frame_behind_a_prompt_is_not_seen(self):
        first, second = (bytes.fromhex(f"0a00000500000{number}00a161646178") for number in (1, 2))
        with Simulator("--listen", "tcp", "--trace") as device:
            host, port = device.place.removeprefix("tcp:").split(":")
            with socket.create_connection((host, int(port))) as connection:
                connection.sendall(b"uart:~$ " + devices.frames(first) + devices.frames(second))
                self.assertEqual(device.next_packet(), ("request", second))

    def test_a_request_for_which_there_is_no_buffer(self):
        # Four under way with room for one: the others are lost, and no answer is made up.
        lines = b"".join(b'{"cmd":["echo","%d"]}\n' % number for number in range(4))
        with Simulator("--buf-count", "2", "--delay", "20ms") as device:
            done = run("smp-query", "-c", device.place, "--window", "4", "--timeout", "300ms", "--retries", "0", "-", stdin=lines)
            results = [json.loads(line) for line in done.stdout.splitlines()]
            self.assertEqual([("result" in result) for result in results], [True, False, False, False])
            self.assertEqual(done.returncode, 1)


if __name__ == "__main__":
    unittest.main()
