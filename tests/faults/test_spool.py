# SPDX-License-Identifier: MIT
"""The spool under kills, failing system calls and power cuts, and that these tests notice a spool that is wrong.

A run of tests/faults/spool_driver.cpp says what was promised to it, and a second one what is there afterwards. With
FIELDPIPE_PROVE every place of several runs is tried, otherwise a sample.
"""

import os
import random
import re
import shutil
import subprocess
import tempfile
import unittest
from collections import Counter
from pathlib import Path

from tools import BUILD, TIMEOUT

DRIVER = Path(os.environ.get("FIELDPIPE_SPOOL_DRIVER", BUILD / "tests/spool_driver"))
PROVE = bool(os.environ.get("FIELDPIPE_PROVE"))
CHANGES = "pwrite64,write,fdatasync,fsync,fallocate,ftruncate,openat,renameat,unlinkat,mkdir"
# An even seed drops the oldest records of a full spool.
SEEDS = range(1, 7) if PROVE else (1, 2)
STEPS = "150"
# A kill leaves the kernel's memory as it is, and what an image of a power cut holds was decided before: both need no
# disk, and most of their time would be spent in waiting for one. (The relay is killed on a disk, see test_relay.py.)
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None


class Wrong(AssertionError):
    """The spool broke a promise."""


class Promises:
    """What the lines of a run promise."""

    def __init__(self, seed):
        self.drops_oldest = seed % 2 == 0
        self.accepted = {}  # (lane, sequence) -> counter
        self.given_up = set()  # perhaps finished
        self.finished = set()
        self.dead = {}  # (lane, sequence) -> counter

    def take(self, text):
        for line in text.splitlines(keepends=True):
            if not line.endswith("\n"):
                break  # killed within a write
            kind, lane, *numbers = line.split()
            if kind == "ALTERED":
                raise Wrong(line)
            first, second = map(int, numbers)
            if kind == "A":
                self.accepted[lane, first] = second
            elif kind == "L":
                self.dead[lane, first] = second
            else:
                span = {key for key in self.accepted if key[0] == lane and first <= key[1] <= second}
                (self.given_up if kind == "F" else self.finished).update(span)
        return self


def check(text, promises, repeats_allowed=False):
    """Compares what `list` printed with what was promised; returns how many finished records came back."""
    found, dead, statistics = {}, {}, None
    last = {}
    for line in text.splitlines():
        kind, *fields = line.split()
        if kind == "S":
            statistics = list(map(int, fields))
            continue
        if kind not in "RX":
            raise Wrong(line)
        lane, sequence, counter = fields[0], int(fields[1]), int(fields[2])
        if kind == "X":
            dead[lane, sequence] = counter
            continue
        if lane in last and (sequence <= last[lane][0] or counter <= last[lane][1]):
            raise Wrong(f"lane {lane}: {sequence} ({counter}) behind {last[lane]}")
        last[lane] = sequence, counter
        found[lane, sequence] = counter
    accepted, queued, delivered, dead_lettered, dropped, damaged, _ = statistics
    lost = [key for key in promises.accepted if key not in promises.given_up and key not in found]
    evicted = [key for key in promises.dead if key not in dead and key not in found]
    if (lost and not promises.drops_oldest) or len(lost) + len(evicted) > dropped:
        raise Wrong(f"lost: {lost[:5]} of {len(lost)}, dead letters {evicted[:5]} of {len(evicted)}, {dropped} dropped")
    for kept, promised in ((found, promises.accepted), (dead, promises.accepted), (dead, promises.dead)):
        for key in kept.keys() & promised.keys():
            if kept[key] != promised[key]:
                raise Wrong(f"{key} has the payload of another record")
    repeats = found.keys() & promises.finished
    if repeats and not repeats_allowed:
        raise Wrong(f"finished, and there again: {sorted(repeats)[:5]}")
    if accepted != queued + delivered + dead_lettered + dropped + damaged or queued != len(found) or damaged:
        raise Wrong(f"the numbers do not add up: {statistics}, {len(found)} records")
    if dead_lettered > len(dead):
        raise Wrong(f"{dead_lettered} dead letters are counted, {len(dead)} are there")
    if accepted < len(promises.accepted):
        raise Wrong(f"{len(promises.accepted)} were accepted, {accepted} are accounted for")
    return len(repeats)


