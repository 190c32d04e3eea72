# SPDX-License-Identifier: MIT
"""smp-sim for tests: started, asked where it is, and what it has seen."""

import json
import subprocess

from integration.bluetooth import Bluetooth
from tools import BIN, environment

# A device that is back at once.
QUICK = ("--reset-delay", "20ms", "--boot-time", "100ms")


class Simulator:
    """`with Simulator("--listen", "serial") as device: run("smp-query", "-c", device.place, ...)`."""

    def __init__(self, *options):
        self._process = subprocess.Popen([BIN / "smp-sim", *QUICK, *map(str, options)], stdout=subprocess.PIPE,
                                         stderr=subprocess.PIPE, text=True, env=environment())
        self.place = self._process.stdout.readline().strip()
        if not self.place:
            raise AssertionError(self._process.communicate()[1])
        self.environment = environment()

    def next_packet(self):
        """The next packet of --trace, as ("request" or "answer", bytes)."""
        (direction, text), = json.loads(self._process.stdout.readline()).items()
        return direction, bytes.fromhex(text)

    def stop(self):
        """Ends it and gives the packets of --trace that are left."""
        self._process.terminate()
        out, err = self._process.communicate()
        if err or self._process.returncode != -15:
            raise AssertionError(f"smp-sim: status {self._process.returncode}: {err}")
        packets = [next(iter(json.loads(line).items())) for line in out.splitlines()]
        return [(direction, bytes.fromhex(text)) for direction, text in packets]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process.returncode is None:
            self._process.kill()
            self._process.communicate()


class BluetoothSimulator(Simulator):
    """The same behind a fake org.bluez, which passes packets on; programs need its `environment`."""

    def __init__(self, *options, radio=("--mtu", "247")):
        super().__init__("--listen", "udp", *options)
        self.radio = Bluetooth("--udp", self.place.rsplit(":", 1)[1], *radio)
        self.environment = self.radio.environment
        self.place = f"ble:{Bluetooth.ADDRESS}"

    def __exit__(self, *unused):
        self.radio.__exit__(*unused)
        super().__exit__(*unused)


def simulate(transport, *options, **radio):
    """A simulator that is reached over `transport`: udp, tcp, serial, raw or ble."""
    return BluetoothSimulator(*options, **radio) if transport == "ble" else Simulator("--listen", transport, *options)


TRANSPORTS = ("udp", "tcp", "serial", "raw", "ble")
