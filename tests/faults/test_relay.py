# SPDX-License-Identifier: MIT
"""mflt-relay under kills and power cuts: what it has acknowledged arrives, unaltered and in order, and it always starts.

A run takes records in, uploads, changes segments, copies forward what a stuck device holds, and recovers what an earlier
run left. With FIELDPIPE_PROVE every place of several runs is tried, otherwise a sample.
"""

import base64
import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import tempfile
import threading
import unittest
from collections import Counter
from pathlib import Path

from faults import test_spool
from faults.test_spool import MEMORY, PROVE, Wrong
from integration.endpoint import Endpoint
from tools import BIN, BUILD, TIMEOUT, environment

KEY = "0123456789abcdef0123456789ABCDEF"
CHANGES = "pwrite64,write,fdatasync,fsync,fallocate,ftruncate,openat,rename,renameat,unlink,unlinkat,mkdir,sendto"
RECORDS = 240
GROUP = 12  # records handed in before their answers are waited for
STUCK = "stuck"
SCRATCH = os.environ.get("TMPDIR") if PROVE else MEMORY


def record(counter):
    """Device and payload of a record: the payload tells whether it is whole."""
    device = STUCK if counter % 16 == 7 else f"d{counter % 3}"
    body = f"{counter:06}:" + "".join(chr(33 + (counter * 7 + i) % 90) for i in range(100 if device == STUCK else 200 + counter * 37 % 900))
    return device, f"{body}:{hashlib.sha256(body.encode()).hexdigest()}"


def line(counter):
    device, payload = record(counter)
    return json.dumps({"device": device, "chunk": base64.b64encode(payload.encode()).decode()}).encode() + b"\n"


def counter_of(device, payload):
    text = payload.decode("latin-1")
    if not text[:6].isdigit() or record(int(text[:6])) != (device, text):
        raise Wrong(f"altered: {text[:20]!r} of {device}")
    return int(text[:6])


def check(acknowledged, arrived, accepted):
    """`arrived`: (device, payload) in order, repeats included; `accepted`: by the spool's own account."""
    seen, newest = set(), {}
    for device, payload in arrived:
        counter = counter_of(device, payload)
        if counter not in seen and counter < newest.get(device, -1):
            raise Wrong(f"{device}: {counter} comes behind {newest[device]}")
        seen.add(counter)
        newest[device] = max(counter, newest.get(device, -1))
    if lost := sorted(set(acknowledged) - seen):
        raise Wrong(f"lost: {lost[:5]} of {len(lost)}")
    if accepted < len(acknowledged):
        raise Wrong(f"{len(acknowledged)} were acknowledged, {accepted} are accounted for")


def phases(trace, recovers):
    """What a run had come to when it was killed, by its trace."""
    found = {"recovering"} if recovers else set()
    segments = newest = 0
    for text in trace.splitlines():
        if match := re.search(r'pwrite64\(\d+, "\\x66\\x70\\x52\\x01((?:\\x..){20})', text):
            # A record with a sequence below that of an earlier one is a copy, and what it is copied from goes next.
            sequence = int.from_bytes(bytes.fromhex(match[1].replace("\\x", ""))[12:], "little")
            found.discard("recovering")
            if sequence < newest:
                found |= {"copied", "copying"}
            newest = max(newest, sequence)
        elif re.search(r'unlinkat\(\d+, "segment-\d+", 0\) += 0', text):
            found.discard("copying")
        elif re.search(r'openat\(\d+, "segment-\d+", [^)]*O_CREAT|renameat\(\d+, "spare"', text):
            segments += 1
            if segments > 1:
                found.add("rotated")
    return found