class SpoolTest(unittest.TestCase):
    broken = None  # what a driver that lies is to break

    def setUp(self):
        self.scratch = Path(self.enterContext(tempfile.TemporaryDirectory(dir=MEMORY)))
        self.environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
        self.driver = str(DRIVER)
        if self.broken:
            self.driver += "_broken"
            self.environment["FIELDPIPE_BREAK"] = self.broken

    def run_driver(self, *arguments, trace=()):
        """Runs the driver; returns its status and what it wrote to a file as stdout."""
        log = self.scratch / "log"
        with open(log, "wb") as out:
            result = subprocess.run([*trace, self.driver, *map(str, arguments)], stdout=out, stderr=subprocess.PIPE,
                                    env=self.environment, timeout=TIMEOUT)
        self.message = result.stderr.decode()
        return result.returncode, log.read_bytes().decode()

    def list(self, folder):
        """What an honest driver finds."""
        result = subprocess.run([DRIVER, "list", folder], capture_output=True, text=True, timeout=TIMEOUT,
                                env={**os.environ, "FIELDPIPE_BREAK": ""})
        if result.returncode:
            raise Wrong(f"no start: {result.returncode}: {result.stdout} {result.stderr}")
        return result.stdout

    def calls(self, *arguments):
        """How often a run makes each system call that changes something."""
        trace = self.scratch / "trace"
        status, _ = self.run_driver(*arguments, trace=("strace", "-f", "-o", trace, "-e", f"trace={CHANGES}"))
        self.assertEqual(status, 0, self.message)
        return Counter(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.M))

    def places(self, calls, sample):
        every = [(call, n) for call, count in sorted(calls.items()) for n in range(1, count + 1)]
        return every if PROVE else random.Random(1).sample(every, min(sample, len(every)))

    def prepared(self, seed):
        """A spool as a killed run left it, and what it had promised."""
        folder = self.scratch / "prepared"
        shutil.rmtree(folder, ignore_errors=True)
        status, said = self.run_driver("run", folder, seed, 60, "crash")
        self.assertEqual(status, 0, self.message)
        return folder, Promises(seed).take(said)

    def trials(self, seed, sample, again, inject):
        """Runs with one fault each: (how, promises, status, folder)."""
        folder = self.scratch / "spool"
        before, promised = self.prepared(seed) if again else (None, None)

        def fresh():
            shutil.rmtree(folder, ignore_errors=True)
            if before:
                shutil.copytree(before, folder)

        fresh()
        for call, n in self.places(self.calls("run", folder, seed + 100, STEPS), sample):
            for fault in inject(call):
                fresh()
                promises = Promises(seed)
                if promised:
                    promises.accepted.update(promised.accepted)
                    promises.given_up |= promised.given_up
                    promises.finished |= promised.finished
                    promises.dead.update(promised.dead)
                status, said = self.run_driver(
                    "run", folder, seed + 100, STEPS,
                    trace=("strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e",
                           f"inject={call}:{fault}:when={n}"))
                yield f"seed {seed}, {call} {n}, {fault}", promises.take(said), status, folder


class Kill(SpoolTest):
    def kills(self, again, sample):
        count = dropped = 0
        for seed in SEEDS:
            for how, promises, status, folder in self.trials(seed, sample, again, lambda call: ("signal=KILL",)):
                with self.subTest(how):
                    self.assertEqual(status, -9 if status < 0 else 137)
                    check(self.list(folder), promises)
                    text = self.list(folder)  # recovered from the recovery as well
                    check(text, promises)
                    count += 1
                    dropped = max(dropped, int(text.split()[-3]))
        self.assertGreater(dropped, 20)
        print(f"{count} kills, {'on a spool with content' if again else 'from the start'}, up to {dropped} records dropped")

    def test_a_new_spool(self):
        self.kills(False, 55)

    def test_a_spool_that_is_recovered(self):
        self.kills(True, 55)


