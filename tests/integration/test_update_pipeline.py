# SPDX-License-Identifier: MIT
"""The update of a device in one line: smp-query | mflt-ota | smp-query, from a scripted release service to smp-sim."""

import hashlib
import json
import subprocess
import tempfile
import unittest
from pathlib import Path

from integration import devices
from integration.endpoint import Endpoint
from integration.simulator import simulate
from tools import TIMEOUT, environment, run

KEY = "SecretSecretSecretSecretSecret12"
IMAGE = devices.image((1, 5, 0, 0), size=40000)
LATEST = "/api/v0/releases/latest?*"
PIPELINE = ("smp-query -c $DEVICE --progress json memfault --save-project-key k |"
            " mflt-ota --project-key-file k --fetch fw.bin --progress json --verbose &&"
            " smp-query -c $DEVICE --wait 10s --timeout 500ms --progress json --verbose upgrade fw.bin")


class Pipeline(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / "device-key").write_text(KEY + "\n")

    def simulate(self, transport="udp"):
        return self.enterContext(simulate(transport, "--current-version", "1.4.2", "--device", "DEMO1", "--project-key-file",
                                          self.folder / "device-key"))

    def release(self, endpoint, **changes):
        return {"path": LATEST, "key": KEY, "status": 200, "body": json.dumps(
            {"version": "1.5.0", "artifacts": [{"url": endpoint.url + "/fw.bin", "file_size": len(IMAGE),
                                                "sha256": hashlib.sha256(IMAGE).hexdigest()} | changes]})}

    def pipe(self, device, endpoint, status, script=PIPELINE):
        """Runs the pipeline and gives what it printed. Nothing of it, arguments included, may hold the key."""
        trace = self.folder / "trace"
        done = subprocess.run(["strace", "-f", "-qq", "-s", "1000", "-e", "trace=execve", "-o", trace,
                               "bash", "-x", "-e", "-o", "pipefail", "-c", script],
                              cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT,
                              env={**device.environment, "ASAN_OPTIONS": "detect_leaks=0", "DEVICE": device.place,
                                   "MFLT_OTA_API": endpoint.url})
        self.assertEqual(done.returncode, status, done.stderr.decode())
        for text in (done.stdout.decode(), done.stderr.decode(), trace.read_text()):
            self.assertNotIn(KEY, text)
        self.assertIn("mflt-ota", trace.read_text())
        self.assertEqual((self.folder / "k").read_text(), KEY + "\n")
        self.assertEqual((self.folder / "k").stat().st_mode & 0o777, 0o600)
        return [json.loads(line) for line in done.stdout.splitlines()], done.stderr.decode()

    def version(self, device):
        done = run("smp-query", "-c", device.place, "--wait", "10s", "memfault", env=device.environment)
        return json.loads(done.stdout)["current_version"]

    def nothing_happened(self, device):
        self.assertEqual(self.version(device), "1.4.2")
        self.assertFalse((self.folder / "fw.bin").exists())

    def test_an_update(self):
        for transport in ("udp", "serial", "ble"):
            device = self.simulate(transport)
            with self.subTest(transport), Endpoint([], files={"/fw.bin": IMAGE}) as endpoint:
                endpoint.play([self.release(endpoint)])
                (found, installed), errors = self.pipe(device, endpoint, 0)
                self.assertEqual((found["update"], found["version"], found["file"]), (True, "1.5.0", "fw.bin"))
                self.assertEqual((installed["result"], installed["version"]), ("running", "1.5.0"))
                self.assertEqual(self.version(device), "1.5.0")
                self.assertIn("current_version=1.4.2", endpoint.requests[0].path)
                self.assertIn('"upload"', errors)  # the progress that was asked for
                (self.folder / "fw.bin").unlink()

    def test_no_update(self):
        device = self.simulate()
        with Endpoint([{"path": LATEST, "key": KEY, "status": 204, "headers": {"Memfault-Reason": "latest"}}]) as endpoint:
            printed, _ = self.pipe(device, endpoint, 1)
            self.assertEqual(printed, [{"update": False, "reason": "latest"}])
            self.nothing_happened(device)
            # The idiom of mflt-ota(1) for scripts that end at the first failure.
            script = PIPELINE.replace(" &&", " || [ $? = 1 ]; test ! -e fw.bin ||")
            self.pipe(device, endpoint, 0, script)
            self.nothing_happened(device)

    def test_a_service_that_refuses_or_has_no_time(self):
        for answer, status, text in [({"status": 403}, 77, "403"), ({"status": 429, "headers": {"Retry-After": "120"}}, 75, "120 s"),
                                     ({"status": 500}, 75, "500")]:
            device = self.simulate()
            with self.subTest(answer), Endpoint([{"path": LATEST, **answer}]) as endpoint:
                printed, errors = self.pipe(device, endpoint, status)
                self.assertEqual(printed, [])
                self.assertIn(text, errors)
                self.nothing_happened(device)

    def test_a_file_that_is_another(self):
        device = self.simulate()
        with Endpoint([], files={"/fw.bin": IMAGE}) as endpoint:
            endpoint.play([self.release(endpoint, sha256="0" * 64)])
            printed, _ = self.pipe(device, endpoint, 65)
            self.assertEqual(printed, [])
            self.nothing_happened(device)

    def test_a_download_that_is_cut(self):
        device = self.simulate()
        with Endpoint([], files={"/fw.bin": IMAGE}) as endpoint:
            endpoint.play([{"path": "/fw.bin", "times": 1, "file": "/fw.bin", "end_at": 9000}, self.release(endpoint)])
            (_, installed), _ = self.pipe(device, endpoint, 0)
            self.assertEqual(installed["result"], "running")
            self.assertEqual(self.version(device), "1.5.0")
            ranges = [request.header("Range") for request in endpoint.requests if request.path == "/fw.bin"]
            self.assertEqual(len(ranges), 2)
            self.assertRegex(ranges[1], r"^bytes=[1-9]\d*-$")

    def test_a_device_that_refuses_its_key(self):
        with simulate("udp", "--deny-memfault") as device, Endpoint() as endpoint:
            done = subprocess.run(["bash", "-o", "pipefail", "-c", PIPELINE], cwd=self.folder, stdin=subprocess.DEVNULL, timeout=TIMEOUT,
                                  env=environment(DEVICE=device.place, MFLT_OTA_API=endpoint.url), capture_output=True)
            # The last of the pipeline that failed, which had nothing to read; the reason is told all the same.
            self.assertEqual((done.returncode, done.stdout), (65, b""))
            self.assertIn(b"EACCESSDENIED", done.stderr)
            self.assertEqual(endpoint.requests, [])


if __name__ == "__main__":
    unittest.main()
