# SPDX-License-Identifier: MIT
"""mqtt-pub --spool fed 5,000 records a second, killed again and again while its broker comes and goes.

A trace of its system calls says which records were accepted: those in a write to the spool behind which an fdatasync
returned. Each of them arrives, in order. With FIELDPIPE_PROVE it is killed at 50 points, otherwise at a few.
"""

import contextlib
import os
import random
import re
import select
import signal
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

import tools
from integration import peers
from integration.peers import Broker, Subscriber, wait_for

PROVE = bool(os.environ.get("FIELDPIPE_PROVE"))
KILLS = 50 if PROVE else 6
RATE = 5000
PAUSE = 0.01
RECORD = re.compile(rb"#(\d{8})#")


class Feeder(threading.Thread):
    """Writes numbered lines at the rate, to whichever process is there."""

    def __init__(self):
        super().__init__(daemon=True)
        self.target = None
        self.number = 0
        self.writing = threading.Lock()
        self.ended = threading.Event()

    def run(self):
        start, before = time.monotonic(), self.number
        while not self.ended.wait(PAUSE):
            with self.writing:
                if self.target is None:
                    start, before = time.monotonic(), self.number
                    continue
                due = before + int((time.monotonic() - start) * RATE)
                lines = b"".join(b"#%08d#%060d\n" % (n, n) for n in range(self.number, due))
                self.number = due
                # What a killed process had not read is gone; the numbers go on.
                with contextlib.suppress(BrokenPipeError):
                    self.target.write(lines)


def accepted(trace):
    """The records whose fdatasync returned."""
    records, waiting, unfinished = set(), {}, {}
    for line in trace.read_text().splitlines():
        thread, _, call = line.partition(" ")
        call = call.strip()
        if call.endswith("<unfinished ...>"):
            unfinished[thread] = call.removesuffix("<unfinished ...>")
            continue
        if call.startswith("<..."):
            call = unfinished.pop(thread, "") + call.partition("resumed>")[2]
        if match := re.match(r'pwrite64\((\d+), "((?:\\x[0-9a-f]{2})*)", \d+, \d+\) += (\d+)$', call):
            data = bytes.fromhex(match[2].replace("\\x", ""))[:int(match[3])]
            waiting.setdefault(match[1], set()).update(map(int, RECORD.findall(data)))
        elif match := re.match(r"fdatasync\((\d+)\) += 0$", call):
            records |= waiting.pop(match[1], set())
    return records


class KilledOverOutages(unittest.TestCase):
    def test_every_accepted_record_arrives_in_order(self):
        chance = random.Random(4)
        promised, outages = set(), 0
        with tempfile.TemporaryDirectory(prefix="fieldpipe-spool-") as folder, Broker("persistence true") as broker:
            peers.keep_session(broker, "keeper", "t")
            command = ["mqtt-pub", "--broker", broker.url, "-t", "t", "-l", "--spool", f"{folder}/spool", "--drain-timeout", "2m"]
            trace = Path(folder, "trace")
            feeder = Feeder()
            feeder.start()
            for _ in range(KILLS):
                trace.unlink(missing_ok=True)
                # The tracer is the child, so that the process that is killed is the tool.
                process = subprocess.Popen(
                    ["strace", "-D", "-f", "-q", "-xx", "-s", "2000000", "-e", "trace=pwrite64,fdatasync", "-e", "signal=kill", "-o", trace,
                     tools.BIN / command[0], *command[1:]],
                    stdin=subprocess.PIPE, bufsize=0, stderr=subprocess.DEVNULL, env=tools.environment())
                with process:
                    feeder.target = process.stdin
                    ends = time.monotonic() + chance.uniform(0.2, 1.2)
                    while time.monotonic() < ends:
                        select.select([], [], [], chance.uniform(0.05, 0.3))
                        if chance.random() < 0.3:
                            broker.stop()
                            outages += 1
                            select.select([], [], [], chance.uniform(0.05, 0.3))
                            broker.start()
                    process.send_signal(signal.SIGKILL)
                    process.wait(tools.TIMEOUT)
                    with feeder.writing:
                        feeder.target = None
                wait_for(lambda: trace.exists() and "+++ killed by SIGKILL +++" in trace.read_text()[-2000:], "the end of the trace")
                promised |= accepted(trace)
            feeder.ended.set()
            feeder.join()
            rest = tools.run(*command, stdin=b"")
            self.assertEqual(rest.returncode, 0, rest.stderr)
            self.assertGreater(len(promised), KILLS * 200)
            self.assertGreater(outages, KILLS // 6)
            with Subscriber(broker, client_id="keeper", clean=False) as subscriber:
                def all_there():
                    return promised <= {int(message.payload[1:9]) for message in list(subscriber.messages)}

                wait_for(all_there, "every accepted record")
                payloads = [int(message.payload[1:9]) for message in subscriber.messages]
        first = list(dict.fromkeys(payloads))
        self.assertEqual(promised - set(payloads), set())
        self.assertEqual(first, sorted(first))
        print(f"{KILLS} kills, {outages} outages, {len(promised)} records accepted, {len(first)} arrived, "
              f"{len(payloads) - len(first)} of them again")


if __name__ == "__main__":
    unittest.main()