class NoticesRemovalBeforeAcknowledgementByKill(SpoolTest):
    broken = "order"

    def test_it_is_noticed(self):
        with self.assertRaises(Wrong) as caught:
            for _, promises, _, folder in self.trials(1, 300, False, lambda call: ("signal=KILL",)):
                check(self.list(folder), promises, repeats_allowed=True)
        print(f"order broken, by kill: {caught.exception}")


class Errors(SpoolTest):
    def test_failing_calls(self):
        faults = {"pwrite64": ("error=EIO", "error=ENOSPC", "error=EINTR"), "fdatasync": ("error=EIO",),
                  "fsync": ("error=EIO",), "fallocate": ("error=ENOSPC", "error=EINTR", "error=EOPNOTSUPP"),
                  "ftruncate": ("error=EIO", "error=EINTR"), "renameat": ("error=EIO",), "unlinkat": ("error=EIO",)}
        count = Counter()
        for seed in SEEDS:
            for how, promises, status, folder in self.trials(seed, 50, True, lambda call: faults.get(call, ())):
                with self.subTest(how):
                    self.assertIn(status, (0, 3), self.message)  # it went on, or said that the disk had failed
                    check(self.list(folder), promises, repeats_allowed=True)
                    count[status] += 1
        print(f"{sum(count.values())} failing calls, {count[3]} of them ended the run")

    def test_a_disk_that_fails_for_good(self):
        count = Counter()
        for call, fault in (("fdatasync", "EIO"), ("pwrite64", "EIO"), ("pwrite64", "ENOSPC"), ("fallocate", "ENOSPC")):
            # From where on decides whether it is a commit that fails or one that append() makes for want of room.
            for start in range(2, 90) if PROVE else (30, 40, 78, 82):
                with self.subTest(call=call, fault=fault, start=start):
                    folder, promises = self.prepared(1)
                    status, said = self.run_driver("run", folder, 9, STEPS, trace=(
                        "strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e",
                        f"inject={call}:error={fault}:when={start}+"))
                    self.assertIn(status, (0, 3), self.message)
                    check(self.list(folder), promises.take(said), repeats_allowed=True)
                    count[status] += 1
        print(f"{sum(count.values())} disks that failed for good, {count[3]} of them ended the run")


class FullDisk(SpoolTest):
    """A file system of 4 MiB, filled to the last block: in memory in a namespace of its own, and ext4 for root."""

    def outcome(self, mount):
        disk = self.scratch / "disk"
        disk.mkdir()
        script = f'{mount} "$1" || exit 77; "$2" full "$1/spool"'
        namespace = ["unshare", "-rm" if os.geteuid() else "-m"]
        result = subprocess.run([*namespace, "sh", "-c", script, "sh", disk, self.driver], capture_output=True,
                                text=True, timeout=TIMEOUT)
        # A container or a changed root may allow neither the namespace nor the mount.
        if result.returncode == 77 or result.stderr.startswith("unshare: "):
            self.skipTest(result.stderr.strip())
        self.assertEqual(result.returncode, 0, result.stderr)
        print(f"full disk: {result.stdout}", end="")

    def test_in_memory(self):
        self.outcome("mount -t tmpfs -o size=4m tmpfs")

    def test_ext4(self):
        if os.geteuid() or not shutil.which("mkfs.ext4"):
            self.skipTest("mounting an image takes root and e2fsprogs")
        image = self.scratch / "image"
        with open(image, "wb") as file:
            file.truncate(4 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, timeout=TIMEOUT, capture_output=True)
        self.outcome(f"mount -o loop {image}")


