# SPDX-License-Identifier: MIT
"""uplink-serve killed at a system call: what it had confirmed by then is delivered by the next run.

With FIELDPIPE_PROVE every place of a run is tried, otherwise a sample.
"""

import contextlib
import json
import os
import random
import re
import shutil
import subprocess
import tempfile
import unittest
from collections import Counter
from pathlib import Path

import tools
from integration.peers import TIMEOUT, Broker, Subscriber, wait_for
from integration.uplink_service import Service, point, status

PROVE = bool(os.environ.get("FIELDPIPE_PROVE"))
CHANGES = "pwrite64,fdatasync,fsync,fallocate,ftruncate,openat,renameat,unlinkat,mkdir,sendto"
CONFIGURATION = '[mqtt]\nclean_session = false\n[tcpapps.main]\nport = {main}\nactions = [{ name = "act" }]\n[streams.load]\nbatch_size = 5\n'


class Traced(Service):
    """The same under strace."""

    trace = ()

    def command(self):
        return [*self.trace, tools.BIN / "uplink-serve", *super().command()[1:]]


class KilledAtACall(unittest.TestCase):
    def run_once(self, service):
        """Points, an action and its answer, until it is done or the service is gone: what was confirmed, and the answer."""
        confirmed, answered = 0, False
        with contextlib.suppress(OSError, AssertionError):
            with service.app() as app:
                for number in range(1, 41, 4):
                    app.send(*(point("load", n) for n in range(number, number + 4)))
                    self.wait(service, app, f'{{"stored":{number}}}', point("fieldpipe_stored", number))
                    confirmed = number + 3
                self.publish(f"{service.prefix}/actions", {"action_id": "1", "name": "act", "payload": "{}"})
                self.wait(service, app, '{"action_id":"1","name":"act","payload":"{}"}')
                app.send(status("1", "Completed"))
                self.wait(service, app, '{"stored":99}', point("fieldpipe_stored", 99))
                answered = True
        return confirmed, answered

    def wait(self, service, app, line, *asking):
        app.send(*asking)
        wait_for(lambda: any(text == line for _, text in app.lines) or app.closed_at or service.running.process.poll() is not None,
                 "an answer")
        if not any(text == line for _, text in app.lines):
            raise OSError("gone")

    def publish(self, topic, action):
        subprocess.run([tools.BIN / "mqtt-pub", "-h", "127.0.0.1", "-p", str(self.broker.port), "-q", "1", "-t", topic, "-m",
                        json.dumps(action)], check=True, timeout=TIMEOUT, env=tools.environment())

    def places(self):
        """How often a run makes each call that changes something, from strace's log."""
        with tempfile.TemporaryDirectory() as scratch, Traced(CONFIGURATION, self.broker.port, project="count") as service:
            service.stop()
            trace = Path(scratch, "trace")
            service.trace = (shutil.which("strace"), "-D", "-f", "-o", trace, "-e", f"trace={CHANGES}")
            service.start()
            self.assertEqual(self.run_once(service), (40, True))
            service.stop()
            calls = Counter(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.M))
        every = [(call, n) for call, count in sorted(calls.items()) for n in range(1, count + 1)]
        return every if PROVE else random.Random(2).sample(every, min(10, len(every)))

    def test_kills(self):
        count = 0
        with Broker("max_queued_messages 0") as self.broker, Subscriber(self.broker, "#") as subscriber:
            for index, (call, n) in enumerate(self.places()):
                with self.subTest(call=call, n=n):
                    service = Traced(CONFIGURATION, self.broker.port, project=f"p{index}")
                    self.addCleanup(service.__exit__)
                    service.trace = (shutil.which("strace"), "-D", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e",
                                     f"inject={call}:signal=KILL:when={n}")
                    confirmed, answered = 0, False
                    with contextlib.suppress(AssertionError):  # it may not come to listening
                        service.start()
                        confirmed, answered = self.run_once(service)
                    service.running.process.kill()
                    service.running.__exit__()
                    service.trace = ()
                    service.start()
                    prefix = service.prefix

                    def points():
                        return {one["sequence"] for message in list(subscriber.messages) if message.topic == f"{prefix}/events/load/jsonarray"
                                for one in json.loads(message.payload)}

                    def states():
                        return [json.loads(message.payload)[0]["state"] for message in list(subscriber.messages)
                                if message.topic == f"{prefix}/action/status"]

                    service.stop()  # puts the last batch on its way
                    service.start()
                    wait_for(lambda: set(range(1, confirmed + 1)) <= points(), f"points 1 to {confirmed}, have {sorted(points())}")
                    if answered:
                        wait_for(lambda: "Completed" in states(), "the answer")
                    self.assertNotIn("Failed", states())
                    service.stop()
                    count += 1
        print(f"{count} kills")


if __name__ == "__main__":
    unittest.main()
