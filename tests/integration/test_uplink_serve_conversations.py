# SPDX-License-Identifier: MIT
"""The conversations of tests/vectors/uplink/serve, against uplink-serve and a mosquitto.

All are played at once. Where nothing in a conversation counts seconds its times are made shorter, and a step waits until
what was to be seen before it has been seen; so nothing depends on how fast the machine is. FIELDPIPE_PROVE adds those
that take a minute.
"""

import contextlib
import json
import os
import select
import socket
import threading
import time
import unittest
from pathlib import Path

import tools
from integration.peers import CONNACK, CONNECT, PUBACK, SANITIZED, Broker, Subscriber, Wire, packet, publish, text, wait_for
from integration.uplink_service import App, Proxy, Service, lz4_frame

VECTORS = tools.SOURCE / "tests/vectors/uplink/serve"
PROVE = bool(os.environ.get("FIELDPIPE_PROVE"))
SHORTER = 0.2
SHORTEST = 8000  # milliseconds for a conversation that could take longer
LATE = 30 if SANITIZED else 15  # seconds that something may come after its time on a busy machine
LONGEST = 16000  # milliseconds of a conversation that counts seconds, without FIELDPIPE_PROVE


def published(topic, *points):
    return {"expect": "mqtt_publish", "topic": topic, "qos": 1, "retain": False, "payload": list(points)}


def point(number):
    return {"sequence": number, "timestamp": number}


def made(action_id, state, progress, *errors):
    return {"sequence": 0, "timestamp": "$now_ms", "action_id": action_id, "state": state, "progress": progress,
            "errors": list(errors)}


EVENTS = "/tenants/demo/devices/1/events"
STATUS = "/tenants/demo/devices/1/action/status"


def window(step, first, last):
    return {**step, "from": first, "until": last}


# What uplink-serve does where the release that a file describes does worse, in the place of all that the file expects.
BETTER = {
    "net-03-live-data-first": [window(published(EVENTS + "/can/jsonarray", point(n)), 10000, 21000) for n in (4, 1, 2, 3)],
    "net-04-persisted-over-restart": [
        window(published(EVENTS + "/can/jsonarray", point(1)), 10000, 16000),
        *[window(published(EVENTS + "/gps/jsonarray", point(n)), 10000, 16000) for n in (1, 2, 3)]],
    "net-06-crash-loses": [window(published(EVENTS + "/gps/jsonarray", point(n)), 8000, 14000) for n in (1, 2, 3)],
    "net-07-custom-topic-lost-in-outage": [
        window(published("site/x", point(1)), 1100, 2000),
        *[window(published("site/x", point(n)), 8000, 19000) for n in (2, 3, 4)],
        window(published("site/x", point(5)), 20000, 21000)],
    "net-08-wildcard-in-stream-name": [window(published(EVENTS + "/can/jsonarray", point(1)), 1100, 2000),
                                       window(published(EVENTS + "/can/jsonarray", point(2)), 3000, 8000)],
    "net-09-oversize-batch": [window(published(EVENTS + "/can/jsonarray", point(1)), 2000, 5000)],
    "net-13-queued-action-lost-at-restart": [
        window(published(STATUS, made("1", "Received", 0)), 2000, 3000),
        {"expect": "tcp_line", "on": "c1", "json": {"action_id": "1", "name": "a", "payload": "{}"}, "from": 8000, "until": 9000}],
    "legacy-06-no-client": [
        window(published(STATUS, made("1", "Received", 0)), 2000, 3000),
        window(published(STATUS, made("1", "Failed", 100, "Action timedout")), 7000, 8000),
        window(published(STATUS, made("2", "Received", 0)), 9000, 10000),
        window(published(STATUS, made("2", "Failed", 100, "Action timedout")), 14000, 15000)],
    "data-14-invalid-utf8-closes": [window(published(EVENTS + "/can/jsonarray", point(1)), 1100, 2000),
                                    window(published(EVENTS + "/can/jsonarray", point(2)), 3300, 4300)],
    "data-16-stream-count-limit": [
        window(published(EVENTS + "/first/jsonarray", point(1), point(2)), 61100, 62100),
        window(published(EVENTS + "/second/jsonarray", point(1)), 61200, 62200)],
    "data-20-slash-in-stream-name": [],
}
# Steps that show it.
MORE_STEPS = {"net-09-oversize-batch": [
    {"at": 2000, "do": "send_line", "conn": "c1", "line": '{"stream": "can", "sequence": 1, "timestamp": 1}'}]}
