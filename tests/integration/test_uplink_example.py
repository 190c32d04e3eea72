# SPDX-License-Identifier: MIT
"""The example of uplink's documentation (docs/apps.md): uplink-serve on one side, uplink-send as the application."""

import json
import signal
import unittest

import tools
from integration.peers import TIMEOUT, Broker, Running, wait_for
from integration.uplink_service import App, Service, status

CONFIGURATION = """
[tcpapps.main]
port = {main}
actions = [{ name = "update_firmware" }, { name = "reboot" }, { name = "update_config" }]
"""


class Example(unittest.TestCase):
    def setUp(self):
        self.broker = self.enterContext(Broker("log_type all"))
        self.url = f"mqtt://127.0.0.1:{self.broker.port}"

    def start(self, configuration=CONFIGURATION, *arguments):
        service = self.enterContext(Service(configuration, self.broker.port, *arguments))
        topic = f"{service.prefix}/action/status"
        # One message a line, until the end of the test.
        self.subscriber = self.enterContext(Running("mqtt-sub", "-L", f"{self.url}/{topic}"))
        for subscription in (topic, f"{service.prefix}/actions"):
            wait_for(lambda: f" 1 {subscription}\n" in self.broker.log(), f"subscription to {subscription}")
        return service

    def publish(self, topic, value):
        result = tools.run("mqtt-pub", "-L", f"{self.url}//tenants/demo/devices/1/{topic}", "-q", "1", "-m", json.dumps(value))
        self.assertEqual(result.returncode, 0, result.stderr)

    def act(self, action_id, name, payload="{}"):
        self.publish("actions", {"action_id": action_id, "name": name, "payload": payload})

    def next_status(self):
        return json.loads(self.subscriber.stdout.readline())[0]

    def states(self, count):
        found = [self.next_status() for _ in range(count)]
        return [(one["action_id"], one["state"], one["progress"]) for one in found]

    def test_an_action_runs_its_handler(self):
        service = self.start()
        handler = 'read payload; echo 50%; test "$payload" = \'{"delay":5}\''
        with Running("uplink-send", "-c", f"127.0.0.1:{service.ports['main']}", "--exec", f"reboot={handler}",
                     "--state", service.path / "state") as application:
            wait_for(lambda: service.figures()["clients_total"]["main"] == 1, "the application")
            self.act("1", "reboot", '{"delay":5}')
            self.assertEqual(self.states(4), [("1", "Received", 0), ("1", "Running", 0), ("1", "Progress", 50), ("1", "Completed", 100)])
            self.act("1", "reboot", '{"delay":5}')  # not a second run
            self.assertEqual(self.states(2), [("1", "Received", 0), ("1", "Completed", 100)])
            application.signal(signal.SIGTERM)
            application.finish()

    def test_a_time_limit_and_a_second_client(self):
        service = self.start(CONFIGURATION.replace('"reboot" }', '"reboot", timeout = 1 }'))
        with service.app() as first:
            self.act("1", "reboot")
            self.assertEqual(first.wait(1)[0]["name"], "reboot")
            self.assertEqual(self.next_status()["state"], "Received")
            failed = self.next_status()
            self.assertEqual((failed["state"], failed["errors"]), ("Failed", ["Action timedout"]))
            first.send(status("1", "Completed"))
            first.stored()
            with App(service.ports["main"]) as second:
                first.wait_closed()
                self.act("2", "update_config")
                self.assertEqual(second.wait(1)[0]["action_id"], "2")
                self.assertEqual(self.next_status()["action_id"], "2")  # and nothing more of 1
                self.assertEqual(service.figures()["late_statuses_total"], 1)

    def test_lines_outlast_a_restart_of_the_service(self):
        service = self.start()
        with Running("uplink-send", "-c", f"127.0.0.1:{service.ports['main']}", "--stream", "sensor", "--wait-stored") as sensor:
            sensor.stdin.write(b"".join(b"%d\n" % n for n in range(1, 501)))
            sensor.stdin.flush()
            wait_for(lambda: service.figures()["points_total"] > 0, "the first points")
            service.kill()
            sensor.stdin.write(b"".join(b"%d\n" % n for n in range(501, 1001)))
            sensor.stdin.flush()
            service.start()
            code, _ = sensor.finish(timeout=TIMEOUT)
            self.assertEqual(code, 0, sensor.stderr)
        self.assertGreaterEqual(service.figures()["accepted_total"], 1000)


if __name__ == "__main__":
    unittest.main()