class File:
    """A file of the disk in the trace: what is durable, and what was done since."""

    def __init__(self):
        self.durable = bytearray()
        self.unsynced = []  # ("write", offset, bytes) or ("size", bytes)

    @staticmethod
    def apply(content, operation):
        if operation[0] == "write":
            _, offset, data = operation
            if len(content) < offset + len(data):
                content.extend(bytes(offset + len(data) - len(content)))
            content[offset:offset + len(data)] = data
        else:
            size, keep = operation[1:]
            if size < len(content) and not keep:
                del content[size:]
            content.extend(bytes(max(0, size - len(content))))

    def content(self):
        """As the running system sees it."""
        content = bytearray(self.durable)
        for operation in self.unsynced:
            self.apply(content, operation)
        return content

    def sync(self):
        self.durable, self.unsynced = self.content(), []

    def after_power_cut(self, chance):
        content = bytearray(self.durable)
        for operation in self.unsynced:
            fate = chance.choice(("kept", "dropped", "torn", "zeroed", "garbled"))
            if operation[0] == "size":
                if fate != "dropped":
                    self.apply(content, operation)
                continue
            _, offset, data = operation
            if fate == "torn":
                data = data[:chance.randrange(len(data) + 1)]
            elif fate == "zeroed":
                data = bytes(len(data))
            elif fate == "garbled":
                data = chance.randbytes(len(data))
            if fate != "dropped":
                self.apply(content, ("write", offset, data))
        return content


class Disk:
    """Replays the system calls of a trace; at any time gives folders as a power cut may leave them."""

    STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')

    def __init__(self, root):
        self.root = str(root)
        self.descriptors = {}  # number -> File or the path of a folder
        self.names = {}  # path -> File, as the running system sees it
        self.durable_names = {}
        self.said = bytearray()

    def replay(self, line):
        """Takes one line of the trace in; whether it was one that changed something."""
        match = re.match(r"\d+ +(\w+)\((.*)\) += (-?\d+)", line)
        if not match or int(match[3]) < 0:
            return False
        call, result = match[1], int(match[3])
        strings = [bytes.fromhex(text.replace("\\x", "")) for text in self.STRING.findall(match[2])]
        numbers = self.STRING.sub("", match[2]).split(", ")
        return bool(getattr(self, call)(strings, numbers, result))

    def path(self, folder, name):
        name = name.decode()
        return name if name.startswith("/") else f"{self.descriptors.get(int(folder), '?')}/{name}"

    def openat(self, strings, numbers, result):
        path = strings[0].decode() if numbers[0] == "AT_FDCWD" else self.path(numbers[0], strings[0])
        if not path.startswith(self.root):
            self.descriptors.pop(result, None)
            return False
        if "O_DIRECTORY" in numbers[2]:
            self.descriptors[result] = path.removesuffix("/.")
            return False
        created = path not in self.names
        self.descriptors[result] = self.names.setdefault(path, File())
        return created

    def close(self, strings, numbers, result):
        self.descriptors.pop(int(numbers[0]), None)

    def mkdir(self, strings, numbers, result):
        return False  # an empty folder is no folder to look at

    def file(self, numbers):
        entry = self.descriptors.get(int(numbers[0]))
        return entry if isinstance(entry, File) else None

    def pwrite64(self, strings, numbers, result):
        if file := self.file(numbers):
            file.unsynced.append(("write", int(numbers[3]), strings[0][:result]))
            return True

    def write(self, strings, numbers, result):
        if numbers[0] == "1":
            self.said += strings[0][:result]
            return True

    def fallocate(self, strings, numbers, result):
        if file := self.file(numbers):
            file.unsynced.append(("size", int(numbers[3]), True))
            return True

    def ftruncate(self, strings, numbers, result):
        if file := self.file(numbers):
            file.unsynced.append(("size", int(numbers[1]), False))
            return True

    def fdatasync(self, strings, numbers, result):
        if file := self.file(numbers):
            file.sync()
            return True

    def fsync(self, strings, numbers, result):
        if file := self.file(numbers):
            file.sync()
        elif folder := self.descriptors.get(int(numbers[0])):
            for path in self.durable_names.keys() | self.names.keys():
                if os.path.dirname(path) == folder:
                    if path in self.names:
                        self.durable_names[path] = self.names[path]
                    else:
                        self.durable_names.pop(path, None)
        return True

    def renameat(self, strings, numbers, result):
        self.names[self.path(numbers[2], strings[1])] = self.names.pop(self.path(numbers[0], strings[0]))
        return True

    def unlinkat(self, strings, numbers, result):
        self.names.pop(self.path(numbers[0], strings[0]), None)
        return True

    def power_cut(self, folder, chance):
        """Writes what may be left to `folder`."""
        contents = {}
        for path in sorted(self.durable_names.keys() | self.names.keys()):
            now, durable = self.names.get(path), self.durable_names.get(path)
            file = now if now is durable else chance.choice((now, durable))
            if file is not None:
                # One file under two names has one content.
                contents.setdefault(id(file), file.after_power_cut(chance))
                target = folder / os.path.relpath(path, self.root)
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                target.write_bytes(contents[id(file)])
                target.chmod(0o600)


