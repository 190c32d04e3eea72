# SPDX-License-Identifier: MIT
"""Updates with smp-query upgrade against smp-sim: through the reboot, over interruptions, and over bad lines."""

import json
import os
import subprocess
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from integration import devices
from integration.simulator import simulate
from tools import BIN, TIMEOUT, run

IMAGE = devices.image((2, 0, 0, 7), size=3000)
PROVE = "FIELDPIPE_PROVE" in os.environ

# The requests of an undisturbed update, whose device goes at once when it is told to reset: parameters, state,
# parameters, nine parts, state, mark, reset, parameters, state, confirm. An interruption comes with the request of this
# number: two before the upload, four in it, and each one behind it.
POINTS = (1, 2, 4, 5, 8, 11, 13, 14, 15, 17, 18)
KINDS = ("killed", "rebooted", "cut")


class Updates(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.image = self.folder / "fw.bin"
        self.image.write_bytes(IMAGE)

    def command(self, device, *options):
        return [BIN / "smp-query", "-c", device.place, "--timeout", "300ms", "--wait", "10s", "upgrade", self.image, *options]

    def upgrade(self, device, *options, status=0):
        done = run(*self.command(device, *options), env=device.environment)
        self.assertEqual(done.returncode, status, done.stderr)
        return json.loads(done.stdout)

    def slots(self, device):
        done = run("smp-query", "-c", device.place, "--wait", "10s", "image", "state", env=device.environment)
        return [(slot["slot"], slot["hash"], slot["confirmed"]) for slot in json.loads(done.stdout)["images"]]


class EndToEnd(Updates):
    def test_test_reboot_confirm(self):
        for transport in ("serial", "udp", "ble"):
            with self.subTest(transport), simulate(transport) as device:
                done = self.upgrade(device)
                self.assertEqual((done["result"], done["version"], done["before"]), ("running", "2.0.0+7", "1.0.0"))
                self.assertEqual(done["upload"], {"bytes": len(IMAGE), "resumed_at": 0, "repairs": 0})
                self.assertEqual(self.upgrade(device)["result"], "already-running")
                self.assertEqual(self.slots(device), [(0, IMAGE[-32:].hex(), True)])

    def test_an_image_that_does_not_start(self):
        for transport in ("serial", "udp", "ble"):
            with self.subTest(transport), simulate(transport, "--crash") as device:
                done = self.upgrade(device, status=1)
                self.assertEqual(done["result"], "reverted")
                self.assertEqual(self.slots(device)[0][2], True)
                self.assertNotEqual(self.slots(device)[0][1], IMAGE[-32:].hex())

    def test_a_port_that_goes_away_with_the_reset(self):
        with simulate(f"serial:{self.folder}/port", "--reenumerate", "--boot-time", "300ms") as device:
            self.assertEqual(self.upgrade(device)["result"], "running")
        with simulate("tcp", "--reenumerate", "--boot-time", "300ms") as device:
            self.assertEqual(self.upgrade(device)["result"], "running")

    def test_an_image_that_nobody_confirms_is_left_again(self):
        with simulate("udp", "--reset-delay", "0s") as device:
            self.assertEqual(self.upgrade(device, "--no-confirm")["result"], "testing")
            run("smp-query", "-c", device.place, "reset")
            self.assertEqual(self.slots(device)[0][2], True)
            self.assertNotEqual(self.slots(device)[0][1], IMAGE[-32:].hex())
            self.assertEqual(self.upgrade(device)["result"], "running")


class Interrupted(Updates):
    """Whatever has happened, the same command once more brings the update to its end."""

    def test_the_points_are_what_they_are_called(self):
        with simulate("udp", "--trace", "--reset-delay", "0s") as device:
            self.upgrade(device)
            asked = [(packet[5], packet[7], packet[0] & 2) for direction, packet in device.stop() if direction == "request"]
        parameters, state, part, mark, reset = (0, 6, 0), (1, 0, 0), (1, 1, 2), (1, 0, 2), (0, 5, 2)
        self.assertEqual(asked, [parameters, state, parameters, *[part] * 9, state, mark, reset, parameters, state, mark])
        self.assertEqual(len(asked), POINTS[-1])

    def simulator(self, transport, kind, point):
        options = ["--reset-delay", "0s"]
        if kind == "killed":
            options += ["--trace"]
        elif kind == "rebooted":
            options += ["--reboot-after", point]
        elif transport != "ble":
            options += ["--cut-after", point]
        if transport == "serial":
            return simulate(f"serial:{self.folder}/port-{kind}-{point}", *options)
        # A connection that breaks off is the radio's affair.
        radio = {"radio": ("--mtu", "247", "--leave", str(point))} if (transport, kind) == ("ble", "cut") else {}
        return simulate(transport, *options, **radio)

    def interrupt(self, case):
        """What the first run came to: its status, and what it said."""
        transport, kind, point = case
        with self.simulator(transport, kind, point) as device:
            client = subprocess.Popen(self.command(device), env=device.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            if kind == "killed":
                requests = 0
                while requests < point:
                    requests += device.next_packet()[0] == "request"
                client.kill()
            client.communicate(timeout=TIMEOUT)
            return client.returncode, self.upgrade(device)["result"], self.slots(device)[0]

    def test_the_same_command_repairs_it(self):
        transports = ("serial", "udp", "ble")
        cases = [(transport, kind, point) for row, transport in enumerate(transports) for column, kind in enumerate(KINDS)
                 for number, point in enumerate(POINTS) if PROVE or (row + column + number) % 3 == 0]
        with ThreadPoolExecutor(max_workers=6) as pool:
            outcomes = list(pool.map(self.interrupt, cases))
        for case, (status, result, slot) in zip(cases, outcomes):
            with self.subTest(case):
                self.assertIn(status, (-9, 0) if case[1] == "killed" else (0, 1, 75))
                self.assertIn(result, ("running", "already-running"))
                self.assertEqual(slot, (0, IMAGE[-32:].hex(), True))
        # What the device itself undoes, by a restart under test, is told.
        for case, (status, _, _) in zip(cases, outcomes):
            if case[1] == "rebooted" and case[2] in POINTS[-2:]:
                self.assertEqual(status, 1, case)
        self.assertGreater(sum(status != 0 for status, _, _ in outcomes), len(cases) // 3)


class BadLines(Updates):
    FACTOR = 10 if PROVE else 1

    def setUp(self):
        super().setUp()
        self.content = bytes(range(256)) * 20 * self.FACTOR
        self.image.write_bytes(devices.image((3, 0, 0, 0), size=12000 * self.FACTOR))
        (self.folder / "file").write_bytes(self.content)

    def check(self, transport, *faults):
        """Uploads an image and a file over a bad line, and asks the device what has arrived."""
        with simulate(transport, *faults) as device:
            def ask(*words):
                done = run("smp-query", "-c", device.place, "--timeout", "500ms", "--retries", "10", *words, env=device.environment)
                self.assertEqual(done.returncode, 0, done.stderr)
                return json.loads(done.stdout)

            self.assertGreater(ask("image", "upload", self.image)["repairs"], 0)
            self.assertEqual(ask("image", "state")["images"][1]["hash"], self.image.read_bytes()[-32:].hex())
            ask("fs", "upload", self.folder / "file", "/lfs1/file")
            ask("fs", "download", "/lfs1/file", self.folder / f"{transport}-back")
            self.assertEqual((self.folder / f"{transport}-back").read_bytes(), self.content)

    def test_uploads_arrive_whole(self):
        # UDP and Bluetooth have no checksum of their own that would find what is garbled.
        mixed = ("--drop", "0.05", "--duplicate", "0.05", "--reorder", "0.05")
        with ThreadPoolExecutor() as pool:
            checks = [pool.submit(self.check, "serial", "--drop", "0.05", "--garble", "0.05"),
                      pool.submit(self.check, "udp", *mixed), pool.submit(self.check, "ble", *mixed)]
            for check in checks:
                check.result()


if __name__ == "__main__":
    unittest.main()