class RelayTest(unittest.TestCase):
    broken = None  # what a relay that lies is to break

    def setUp(self):
        self.scratch = Path(self.enterContext(tempfile.TemporaryDirectory(dir=SCRATCH)))
        self.server = self.enterContext(Endpoint())

    def command(self, folder, honest=True, *more):
        relay = BIN / "mflt-relay" if honest else BUILD / "tests/mflt_relay_broken"
        return [str(relay), "--endpoint", self.server.url, "--spool", str(folder), "--spool-max-bytes", "256KiB", "--spool-min-free", "0",
                "--backoff-base", "1ms", "--backoff-max", "5ms", "--batch-chunks", "5", "--ack", *more]

    def variables(self):
        return environment(MEMFAULT_PROJECT_KEY=KEY, ASAN_OPTIONS="detect_leaks=0", FIELDPIPE_BREAK=self.broken or "")

    def feed(self, folder, first, trace=()):
        """Runs a relay on records from number `first` on, and until what is not stuck of so many is delivered; returns its
        status and the records that it acknowledged."""
        self.server.play([{"path": f"*/{STUCK}", "status": 503}])
        process = subprocess.Popen([*trace, *self.command(folder, not self.broken, "--drain-timeout", "20ms")], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.variables())
        acknowledged, at, delivered = [], first, 0

        def take():
            nonlocal delivered
            answer = json.loads(text) if (text := process.stdout.readline()).endswith(b"\n") else None
            if answer and "error" in answer and "ack" in answer:
                raise Wrong(f"refused: {answer}")
            if answer and "sequence" in answer:
                acknowledged.append(first + answer["ack"] - 1)
            if answer and answer.get("status") == 202:
                delivered += answer["chunks"]
            return answer is not None

        try:
            while at < first + RECORDS:
                process.stdin.write(b"".join(map(line, range(at, at + GROUP))))
                process.stdin.flush()
                at += GROUP
                while len(acknowledged) < at - first and take():
                    pass
                if len(acknowledged) < at - first:
                    break
            free = sum(record(number)[0] != STUCK for number in acknowledged)
            while delivered < free and take():
                pass
        except BrokenPipeError:
            pass
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        while take():
            pass
        process.stdout.close()
        with process.stderr:
            self.message = process.stderr.read().decode()
        return process.wait(TIMEOUT), acknowledged

    def drain(self, folder):
        """Delivers what the spool holds; returns what arrived, and how many records were ever accepted."""
        self.server.play([])
        before = len(self.server.requests)
        (folder / "pauses").unlink(missing_ok=True)
        figures = self.scratch / "figures"
        result = subprocess.run(self.command(folder, True, "--metrics-file", str(figures)), stdin=subprocess.DEVNULL, capture_output=True, env=environment(MEMFAULT_PROJECT_KEY=KEY),
                                timeout=TIMEOUT)
        if result.returncode:
            raise Wrong(f"status {result.returncode}: {result.stderr.decode()}")
        count = {name: int(value) for name, value in re.findall(r"^mflt_relay_(\w+) (\d+)$", figures.read_text(), re.M)}
        if count["accepted_total"] != count["delivered_total"]:
            raise Wrong(f"{count['accepted_total']} accepted, {count['delivered_total']} delivered, and nothing is left")
        return self.arrived(before), count["accepted_total"]

    def arrived(self, before=0):
        return [(request.device, chunk) for request in self.server.requests[before:] for chunk in request.chunks if request.status == 202]


class Kill(RelayTest):
    def test_kills(self):
        calls = self.places()
        folder, trace = self.scratch / "spool", self.scratch / "trace"
        chance = random.Random(1)
        places = [(call, n) for call, number in sorted(calls.items()) for n in range(1, number + 1)]
        if PROVE:  # every place once, and some twice
            chosen = [*places, *places]
        else:  # the change of segments and then recovery, the end of a copy, one place of each call, and others
            chosen = [("ftruncate", 1), ("unlinkat", 1), *self.one_of_each(calls, chance), *chance.sample(places, 11)]
        kills, at = 0, Counter()
        for number, (call, n) in enumerate(chosen):
            if number >= len(places) and kills >= 1100:
                break
            shutil.rmtree(folder, ignore_errors=True)
            del self.server.requests[:]
            acknowledged = []
            # The second run recovers what the first has left, and is killed as well.
            for first, (name, when) in ((0, (call, n)), (1000, chance.choice(places) if number % 2 else (call, n))):
                status, answered = self.feed(folder, first, (
                    "strace", "-f", "-o", trace, "-x", "-e", f"trace={CHANGES}", "-e", f"inject={name}:signal=KILL:when={when}"))
                self.assertIn(status, (-9, 137, 75), self.message)
                if status != 75:
                    kills += 1
                    at.update(phases(trace.read_text(), bool(acknowledged)))
                acknowledged += answered
            with self.subTest(f"{call} {n}, then {name} {when}"):
                _, accepted = self.drain(folder)
                check(acknowledged, self.arrived(), accepted)
        print(f"{kills} kills of the relay: {at['recovering']} while it recovered, {at['rotated']} after it changed segments, "
              f"{at['copied']} after a copy forward, {at['copying']} of them within one")
        self.assertGreaterEqual(kills, 1000 if PROVE else 30)
        for phase in ("recovering", "rotated", "copied", "copying"):
            self.assertGreater(at[phase], 20 if PROVE else 0, phase)

    def places(self):
        trace = self.scratch / "trace"
        status, acknowledged = self.feed(self.scratch / "counted", 0, ("strace", "-f", "-o", trace, "-e", f"trace={CHANGES}"))
        self.assertEqual((status, len(acknowledged)), (75, RECORDS), self.message)
        calls = Counter(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.M))
        for call in ("fdatasync", "pwrite64", "unlinkat", "sendto", "write", "fsync"):
            self.assertGreater(calls[call], 0, call)  # the run does all that is to be killed
        # Each segment holds a record of the device that is stuck, so none goes away but after copies forward.
        self.assertGreater(len(re.findall(r'unlinkat\(\d+, "segment-', trace.read_text())), 0)
        return calls

    def one_of_each(self, calls, chance):
        return [(call, chance.randint(1, number)) for call, number in sorted(calls.items())]


