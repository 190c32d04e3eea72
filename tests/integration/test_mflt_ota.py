# SPDX-License-Identifier: MIT
"""mflt-ota against a scripted release service: what it asks, what it makes of each answer, and the download."""

import hashlib
import json
import os
import pathlib
import signal
import tempfile
import unittest

from integration.endpoint import Endpoint
from integration.peers import Authority, Running, wait_for
from tools import SOURCE, environment, run

KEY = "0123456789abcdef0123456789ABCDEF"
VECTORS = {case["name"]: case for case in json.loads((SOURCE / "tests/vectors/memfault/ota_latest.json").read_text())}
DEVICE = VECTORS["update_available_json"]["request"]["query"]
RECORD = json.dumps(DEVICE).encode() + b"\n"
LATEST = "/api/v0/releases/latest"
FIRMWARE = bytes(range(256)) * 400


def release(where, data=FIRMWARE, **changes):
    artifact = {"url": where, "filename": "fw.bin", "file_size": len(data), "md5": hashlib.md5(data).hexdigest(),
                "sha256": hashlib.sha256(data).hexdigest(), **changes}
    return {"version": "1.5.0", "is_delta": False, "artifacts": [artifact]}


class Ota(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.target = self.folder / "fw.bin"
        self.part = self.folder / "fw.bin.part"

    def ota(self, endpoint, *arguments, record=RECORD, key=KEY):
        return run("mflt-ota", "--api", endpoint.url, *map(str, arguments), stdin=record,
                   env=environment(MEMFAULT_PROJECT_KEY=key))

    def play(self, endpoint, *rules, **changes):
        """A release with FIRMWARE, and rules for what else is asked."""
        endpoint.play([*rules, {"path": LATEST + "?*", "status": 200,
                                "body": json.dumps(release(endpoint.url + "/fw.bin", **changes))}])

    def refused(self, result, status, message):
        self.assertEqual((result.returncode, result.stdout), (status, b""), result.stderr)
        self.assertIn(message, result.stderr.decode())

    def fetched(self, result):
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        self.assertEqual(self.target.read_bytes(), FIRMWARE)
        self.assertFalse(self.part.exists())

    def test_the_question_is_the_recorded_one(self):
        case = VECTORS["update_available_json"]
        with Endpoint([{"status": 200, "body": json.dumps(case["response"]["body_json"], indent=1)}]) as endpoint:
            result = self.ota(endpoint)
            self.assertEqual((result.returncode, result.stderr), (0, b""))
            asked = endpoint.requests[0]
            self.assertEqual(asked.path, f"{case['request']['path']}?{case['request']['encoded_query']}")
            self.assertEqual(asked.header("Memfault-Project-Key"), KEY)
            printed = json.loads(result.stdout)
            self.assertEqual(printed["release"], case["response"]["body_json"])
            artifact = case["response"]["body_json"]["artifacts"][0]
            self.assertEqual((printed["update"], printed["version"], printed["is_delta"], printed["file_size"],
                              printed["url"], printed["sha256"]),
                             (True, "1.5.0", False, 42, artifact["url"], artifact["sha256"]))

    def test_no_update(self):
        with Endpoint([{"status": 204, "headers": {"Memfault-Reason": "latest"}}]) as endpoint:
            result = self.ota(endpoint, "--fetch", self.target)
            self.assertEqual((result.returncode, result.stdout), (1, b'{"update":false,"reason":"latest"}\n'))
            self.assertEqual(result.stderr, b"mflt-ota: there is no update\n")
            self.assertFalse(self.target.exists())

    def test_every_other_status(self):
        expected = {401: 77, 403: 77, 408: 75, 429: 75}
        for status in 201, 202, 206, 299, *range(301, 309), *range(400, 432), 451, *range(500, 512), 529, 599:
            with self.subTest(status=status), Endpoint([{"status": status}]) as endpoint:
                otherwise = 75 if status // 100 in (3, 5) else 69
                self.refused(self.ota(endpoint), expected.get(status, otherwise), f"{status}")

    def test_an_answer_that_is_no_release(self):
        for body in "", "<html>", "[]", "{}", '{"version":1}', '{"version":"1"', "null":
            with self.subTest(body=body), Endpoint([{"status": 200, "body": body}]) as endpoint:
                self.refused(self.ota(endpoint), 75, "the answer is no release")

    def test_nobody_there(self):
        with Endpoint() as endpoint:
            pass
        self.refused(self.ota(endpoint), 75, "mflt-ota: GW-UNIT_0042: ")

    def test_how_long_to_wait_is_told(self):
        with Endpoint([{"status": 429, "headers": {"Retry-After": "120"}}]) as endpoint:
            self.refused(self.ota(endpoint), 75, "mflt-ota: hint: it asks to wait 120 s\n")

    def test_records_that_are_none(self):
        with Endpoint() as endpoint:
            for record, message in ((b"", "stdin: empty"), (b"\n", "stdin: "), (b"{", "stdin: "),
                                    (b"{}", "device_serial: "), (b'{"device_serial":"../x"}', "device_serial: "),
                                    (b'{"device_serial":"a","hardware_version":"b"}', "software_type: is empty"),
                                    (b'{"device_serial":1}', "stdin: "), (b" " * 70000, "stdin: more than the 65536")):
                with self.subTest(record=record[:40]):
                    self.refused(self.ota(endpoint, record=record), 65, message)
            self.assertEqual(endpoint.requests, [])

    def test_options_stand_for_a_record(self):
        with Endpoint([{"status": 204}]) as endpoint:
            given = [f"--{name}={DEVICE[field]}" for name, field in (
                ("device", "device_serial"), ("hardware-version", "hardware_version"),
                ("software-type", "software_type"), ("current-version", "current_version"))]
            self.assertEqual(self.ota(endpoint, *given, record=b"").returncode, 1)
            self.assertIn(VECTORS["update_available_json"]["request"]["encoded_query"], endpoint.requests[0].path)
            self.assertEqual(self.ota(endpoint, "--current-version", "2").returncode, 1)
            self.assertIn("current_version=2", endpoint.requests[1].path)

    def test_where_the_key_comes_from(self):
        file = self.folder / "key"
        with Endpoint([{"status": 204}]) as endpoint:
            self.refused(self.ota(endpoint, key=None), 77, "project key: there is none")
            self.refused(self.ota(endpoint, key="short"), 77, "project key of 5 characters")
            with_key = json.dumps({**DEVICE, "project_key": "1" * 32}).encode()
            self.assertEqual(self.ota(endpoint, record=with_key, key=None).returncode, 1)
            self.assertEqual(self.ota(endpoint, record=with_key).returncode, 1)
            file.write_text("2" * 32 + "\n")
            self.assertEqual(self.ota(endpoint, "--project-key-file", file, record=with_key).returncode, 1)
            self.assertEqual([request.header("Memfault-Project-Key") for request in endpoint.requests],
                             ["1" * 32, KEY, "2" * 32])

    def test_the_key_is_read_after_the_record_has_come(self):
        file = self.folder / "key"
        with Endpoint([{"status": 204}]) as endpoint, Running(
                "mflt-ota", "--api", endpoint.url, "--project-key-file", str(file), env=environment()) as asking:
            asking.process.stdin.write(RECORD)
            asking.process.stdin.flush()
            file.write_text(KEY)
            asking.process.stdin.close()
            self.assertEqual(asking.process.wait(30), 1)

    def test_fetch(self):
        with tempfile.TemporaryDirectory() as folder:
            authority = Authority(folder)
            with Endpoint(tls=authority.server, files={"/fw.bin": FIRMWARE}) as endpoint:
                self.play(endpoint)
                result = self.ota(endpoint, "--cafile", authority.ca, "--fetch", self.target)
                self.fetched(result)
                self.assertEqual(json.loads(result.stdout)["file"], str(self.target))
                self.assertEqual(endpoint.requests[-1].header("Memfault-Project-Key"), "")

    def test_a_url_from_the_other_question(self):
        with Endpoint(files={"/fw.bin": FIRMWARE}) as endpoint:
            self.play(endpoint, {"path": LATEST + "/url?*", "status": 200, "body": endpoint.url + "/fw.bin\n"}, url=None)
            self.fetched(self.ota(endpoint, "--fetch", self.target))

    def test_a_cut_download_goes_on_where_it_was(self):
        with Endpoint(files={"/fw.bin": FIRMWARE}) as endpoint:
            self.play(endpoint, {"path": "/fw.bin", "file": True, "reset_at": 50000, "times": 1},
                      {"path": "/fw.bin", "file": True, "end_at": 20000, "times": 1})
            self.fetched(self.ota(endpoint, "--fetch", self.target))
            ranges = [request.header("Range") for request in endpoint.requests if request.path == "/fw.bin"]
            self.assertEqual(len(ranges), 3)
            self.assertEqual(ranges[0], "")
            begins = [int(value.removeprefix("bytes=").removesuffix("-")) for value in ranges[1:]]
            self.assertTrue(0 < begins[0] < begins[1] < len(FIRMWARE), begins)

    def test_the_next_run_goes_on(self):
        with Endpoint(files={"/fw.bin": FIRMWARE}) as endpoint:
            self.play(endpoint)
            self.part.write_bytes(FIRMWARE[:30000])
            self.fetched(self.ota(endpoint, "--fetch", self.target))
            self.assertEqual(endpoint.requests[-1].header("Range"), "bytes=30000-")

    def test_parts_of_something_else(self):
        with Endpoint(files={"/fw.bin": FIRMWARE}) as endpoint:
            self.play(endpoint)
            for left in b"x" * 30000, b"x" * len(FIRMWARE), b"x" * (len(FIRMWARE) + 1):
                with self.subTest(bytes=len(left)):
                    self.part.write_bytes(left)
                    self.fetched(self.ota(endpoint, "--fetch", self.target))

    def test_only_files_are_written(self):
        pipe, folder, link = self.folder / "pipe", self.folder / "folder", self.folder / "link"
        os.mkfifo(pipe)
        folder.mkdir()
        link.symlink_to(pipe)
        os.mkfifo(self.part)
        with Endpoint(files={"/fw.bin": FIRMWARE}) as endpoint:
            self.play(endpoint)
            for target, named in (pipe, "pipe"), (folder, "folder"), (link, "link"), (self.target, "fw.bin.part"):
                with self.subTest(target=named):
                    self.refused(self.ota(endpoint, "--fetch", target), 74, f"{named}: is not a regular file")
            self.refused(self.ota(endpoint, "--fetch", self.folder / "none/fw.bin"), 74, "No such file or directory")
        self.assertTrue(pipe.is_fifo() and link.is_symlink())

    def test_a_link_stays_and_the_file_that_it_names_is_replaced(self):
        elsewhere = self.folder / "releases"
        elsewhere.mkdir()
        there, new = elsewhere / "old.bin", elsewhere / "new.bin"
        there.write_bytes(b"what was there")
        with Endpoint(files={"/fw.bin": FIRMWARE}) as endpoint:
            self.play(endpoint)
            for named in there, new:
                with self.subTest(named=named.name):
                    self.target.unlink(missing_ok=True)
                    self.target.symlink_to(named)
                    self.fetched(self.ota(endpoint, "--fetch", self.target))
                    self.assertEqual((self.target.is_symlink(), named.read_bytes()), (True, FIRMWARE))
        self.assertEqual(sorted(elsewhere.iterdir()), sorted((there, new)))

    def test_a_download_that_brings_nothing_leaves_nothing(self):
        for status in 404, 503:
            with self.subTest(status=status), Endpoint() as endpoint:
                self.play(endpoint, {"path": "/fw.bin", "status": status, "headers": {"Retry-After": "0"}})
                with Running("mflt-ota", "--api", endpoint.url, "--fetch", str(self.target),
                             env=environment(MEMFAULT_PROJECT_KEY=KEY)) as fetching:
                    fetching.process.stdin.write(RECORD)
                    fetching.process.stdin.close()
                    wait_for(lambda: any(request.path == "/fw.bin" for request in endpoint.requests), "a question")
                    if status == 503:
                        fetching.signal(signal.SIGTERM)
                    fetching.process.wait(30)
                self.assertEqual(list(self.folder.iterdir()), [])

    def test_an_address_that_is_not_followed(self):
        for url in "file:///etc/passwd", "http://192.0.2.1/fw.bin", "https://user:word@localhost/", "/fw.bin":
            with self.subTest(url=url), Endpoint() as endpoint:
                self.play(endpoint, url=url)
                self.refused(self.ota(endpoint, "--fetch", self.target), 69, "fw.bin: the release: ")

    def test_a_server_without_ranges(self):
        with Endpoint(files={"/fw.bin": FIRMWARE}) as endpoint:
            self.play(endpoint, {"path": "/fw.bin", "status": 200, "body_hex": FIRMWARE.hex()})
            self.part.write_bytes(FIRMWARE[:30000])
            self.fetched(self.ota(endpoint, "--fetch", self.target))

    def test_what_comes_is_not_what_was_promised(self):
        cases = ({"sha256": "0" * 64}, "its digest is"), ({"sha256": None, "md5": "0" * 32}, "its digest is"), (
            {"file_size": len(FIRMWARE) + 1}, "bytes came"), ({"file_size": len(FIRMWARE) - 1}, "more than the")
        for changes, message in cases:
            with self.subTest(changes=changes), Endpoint(files={"/fw.bin": FIRMWARE}) as endpoint:
                self.play(endpoint, **changes)
                self.target.write_bytes(b"what was there")
                self.refused(self.ota(endpoint, "--fetch", self.target), 65, message)
                self.assertEqual(self.target.read_bytes(), b"what was there")
                self.assertFalse(self.part.exists())

    def test_an_expired_url_is_renewed(self):
        with Endpoint(files={"/fw.bin": FIRMWARE}) as endpoint:
            self.play(endpoint, {"path": "/fw.bin", "status": 403, "times": 1})
            self.fetched(self.ota(endpoint, "--fetch", self.target))
            self.assertEqual([request.path.split("?")[0] for request in endpoint.requests],
                             [LATEST, "/fw.bin", LATEST, "/fw.bin"])

    def test_a_release_that_changed_meanwhile(self):
        with Endpoint(files={"/fw.bin": FIRMWARE}) as endpoint:
            other = release(endpoint.url + "/fw.bin", sha256="1" * 64)
            self.play(endpoint, {"path": "/fw.bin", "status": 403},
                      {"path": LATEST + "?*", "skip": 1, "status": 200, "body": json.dumps(other)})
            self.refused(self.ota(endpoint, "--fetch", self.target), 75, "another release was made meanwhile")

    def test_a_download_that_is_refused(self):
        with Endpoint() as endpoint:
            self.play(endpoint, {"path": "/fw.bin", "status": 404})
            self.refused(self.ota(endpoint, "--fetch", self.target), 69, "404")
            self.assertFalse(self.target.exists())

    def test_a_place_that_cannot_be_written(self):
        with Endpoint(files={"/fw.bin": FIRMWARE}) as endpoint:
            self.play(endpoint)
            result = self.ota(endpoint, "--fetch", self.folder / "none" / "fw.bin")
            self.assertIn(result.returncode, (66, 74))
            self.assertEqual(result.stdout, b"")

    def test_stopped_in_the_middle_and_run_again(self):
        with Endpoint(files={"/fw.bin": FIRMWARE}) as endpoint:
            self.play(endpoint, {"path": "/fw.bin", "file": True, "pace": [4096, 0.05], "times": 1})
            with Running("mflt-ota", "--api", endpoint.url, "--fetch", str(self.target),
                         env=environment(MEMFAULT_PROJECT_KEY=KEY)) as fetching:
                fetching.process.stdin.write(RECORD)
                fetching.process.stdin.close()
                wait_for(lambda: self.part.exists() and self.part.stat().st_size > 4096, "a part")
                fetching.signal(signal.SIGTERM)
                self.assertEqual(fetching.process.wait(30), -signal.SIGTERM)
            self.assertFalse(self.target.exists())
            self.fetched(self.ota(endpoint, "--fetch", self.target))
            self.assertNotEqual(endpoint.requests[-1].header("Range"), "")


if __name__ == "__main__":
    unittest.main()