# Keys of our own that a conversation needs.
KEYS = {"action-18-status-passes-unchecked": "check_action_status = false\n"}
# The order between streams is free: one was handed over before the others came.
ANY_PLACE = {"net-02-priority-after-outage": 1}


def seconds_count(conversation):
    """Whether the service's own clock plays a part."""
    configuration = conversation["config_toml"]
    return "flush_period" in configuration or "timeout" in configuration or conversation["id"] in (
        "data-04-unknown-stream-is-created", "data-17-builtin-stream-names", "data-16-stream-count-limit",
        "data-20-slash-in-stream-name")


def matches(expected, found):
    if expected == "$now_ms":
        return isinstance(found, int) and abs(found - time.time() * 1000) < 600000
    if expected == "$uint":
        return isinstance(found, int) and found >= 0
    if expected == "$any":
        return True
    if isinstance(expected, dict):
        return isinstance(found, dict) and expected.keys() == found.keys() and all(
            matches(value, found[key]) for key, value in expected.items())
    if isinstance(expected, list):
        return isinstance(found, list) and len(expected) == len(found) and all(map(matches, expected, found))
    return type(expected) is type(found) and expected == found or (
        not isinstance(expected, bool) and not isinstance(found, bool) and isinstance(expected, (int, float))
        and isinstance(found, (int, float)) and expected == found)