class Disk(test_spool.Disk):
    """The disk of the spool, and the far side: which records were answered with success."""

    def __init__(self, root):
        super().__init__(root)
        self.outputs = {"1"}
        self.sent = {}  # by socket
        self.delivered = []

    def replay(self, text):
        # Sockets and pipes are not on the disk.
        return super().replay(text) if re.match(r"\d+ +(\w+)\(", text) else False

    def openat(self, strings, numbers, result):
        # A pipe is opened once more, so that it need not be waited for.
        self.outputs.discard(str(result))
        if strings[0] == b"/proc/self/fd/1":
            self.outputs.add(str(result))
        return super().openat(strings, numbers, result)

    def write(self, strings, numbers, result):
        if numbers[0] in self.outputs:
            return super().write(strings, ["1"], result)
        if file := self.file(numbers):
            file.unsynced.append(("write", len(file.content()), strings[0][:result]))
            return True
        return super().write(strings, numbers, result)

    def rename(self, strings, numbers, result):
        source, target = (text.decode() for text in strings)
        if source in self.names:
            self.names[target] = self.names.pop(source)
            return True
        return False

    def unlink(self, strings, numbers, result):
        return self.names.pop(strings[0].decode(), None) is not None

    def sendto(self, strings, numbers, result):
        self.sent.setdefault(numbers[0], bytearray()).extend(strings[0][:result])
        return True

    def recvfrom(self, strings, numbers, result):
        if b"HTTP/1.1 202" not in strings[0]:
            if b"HTTP/1.1" in strings[0]:
                self.sent.pop(numbers[0], None)
            return False
        for payload in re.findall(rb"\d{6}:[!-~]+?:[0-9a-f]{64}", self.sent.pop(numbers[0], b"")):
            self.delivered.append((record(int(payload[:6]))[0], payload))
        return False

    def acknowledged(self, first):
        answers = [json.loads(text) for text in bytes(self.said).splitlines(keepends=True) if text.endswith(b"\n")]
        return [first + answer["ack"] - 1 for answer in answers if "sequence" in answer]


class PowerCut(RelayTest):
    def images(self, total):
        """Yields (how, records acknowledged and delivered before it, folder) for power cuts spread over a run."""
        folder = self.scratch / "spool"
        shutil.rmtree(folder, ignore_errors=True)
        trace = self.scratch / "trace"
        status, _ = self.feed(folder, 0, ("strace", "-f", "-o", trace, "-xx", "-s", "10000000", "-e", f"trace={CHANGES},close,recvfrom"))
        self.assertEqual(status, 75, self.message)
        for where, disk, image in test_spool.power_cuts(Disk, folder, trace.read_text().splitlines(), total, 1):
            yield where, disk.acknowledged(0), list(disk.delivered), image

    def try_images(self, total):
        count = repeats = 0
        acknowledged = []
        for how, acknowledged, delivered, image in self.images(total):
            del self.server.requests[:]
            with self.subTest(how):
                try:
                    arrived, accepted = self.drain(image)
                    check(acknowledged, delivered + arrived, accepted)
                except Wrong as wrong:
                    raise Wrong(f"{how}: {wrong}") from None
                repeats += len(set(delivered) & set(arrived))
                count += 1
        self.assertGreater(len(acknowledged), RECORDS * 9 // 10)
        return count, repeats


class Cuts(PowerCut):
    def test_images(self):
        count, repeats = self.try_images(5200 if PROVE else 80)
        print(f"{count} power cuts of the relay, {repeats} chunks repeated")
        self.assertGreaterEqual(count, 5000 if PROVE else 75)


class NoticesMissingSync(PowerCut):
    broken = "fdatasync"
    cuts = 400
    where = ""  # images are made at each place, and tried where the call is this one

    def test_it_is_noticed(self):
        with self.assertRaises(Wrong) as caught:
            for how, acknowledged, delivered, image in self.images(self.cuts):
                if self.where not in how:
                    continue
                del self.server.requests[:]
                arrived, accepted = self.drain(image)
                check(acknowledged, delivered + arrived, accepted)
        print(f"{self.broken} broken: {caught.exception}")


class NoticesMissingDirectorySync(NoticesMissingSync):
    broken = "directory"


class NoticesRemovalBeforeAcknowledgement(NoticesMissingSync):
    broken = "order"
    cuts = 4000
    where = "unlinkat"


if __name__ == "__main__":
    unittest.main()
