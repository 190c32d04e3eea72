# SPDX-License-Identifier: MIT
"""smp-query over Bluetooth: finding a device, and its bond. The device is smp-sim behind a fake org.bluez."""

import json
import tempfile
import unittest
from pathlib import Path

from integration.bluetooth import FAKE, Bluetooth
from integration.peers import Running
from integration.simulator import simulate
from tools import environment, run


@unittest.skipUnless(FAKE.exists(), "built without Bluetooth")
class OverBluetooth(unittest.TestCase):
    def setUp(self):
        self.sim = self.enterContext(Running("smp-sim", "--listen", "udp", env=environment()))
        self.port = self.sim.stdout.readline().decode().strip().rsplit(":", 1)[1]

    def query(self, radio, *arguments, status=0):
        done = run("smp-query", *arguments, env=radio.environment)
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def test_scan(self):
        with Bluetooth("--known", "no") as radio:
            found = [json.loads(line) for line in self.query(radio, "scan", "--wait", "2s").stdout.splitlines()]
            self.assertEqual([line for line in found if line["kind"] == "ble"],
                             [{"kind": "ble", "connect": f"ble:{radio.ADDRESS}", "name": radio.NAME, "rssi": -58, "smp": True,
                               "paired": False}])

    def test_scan_without_bluetooth(self):
        with Bluetooth(bluez=False) as radio:
            self.assertNotIn(b"ble", self.query(radio, "scan", "--wait", "100ms").stdout)

    def test_by_address_and_by_name(self):
        with Bluetooth("--udp", self.port) as radio:
            for peer in radio.ADDRESS, radio.NAME:
                done = self.query(radio, "-c", f"ble:{peer}", "echo", "over the air")
                self.assertIn(b"over the air", done.stdout)

    def test_notifications_of_more_than_an_attribute(self):
        text = "x" * 1000
        with simulate("ble", "--buf-size", "2048", radio=("--mtu", "517")) as device:
            done = run("smp-query", "-c", device.place, "--timeout", "5s", "echo", text, env=device.environment)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertEqual(json.loads(done.stdout), {"r": text})

    def test_while_another_program_connects(self):
        with Bluetooth("--udp", self.port, "--busy", "6") as radio:
            self.query(radio, "-c", f"ble:{radio.ADDRESS}", "echo", "x")
        with Bluetooth("--udp", self.port, "--busy", "1000") as radio:
            done = self.query(radio, "-c", f"ble:{radio.ADDRESS}", "--connect-timeout", "2s", "echo", "x", status=75)
            self.assertIn(b"org.bluez.Error.InProgress", done.stderr)

    def test_a_device_that_wants_a_passkey(self):
        with tempfile.TemporaryDirectory() as folder, Bluetooth("--udp", self.port, "--bond", "4711") as radio:
            file = Path(folder, "passkey")
            file.write_text("004711\n")
            file.chmod(0o600)
            self.query(radio, "-c", f"ble:{radio.ADDRESS}", "--passkey-file", str(file), "echo", "x")
            self.assertEqual(radio.stop(), "paired\n")

    def test_a_passkey_that_is_wrong_or_none(self):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "passkey")
            for text, message in (("1234", b"AuthenticationFailed"), ("secret", b"a passkey is a number from 0 to 999999")):
                with self.subTest(text=text), Bluetooth("--udp", self.port, "--bond", "4711") as radio:
                    file.write_text(text)
                    file.chmod(0o600)
                    done = self.query(radio, "-c", f"ble:{radio.ADDRESS}", "--passkey-file", str(file), "echo", "x", status=77)
                    self.assertIn(message, done.stderr)
                    self.assertNotIn(b"secret", done.stderr)

    def test_just_works(self):
        with Bluetooth("--udp", self.port, "--bond", "justworks") as radio:
            self.query(radio, "-c", f"ble:{radio.ADDRESS}", "--pair", "echo", "x")
            self.assertEqual(radio.stop(), "paired\n")

    def test_no_such_device(self):
        with Bluetooth("--udp", self.port) as radio:
            done = self.query(radio, "-c", "ble:Another Device", "--connect-timeout", "300ms", "echo", "x", status=75)
            self.assertIn(b"no such device was seen in time", done.stderr)

    def test_a_device_that_goes_away(self):
        with Bluetooth("--udp", self.port, "--leave", "0") as radio:
            done = self.query(radio, "-c", f"ble:{radio.ADDRESS}", "--retries", "0", "echo", "x", status=75)
            self.assertIn(b"the device disconnected", done.stderr)


if __name__ == "__main__":
    unittest.main()