class Play(threading.Thread):
    """One conversation. `failure` says what was not as it must be."""

    def __init__(self, conversation, broker, watch):
        super().__init__(daemon=True)
        self.id = conversation["id"]
        self.steps = [step for step in conversation["steps"] if "do" in step] + MORE_STEPS.get(self.id, [])
        self.expected = [step for step in conversation["steps"] if "expect" in step]
        if self.id in BETTER:
            kept = ("mqtt_connect", "mqtt_subscribe", "connection_stays_open")
            self.expected = [step for step in self.expected if step["expect"] in kept] + BETTER[self.id]
            if self.id == "data-14-invalid-utf8-closes":  # the line is refused, and its client stays until the next one
                self.expected.append({"expect": "tcp_closed", "on": "c1", "from": 3200, "until": 4200})
        self.scale = 1 if seconds_count(conversation) else min(SHORTER, SHORTEST / max(self.steps[-1]["at"], SHORTEST))
        self.configuration = KEYS.get(self.id, "") + conversation["config_toml"]
        self.project = self.id
        self.device = f"{self.id}-1"  # the client id at a broker that all conversations share
        self.broker, self.watch = broker, watch
        self.failure = None
        self.apps = {}
        self.start_at = None
        self.started = 0
        self.sent = 0  # lines, since then
        self.lost = 0.0  # seconds that steps waited for what had to come first

    def own(self, topic):
        return topic.replace("/tenants/demo/devices/1/", f"/tenants/{self.project}/devices/{self.device}/")

    def clock(self, at=None):
        """Milliseconds of the conversation."""
        return ((at or time.monotonic()) - self.start_at - self.lost) / self.scale * 1000

    def run(self):
        try:
            self.play()
        except BaseException as error:  # noqa: B902 - told by the test
            self.failure = f"{type(error).__name__}: {error}"

    def service_for(self, proxy):
        base = (VECTORS / "base.toml").read_text()
        # Plain keys of the conversation stand before the tables of the base.
        head, _, tables = self.configuration.partition("[")
        text = head + base + ("\n[" + tables if tables else "")
        for name, port in (("5050", "{one}"), ("6060", "{two}")):
            text = text.replace(f"port = {name}", f"port = {port}")
        return Service(text, proxy.port, project=self.project, device=self.device)

    def play(self):
        with Proxy(self.broker.port) as proxy, contextlib.ExitStack() as stack:
            if self.expects("service_exit"):
                return self.refused_start(proxy)
            service = self.service_for(proxy)
            stack.callback(service.__exit__)
            tables = [line[9:-1] for line in self.configuration.splitlines() if line.startswith("[tcpapps.")]
            lines = self.configuration.splitlines()
            wanted = {name: "one" if lines[lines.index(f"[tcpapps.{name}]") + 1].endswith("5050") else "two" for name in tables}
            self.start_at = time.monotonic()
            stack.callback(lambda: [app.close() for app in self.apps.values()])
            for step in self.steps:
                self.await_all(step["at"])
                self.until(step["at"])
                self.act(step, service, proxy, wanted)
            self.await_all(float("inf"))
            self.until(max(step["at"] for step in self.steps))
            self.check()

    def refused_start(self, proxy):
        service = self.service_for(proxy)
        result = tools.run(*service.command())
        service.folder.cleanup()
        assert result.returncode == 78 and b"belongs to" in result.stderr, result

    def act(self, step, service, proxy, wanted):
        kind = step["do"]
        if kind in ("stop_service", "kill_service"):
            # What was sent long before is taken by then, also on a busy machine.
            wait_for(lambda: service.figures()["lines_total"] >= self.sent, "the lines to be taken")
        if kind == "network_down" and service.running.process.poll() is None:  # what was seen is acknowledged, or it comes again
            wait_for(lambda: service.figures()["messages_in_flight"] == 0, "acknowledgements")
        if kind == "start_service":
            service.start()
            self.sent = 0
            # The rest happens to a service that is up, as it would with the times as they are written.
            if proxy.is_up:
                self.wait_for_subscription(service)
        elif kind == "stop_service":
            assert service.stop() == -15, service.running.stderr
        elif kind == "kill_service":
            service.kill()
        elif kind == "connect":
            self.apps[step["conn"]] = App(service.ports[wanted[step["app"]]])
        elif kind == "send_line":
            self.apps[step["conn"]].send(step["line"])
            self.sent += 1
        elif kind == "send_raw":
            data = bytes.fromhex(step["hex"]) if "hex" in step else step["text"].encode()
            self.apps[step["conn"]].socket.sendall(data)
            self.sent += data.count(b"\n")
        elif kind == "half_close":
            self.apps[step["conn"]].half_close()
        elif kind == "close":
            self.apps[step["conn"]].close()
        elif kind == "publish":
            payload = json.dumps(step["json"]) if "json" in step else step["text"]
            self.watch.publish(self.own(step["topic"]), payload)
        elif kind == "network_down":
            proxy.down()
        elif kind == "network_up":
            before = self.subscriptions()
            proxy.up()
            if service.running.process.poll() is None:
                wait_for(lambda: self.subscriptions() > before, "subscription after the outage", 60)
        else:
            assert kind == "advance", kind

    def subscriptions(self):
        return self.broker.log().count(f"{self.device} 1 ")

    def wait_for_subscription(self, service):
        self.started += 1
        count = self.started
        wait_for(lambda: self.subscriptions() >= count or service.running.process.poll() is not None, "subscription", 60)

    def until(self, at):
        """Lets time go on to `at`."""
        while (left := (at - self.clock()) * self.scale / 1000) > 0:
            select.select([], [], [], left)

    def expects(self, kind):
        return [step for step in self.expected if step["expect"] == kind]

    def messages(self):
        own = f"/tenants/{self.project}/"
        custom = {step["topic"] for step in self.expects("mqtt_publish")}
        mine = {self.own(step["topic"]) for step in self.steps if step["do"] == "publish"}
        return [(at, message) for at, message in list(self.watch.seen) if message.topic not in mine
                and (message.topic.startswith(own) or message.topic in custom)]

    def await_all(self, before):
        """Waits for what must have been seen when the clock shows `before`; that time does not count.

        Where the service counts seconds the clock goes on, and only what is seen at the end is waited for."""
        if self.scale == 1 and before != float("inf"):
            return
        publishes = sum(1 for step in self.expects("mqtt_publish") if step["until"] <= before)
        lines = {}
        for step in self.expects("tcp_line"):
            if step["until"] <= before:
                lines[step["on"]] = lines.get(step["on"], 0) + 1
        ends = {step["on"] for step in self.expects("tcp_closed") if step["until"] <= before}
        last = max([step["until"] for step in self.expected if "until" in step and step["until"] <= before], default=0)
        limit = max(0, last - self.clock()) * self.scale / 1000 + LATE
        began = time.monotonic()

        def seen():
            return (len(self.messages()) >= publishes
                    and all(len(self.apps[name].lines) >= count for name, count in lines.items() if name in self.apps)
                    and all(self.apps[name].closed_at for name in ends if name in self.apps))

        with contextlib.suppress(AssertionError):  # check() says it better
            wait_for(seen, "", limit)
        self.lost += time.monotonic() - began

    def check(self):
        for step in self.expects("mqtt_connect"):
            clean = f"as {self.device} (p2, c1, k30"
            assert step["clean_session"] and step["keep_alive"] == 30 and clean in self.broker.log(), "CONNECT"
        for step in self.expects("mqtt_subscribe"):
            assert f"{self.device} 1 {self.own(step['topic'])}\n" in self.broker.log(), "SUBSCRIBE"
        self.compare(self.expects("mqtt_publish"), [
            {"topic": message.topic, "qos": message.qos, "retain": message.retain, "at": at, "value": self.decode(message)}
            for at, message in self.messages()])
        for name, app in self.apps.items():
            wanted = [step for step in self.expects("tcp_line") + self.expects("tcp_line_parsed_payload") if step["on"] == name]
            found = [(at, json.loads(line)) for at, line in app.lines]
            assert len(wanted) == len(found), f"{name} was told {[line for _, line in app.lines]}"
            for step, (at, value) in zip(wanted, found):
                assert matches(step["json"], value), f"{name}: {value}, not {step['json']}"
        closed = {step["on"] for step in self.expects("tcp_closed")}
        for step in self.expects("connection_stays_open"):
            assert not self.apps[step["on"]].closed_at and step["on"] not in closed, f"{step['on']} was closed"
        for name in closed:
            assert self.apps[name].closed_at, f"{name} was not closed"

    @staticmethod
    def decode(message):
        payload = lz4_frame(message.payload) if message.topic.endswith("/lz4") else message.payload
        return json.loads(payload)

    def compare(self, wanted, found):
        shown = "\n".join(f"    {int(self.clock(one['at']))}: {one['topic']} {one['value']}" for one in found)
        free = ANY_PLACE.get(self.id)
        if free is not None:  # compared without regard to the place of one message
            first = wanted.pop(free)
            place = next((i for i, one in enumerate(found) if self.fits(first, one)), None)
            assert place is not None, f"missing: {first['payload']}, seen:\n{shown}"
            found.pop(place)
        for index, step in enumerate(wanted):
            assert index < len(found), f"missing: {step['topic']} {step['payload']}, seen:\n{shown}"
            one = found[index]
            assert self.fits(step, one), f"expected {step['topic']} {step['payload']}, seen:\n{shown}"
            # Waiting took time out of the clock, so that only what a timer has to hold back can be told to be early.
            early = self.scale == 1 and self.clock(one["at"]) < step["from"] - 150
            assert not early, f"too early: {step['payload']} before {step['from']}, seen:\n{shown}"
        assert len(found) == len(wanted), f"too many, seen:\n{shown}"

    def fits(self, step, one):
        return (one["topic"] == self.own(step["topic"]) and one["qos"] == step["qos"] and matches(step["payload"], one["value"]))