def power_cuts(disk_type, root, lines, total, seed):
    """Yields (where, disk, folder) for power cuts spread over the calls of a trace; the folder is what one may leave."""
    changes = sum(map(disk_type(root).replay, lines))
    disk = disk_type(root)
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory(dir=MEMORY) as images:
        done = 0
        for number, line in enumerate(lines):
            if not disk.replay(line):
                continue
            done += total / changes
            while done >= 1:
                done -= 1
                image = Path(images) / "spool"
                shutil.rmtree(image, ignore_errors=True)
                image.mkdir(mode=0o700)
                disk.power_cut(image, chance)
                yield f"line {number + 1}: {line[:60]}", disk, image


class PowerCut(SpoolTest):
    def images(self, seed, total):
        """Yields (how, promises, folder) for power cuts spread over two runs."""
        folder = self.scratch / "spool"
        shutil.rmtree(folder, ignore_errors=True)
        trace = self.scratch / "trace"
        lines = []
        # The first run is killed, so that the second begins with what only the kernel's memory holds.
        for run, arguments in enumerate((("40", "crash"), (STEPS,))):
            status, _ = self.run_driver("run", folder, seed + 100 * run, *arguments, trace=(
                "strace", "-f", "-o", trace, "-xx", "-s", "100000", "-e", f"trace={CHANGES},close"))
            self.assertEqual(status, 0, self.message)
            lines += trace.read_text().splitlines()
        for where, disk, image in power_cuts(Disk, folder, lines, total, seed):
            yield f"seed {seed}, {where}", Promises(seed).take(disk.said.decode()), image


class Cuts(PowerCut):
    def test_images(self):
        count = repeats = quarantined = 0
        for seed in SEEDS:
            for how, promises, image in self.images(seed, 2000 if PROVE else 250):
                with self.subTest(how):
                    text = self.list(image)
                    repeats += check(text, promises, repeats_allowed=True)
                    quarantined += int(text.split()[-1]) > 0
                    count += 1
        print(f"{count} images, {repeats} records repeated, {quarantined} with damage in quarantine")


class NoticesMissingSync(PowerCut):
    broken = "fdatasync"

    def test_it_is_noticed(self):
        with self.assertRaises(Wrong) as caught:
            for _, promises, image in self.images(1, 300):
                check(self.list(image), promises, repeats_allowed=True)
        print(f"{self.broken} broken: {caught.exception}")


class NoticesMissingDirectorySync(NoticesMissingSync):
    broken = "directory"


class NoticesRemovalBeforeAcknowledgement(NoticesMissingSync):
    broken = "order"


if __name__ == "__main__":
    unittest.main()
