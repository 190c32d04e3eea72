# SPDX-License-Identifier: MIT
"""Chunks from a console through a broker to the message in them, messages as they come, and memory that stays bounded."""

import base64
import binascii
import json
import subprocess
import tempfile
import unittest
from pathlib import Path

import tools
from integration import peers

KEY = "0123456789abcdef0123456789ABCDEF"
# Both payloads of the chunk-relay page of Memfault's documentation.
CHUNKS = [bytes.fromhex(text) for text in (
    "485402a702010301076a5445535453455249414c0a6d746573742d736f667477617265096a312e302e302d746573",
    "802c74066d746573742d686172647761726504a101a1726368756e6b5f746573745f737563636573730131e4")]


def console(chunks):
    return b"".join(b"[00:00:%02d] <inf> mflt: MC:%s:\r\n" % (n % 60, base64.b64encode(chunk)) for n, chunk in enumerate(chunks))


def recording(size):
    """The chunks of a recording with `size` bytes of data."""
    message = b"\x04\xa2\x02\x05\x04\xa1\x04\x5a" + size.to_bytes(4, "big") + bytes(n * n % 251 for n in range(size))
    crc = binascii.crc_hqx(message, 0).to_bytes(2, "little")

    def varint(value):
        digits = b""
        while value > 127:
            digits, value = digits + bytes([value & 127 | 128]), value >> 7
        return digits + bytes([value])

    parts = [message[at:at + 1000] for at in range(0, len(message), 1000)]
    chunks = [bytes([0x48 if n == 0 else 0xC0]) + varint(len(message) if n == 0 else n * 1000) + part for n, part in enumerate(parts)]
    return [*chunks, b"\x80" + varint(len(message)) + crc]


class Route(unittest.TestCase):
    def test_from_a_console_through_a_broker_to_the_heartbeat(self):
        """The device's side: --to frames into mqtt-pub, whose topic holds the project key and stands in a file."""
        with tempfile.TemporaryDirectory() as folder, peers.Broker() as broker:
            topic = f"prod/board/DEMO/memfault/{KEY}/chunk"
            path = Path(folder, "topic")
            path.write_text(topic + "\n")
            with peers.Subscriber(broker, "prod/+/+/memfault/+/chunk") as subscriber:
                frames = tools.run("mflt-decode", "--to", "frames", stdin=console(CHUNKS))
                self.assertEqual((frames.returncode, frames.stderr), (0, b""))
                sent = tools.run("mqtt-pub", "--broker", broker.url, "--topic-file", path, stdin=frames.stdout)
                self.assertEqual((sent.returncode, sent.stderr), (0, b""))
                self.assertEqual(subscriber.payloads(2), CHUNKS)
                envelopes = "".join(json.dumps({"topic": topic, "payload_b64": base64.b64encode(chunk).decode()}) + "\n" for chunk in CHUNKS)
            decoded = tools.run("mflt-decode", stdin=envelopes.encode())
            self.assertEqual((decoded.returncode, decoded.stderr), (0, b""))
            message = json.loads(decoded.stdout)
            self.assertEqual((message["device"], message["bytes"], message["crc"]), ("DEMO", 84, "e431"))
            self.assertEqual(message["events"][0]["event_info"], {"metrics": {"chunk_test_success": 1}})
            self.assertNotIn(KEY.encode(), decoded.stdout)