class Watch:
    """Sees all messages of the broker, with their times, and publishes at QoS 1."""

    def __init__(self, broker):
        self.seen = []
        self.subscriber = Subscriber(broker, "#")
        self.subscriber.messages = self
        self.wire = Wire(socket.create_connection(broker.address()))
        self.wire.send(packet(CONNECT, text("MQTT") + bytes([4, 2]) + b"\0\0" + text("watch")))
        assert self.wire.expect(CONNACK)[1] == 0
        self.lock = threading.Lock()
        self.packet_id = 0

    def append(self, message):
        self.seen.append((time.monotonic(), message))

    def __len__(self):
        return len(self.seen)

    def publish(self, topic, payload):
        with self.lock:
            self.packet_id = self.packet_id % 65000 + 1
            self.wire.send(publish(topic, payload.encode(), self.packet_id, 1))
            self.wire.expect(PUBACK)


class Conversations(unittest.TestCase):
    def test_all(self):
        names = os.environ.get("FIELDPIPE_CONVERSATIONS", "").split()
        plays, left_out = [], []
        with Broker("log_type all", "max_inflight_messages 1000", "max_queued_messages 0") as broker:
            watch = Watch(broker)
            for file in sorted(VECTORS.glob("*.json")):
                conversation = json.loads(file.read_text())
                if names and not any(conversation["id"].startswith(name) for name in names):
                    continue
                length = max(step.get("until", step.get("at", 0)) for step in conversation["steps"])
                if seconds_count(conversation) and length > LONGEST and not PROVE:
                    left_out.append(conversation["id"])
                else:
                    plays.append(Play(conversation, broker, watch))
            self.assertTrue(plays)
            for play in plays:
                play.start()
            for play in plays:
                play.join(300)
            watch.subscriber.__exit__()
            watch.wire.socket.close()
        for play in plays:
            with self.subTest(play.id):
                self.assertFalse(play.is_alive(), "still going on")
                self.assertIsNone(play.failure, f"\n{play.failure}")
        print(f"{len(plays)} conversations, without {', '.join(left_out) or 'none'}")


if __name__ == "__main__":
    unittest.main()
