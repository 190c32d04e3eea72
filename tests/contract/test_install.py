# SPDX-License-Identifier: MIT
"""`cmake --install` puts in place what manifest.txt lists, and nothing else."""

import subprocess
import tempfile
import unittest
from pathlib import Path

from tools import BUILD, SOURCE, TOOLS, VERSION, run


def differences(expected, actual):
    return [f"missing: {path}" for path in sorted(expected - actual)] + [f"surplus: {path}" for path in sorted(actual - expected)]


class Install(unittest.TestCase):
    def test_the_manifest(self):
        expected = set((SOURCE / "tests/contract/manifest.txt").read_text().split())
        with tempfile.TemporaryDirectory() as prefix:
            subprocess.run(["cmake", "--install", BUILD, "--prefix", prefix], check=True, stdout=subprocess.DEVNULL)
            actual = {str(path.relative_to(prefix)) for path in Path(prefix).rglob("*") if not path.is_dir()}
            self.assertEqual(differences(expected, actual), [])
            for tool in TOOLS:
                self.assertEqual(run(f"{prefix}/bin/{tool}", "--version").stdout, f"{tool} (fieldpipe) {VERSION}\n".encode())
            Path(prefix, "bin/surplus").touch()
            Path(prefix, "share/man/man7/fieldpipe.7").unlink()
            broken = {str(path.relative_to(prefix)) for path in Path(prefix).rglob("*") if not path.is_dir()}
            self.assertEqual(differences(expected, broken), ["missing: share/man/man7/fieldpipe.7", "surplus: bin/surplus"])

    def test_systemd_finds_nothing_to_say_about_the_units(self):
        with tempfile.TemporaryDirectory() as scratch:
            for unit in SOURCE.glob("systemd/*.service"):
                path = Path(scratch, unit.name)
                # The tools are looked for where systemd looks, and are not installed there.
                path.write_text(unit.read_text().replace("ExecStart=", f"ExecStart={BUILD}/bin/"))
                self.assertEqual(self.verify(path), "")
                path.write_text(path.read_text().replace("WatchdogSec=", "WatchdogSecs="))
                self.assertIn("Unknown key", self.verify(path))

    @staticmethod
    def verify(unit):
        return subprocess.run(["systemd-analyze", "verify", "--man=no", unit], stderr=subprocess.PIPE, text=True).stderr

    def test_the_spool_of_the_uplink_unit_outlives_it(self):
        # Without --spool it is in persistence_path of uplink's configuration, which may be in /tmp or /var/tmp: of a service
        # with PrivateTmp these are gone when it stops.
        unit = (SOURCE / "systemd/uplink-serve.service").read_text()
        self.assertRegex(unit, r"(?m)^ExecStart=uplink-serve .*--spool \$\{STATE_DIRECTORY\}$")

    def test_filters_load_no_network_library(self):
        for tool in TOOLS:
            loaded = subprocess.run(["ldd", BUILD / "bin" / tool], check=True, capture_output=True, text=True).stdout
            self.assertEqual(tool.startswith("mqtt-") or tool in ("mflt-relay", "uplink-serve"), "libmosquitto" in loaded, loaded)
            self.assertEqual(tool in ("mflt-relay", "mflt-ota"), "libcurl" in loaded, loaded)


if __name__ == "__main__":
    unittest.main()
