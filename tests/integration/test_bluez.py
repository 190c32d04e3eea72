# SPDX-License-Identifier: MIT
"""lib/bluez against a fake org.bluez: finding, connecting, pairing, and packets over sockets and over D-Bus."""

import subprocess
import unittest

from integration.bluetooth import BUILD, Bluetooth

DRIVER = BUILD / "tests" / "bluez_driver"
UNAVAILABLE, REFUSED, DENIED = 6, 3, 7  # ErrorCode


def drive(radio, *arguments):
    done = subprocess.run([DRIVER, *map(str, arguments)], env=radio.environment, stdout=subprocess.PIPE, text=True,
                          timeout=30, check=False)
    return done.stdout.strip()


@unittest.skipUnless(DRIVER.exists(), "built without Bluetooth")
class Links(unittest.TestCase):
    def echo(self, *options, peripheral=Bluetooth.ADDRESS, passkey="-", size=213, seconds=20):
        with Bluetooth(*options) as radio:
            return drive(radio, "echo", peripheral, passkey, size, seconds)

    def test_pieces_are_as_the_mtu_allows(self):
        self.assertEqual(self.echo("--mtu", 65), "same in 4 pieces of 62")
        self.assertEqual(self.echo("--mtu", 23), "same in 11 pieces of 20")
        self.assertEqual(self.echo("--mtu", 517), "same in 1 pieces of 512")

    def test_notifications_may_be_of_any_size(self):
        self.assertEqual(self.echo("--piece", 1), "same in 213 pieces of 62")

    def test_without_sockets(self):
        self.assertEqual(self.echo("--sockets", "no"), "same in 4 pieces of 62")
        # Equal values in a row are as many notifications.
        self.assertEqual(self.echo("--sockets", "no", "--piece", 1), "same in 213 pieces of 62")

    def test_by_name_and_in_lower_case(self):
        self.assertEqual(self.echo(peripheral=Bluetooth.NAME), "same in 4 pieces of 62")
        self.assertEqual(self.echo(peripheral=Bluetooth.ADDRESS.lower()), "same in 4 pieces of 62")

    def test_a_device_that_appears_while_it_is_looked_for(self):
        self.assertEqual(self.echo("--known", "no"), "same in 4 pieces of 62")

    def test_a_device_that_is_connected_already(self):
        self.assertEqual(self.echo("--resolved", "yes"), "same in 4 pieces of 62")

    def test_a_device_that_is_not_there(self):
        self.assertEqual(self.echo(peripheral="Another Device", seconds=1),
                         f"failed {UNAVAILABLE} no such device was seen in time")

    def test_pairing_with_a_passkey(self):
        for sockets in "yes", "no":
            with self.subTest(sockets=sockets), Bluetooth("--bond", "123456", "--sockets", sockets) as radio:
                self.assertEqual(drive(radio, "echo", radio.ADDRESS, "123456", 100, 20), "same in 2 pieces of 62")
                self.assertEqual(radio.stop(), "paired\n")

    def test_pairing_with_a_wrong_passkey(self):
        with Bluetooth("--bond", "123456") as radio:
            self.assertEqual(drive(radio, "echo", radio.ADDRESS, "654321", 100, 20),
                             f"failed {DENIED} pairing: org.bluez.Error.AuthenticationFailed: Authentication Failed")
            self.assertEqual(radio.stop(), "not paired\n")

    def test_pairing_without_a_passkey(self):
        with Bluetooth("--bond", "justworks") as radio:
            self.assertEqual(drive(radio, "echo", radio.ADDRESS, "-", 100, 20), "same in 2 pieces of 62")
            self.assertEqual(radio.stop(), "paired\n")

    def test_a_passkey_that_nobody_has(self):
        with Bluetooth("--bond", "123456") as radio:
            self.assertIn("AuthenticationFailed", drive(radio, "echo", radio.ADDRESS, "-", 100, 20))

    def test_a_device_that_goes_away(self):
        for sockets in "yes", "no":
            with self.subTest(sockets=sockets):
                self.assertEqual(self.echo("--leave", 2, "--sockets", sockets),
                                 f"failed {UNAVAILABLE} the device disconnected")

    def test_an_adapter_that_is_off(self):
        self.assertEqual(self.echo("--powered", "no"), f"failed {UNAVAILABLE} adapter hci0: is off")

    def test_nobody_is_org_bluez(self):
        with Bluetooth(bluez=False) as radio:
            self.assertIn(f"failed {UNAVAILABLE} org.freedesktop.DBus.Error.ServiceUnknown",
                          drive(radio, "echo", radio.ADDRESS, "-", 1, 20))

    def test_scan(self):
        with Bluetooth("--known", "no") as radio:
            self.assertEqual(drive(radio, "scan"), "C0:FF:EE:00:00:01 Bench Device -58 1")


if __name__ == "__main__":
    unittest.main()