class Streams(unittest.TestCase):
    def test_a_message_is_written_when_it_is_complete(self):
        process = subprocess.Popen([tools.BIN / "mflt-decode"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=tools.environment())
        self.addCleanup(process.kill)
        for _ in range(3):
            process.stdin.write(console(CHUNKS))
            process.stdin.flush()
            self.assertEqual(json.loads(process.stdout.readline())["crc"], "e431")
        process.communicate(timeout=tools.TIMEOUT)
        self.assertEqual(process.returncode, 0)

    def test_a_recording_of_megabytes(self):
        chunks = recording(3_000_000)
        with tempfile.TemporaryDirectory() as folder:
            result = tools.run("mflt-decode", "--raw", f"{folder}/raw", stdin=console(chunks))
            self.assertEqual((result.returncode, result.stderr), (0, b""))
            message = json.loads(result.stdout)
            self.assertEqual((message["chunks"], message["events"][0]["event_info"]["data_bytes"]), (len(chunks), 3_000_000))
            self.assertEqual(Path(folder, "raw/000001.message").stat().st_size, message["bytes"])
        result = tools.run("mflt-decode", "--max-message", "2MB", stdin=console(chunks))
        self.assertEqual((result.returncode, result.stdout), (1, b""))
        self.assertEqual(result.stderr, b"mflt-decode: record 1: too_large: a message of 3000012 bytes, the limit is 2000000\n"
                                        b"mflt-decode: messages lost: 1\n")

    def test_memory_is_bounded_whatever_devices_claim(self):
        """Two hundred devices that each begin a message of the largest size and never end it."""
        limit = 1 << 20
        total = b"\x80\x80\x40"
        first = base64.b64encode(b"\x48" + total + bytes(500_000)).decode()
        process = subprocess.Popen([tools.BIN / "mflt-decode", "--quiet", "--max-message", str(limit)], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=tools.environment())
        self.addCleanup(process.kill)
        for number in range(200):
            process.stdin.write(json.dumps({"device": f"d{number}", "chunk": first}).encode() + b"\n")
        # The answer to this one shows that all before it was read.
        process.stdin.write(json.dumps({"device": "last", "chunk": base64.b64encode(bytes.fromhex("0802a088d3")).decode()}).encode() + b"\n")
        process.stdin.flush()
        self.assertEqual(json.loads(process.stdout.readline())["device"], "last")
        self.assertLess(peers.peak_memory_kib(process.pid), 24 * 1024)
        _, stderr = process.communicate(timeout=tools.TIMEOUT)
        self.assertEqual(process.returncode, 1)
        self.assertIn(b"messages lost: 200\n", stderr)


class Promises(unittest.TestCase):
    """What the page says of inputs and faults."""

    def decode(self, *arguments, stdin=b"", status=0):
        result = tools.run("mflt-decode", *arguments, stdin=stdin)
        self.assertEqual(result.returncode, status, result.stderr)
        return [json.loads(line) for line in result.stdout.splitlines()], result.stderr.decode().splitlines()

    def test_gaps_that_close_are_told_ten_times_and_counted_on(self):
        first, second, third, *rest = recording(3000)
        lines = b"".join(chunk.hex().encode() + b"\n" for chunk in [first, third, second, *rest] * 12)
        written, told = self.decode("--report", stdin=lines)
        self.assertEqual([message["type"] for message in written if "type" in message], ["recording"] * 12)
        self.assertEqual([" gap: " in line for line in told], [True] * 10, told)
        self.assertEqual(written[-1]["report"]["faults"], {"gap": 12})

    def test_a_longer_record_than_the_limit(self):
        for chunk in CHUNKS:
            line = chunk.hex().encode() + b"\n"
            for form in (("--from", "hex"), ()):
                whole = tools.run("mflt-decode", *form, "--to", "hex", "--max-record", str(len(line)), stdin=line)
                self.assertEqual((whole.returncode, whole.stdout), (0, line), whole.stderr)
                written, told = self.decode(*form, "--max-record", "40", stdin=line, status=1)
                self.assertEqual((written, len(told)), ([], 1), told)
                self.assertIn("the limit of 40B", told[0])

    def test_an_input_that_cannot_be_read_on_leaves_the_others(self):
        with tempfile.TemporaryDirectory() as folder:
            broken, missing, good = (Path(folder, name) for name in ("broken", "missing", "good"))
            broken.write_bytes(b"\0fp1\0\0\0\1xrubbish")
            good.write_bytes(console(CHUNKS))
            for inputs, status in (([broken, good], 65), ([missing, good], 66), ([broken, missing, good], 66)):
                written, told = self.decode(*inputs, status=status)
                self.assertEqual([message["crc"] for message in written], ["e431"], told)


if __name__ == "__main__":
    unittest.main()
