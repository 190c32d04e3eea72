# SPDX-License-Identifier: MIT
"""uplink-serve with real applications, brokers, kills and full spools."""

import contextlib
import json
import os
import random
import select
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

import tools
from integration.peers import (CONNACK, CONNECT, PUBACK, SANITIZED, TIMEOUT, Authority, Broker, Subscriber, Wire, free_port,
                               packet, peak_memory_kib, publish, text, wait_for)
from integration.uplink_service import App, Proxy, Service, point, status

PROVE = bool(os.environ.get("FIELDPIPE_PROVE"))
ONE = """
[tcpapps.main]
port = {main}
actions = [{ name = "reboot", timeout = 1 }, { name = "update" }]
[streams.one]
batch_size = 1
"""


class Publisher:
    """Publishes at QoS 1."""

    def __init__(self, broker):
        self.wire = Wire(socket.create_connection(broker.address()))
        self.wire.send(packet(CONNECT, text("MQTT") + bytes([4, 2]) + b"\0\0" + text("publisher")))
        assert self.wire.expect(CONNACK)[1] == 0
        self.packet_id = 0

    def __call__(self, topic, payload):
        self.packet_id = self.packet_id % 65000 + 1
        self.wire.send(publish(topic, payload if isinstance(payload, bytes) else json.dumps(payload).encode(), self.packet_id, 1))
        self.wire.expect(PUBACK)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wire.socket.close()


class OnDisk(Service):
    """One whose spool has a small file system of its own."""

    size_bytes = 4 << 20

    def command(self):
        disk = self.path / "disk"
        disk.mkdir(exist_ok=True)
        self.spool = disk / "spool"
        return ["/usr/bin/unshare", "-rm" if os.geteuid() else "-m", "sh", "-c",
                f'mount -t tmpfs -o size={self.size_bytes} tmpfs "$0" || exit 77; exec "$@"', disk, tools.BIN / "uplink-serve",
                *super().command()[1:]]

    def start(self):
        try:
            return super().start()
        except AssertionError:
            # A container or a changed root may allow neither the namespace nor the mount.
            if self.running.process.returncode == 77 or "unshare: " in self.running.stderr:
                raise unittest.SkipTest(self.running.stderr.strip()) from None
            raise

    def disk(self):
        return os.statvfs(f"/proc/{self.running.pid}/root{self.path / 'disk'}")


class ServiceTest(unittest.TestCase):
    def setUp(self):
        self.broker = self.enterContext(Broker("max_queued_messages 0", "max_inflight_messages 1000"))
        self.subscriber = self.enterContext(Subscriber(self.broker, "#"))
        self.publish = self.enterContext(Publisher(self.broker))

    def service(self, configuration=ONE, *arguments, kind=Service, **options):
        service = self.enterContext(kind(configuration, options.pop("port", self.broker.port), *arguments, **options))
        self.prefix = service.prefix
        return service

    def connected(self, service):
        wait_for(lambda: service.figures()["mqtt_connected"], "connection to the broker")

    def points(self, stream):
        """What has come of a stream, point by point."""
        topic = f"{self.prefix}/events/{stream}/jsonarray"
        return [one for message in list(self.subscriber.messages) if message.topic == topic for one in json.loads(message.payload)]

    def sequences(self, stream):
        return [one["sequence"] for one in self.points(stream)]

    def statuses(self, action_id):
        topic = f"{self.prefix}/action/status"
        return [(one["state"], one["errors"]) for message in list(self.subscriber.messages) if message.topic == topic
                for one in json.loads(message.payload) if one["action_id"] == action_id]

    def act(self, action_id, name, payload="{}"):
        self.publish(f"{self.prefix}/actions", {"action_id": action_id, "name": name, "payload": payload})

    def wait_statuses(self, action_id, *states):
        wait_for(lambda: len(self.statuses(action_id)) >= len(states), f"statuses of {action_id}: {states}")
        self.assertEqual([state for state, _ in self.statuses(action_id)], list(states))


class Data(ServiceTest):
    def test_a_checkpoint_and_a_half_close_mean_that_the_points_survive_a_kill(self):
        service = self.service("[tcpapps.main]\nport = {main}\n")
        with service.app() as app:
            app.send(*(point("slow", n) for n in range(1, 51)))
            app.stored(9)
            app.send(*(point("slow", n) for n in range(51, 101)))
            app.socket.sendall(point("slow", 101).encode())  # without its line feed
            app.half_close()
            app.wait_closed()
        service.kill()
        service.start()
        wait_for(lambda: set(range(1, 102)) <= set(self.sequences("slow")), "all points")
        self.assertEqual(sorted(set(self.sequences("slow"))), list(range(1, 102)))

    def test_the_lines_of_a_client_that_has_to_go_are_taken(self):
        service = self.service()
        first = socket.create_connection(("127.0.0.1", service.ports["main"]))
        lines = "".join(point("one", n, pad="x" * 200) + "\n" for n in range(1, 2001)).encode()
        first.sendall(lines + b'{"stream":"one"')
        with service.app() as second, first:
            second.send(point("one", 2001))
            second.stored()
            wait_for(lambda: first.recv(1) == b"", "the end of the first")
            wait_for(lambda: len(self.points("one")) >= 2001, "points of both")
            self.assertEqual(self.sequences("one"), list(range(1, 2002)))
            figures = service.figures()
            self.assertEqual(figures["replaced_total"], {"main": 1})
            self.assertEqual(figures["refused_total"], {"unfinished": 1})

    def test_streams_in_memory_and_partial_batches_go_out_at_the_end(self):
        service = self.service("[tcpapps.main]\nport = {main}\n[streams.gone]\npersistence = { max_file_count = 0 }\n")
        self.connected(service)
        with service.app() as app:
            app.send(point("gone", 1), point("kept", 1), point("gone", 2))
            app.stored()
            self.assertEqual(service.figures()["memory_points"], 2)
            self.assertEqual(service.stop(), -signal.SIGTERM)
        wait_for(lambda: self.points("gone") and self.points("kept"), "partial batches")
        self.assertEqual((self.sequences("gone"), self.sequences("kept")), ([1, 2], [1]))

    def test_a_unix_socket(self):
        service = self.service('[tcpapps.main]\nunix = "PATH"\n[streams.one]\nbatch_size = 1\n'.replace(
            "PATH", f"{os.environ.get('TMPDIR', '/tmp')}/fieldpipe-{os.getpid()}.sock"))
        path = f"{os.environ.get('TMPDIR', '/tmp')}/fieldpipe-{os.getpid()}.sock"
        wait_for(lambda: Path(path).exists(), "the socket")
        with App(path) as app:
            app.send(point("one", 1))
            app.stored()
        wait_for(lambda: self.points("one"), "a point")
        service.stop()
        self.assertFalse(Path(path).exists())

    def test_values_stay_as_they_are_written(self):
        service = self.service()
        with service.app() as app:
            app.send('{"big":123456789012345678901234567890,"stream":"one","sequence":1,"e":1.50E+3,"timestamp":18446744073709551615,'
                     '"s":"\\u00e4","n":{"a":[1, 2]},"twice":1,"twice":2}')
            wait_for(lambda: self.points("one"), "a point")
        self.assertEqual(self.subscriber.messages[-1].payload,
                         b'[{"sequence":1,"timestamp":18446744073709551615,"big":123456789012345678901234567890,"e":1.50E+3,'
                         b'"s":"\\u00e4","n":{"a":[1, 2]},"twice":2}]')

    def test_a_batch_is_split_by_bytes(self):
        service = self.service("[mqtt]\nmax_packet_size = 1000\n[tcpapps.main]\nport = {main}\n[streams.big]\nbatch_size = 10\nflush_period = 1\n")
        with service.app() as app:
            app.send(*(point("big", n, pad="x" * 300) for n in range(1, 11)))
            wait_for(lambda: len(self.points("big")) == 10, "all points")
        self.assertEqual(self.sequences("big"), list(range(1, 11)))
        self.assertLess(max(len(message.payload) for message in self.subscriber.messages), 1000)

    def test_figures(self):
        service = self.service(ONE, "--metrics-file", f"/tmp/fieldpipe-{os.getpid()}.prom")
        self.addCleanup(lambda: Path(f"/tmp/fieldpipe-{os.getpid()}.prom").unlink(missing_ok=True))
        with service.app() as app:
            app.send(point("one", 1), "no json", point("one", 2), point("a/b", 1), "x" * 300000)
            app.stored()
            wait_for(lambda: len(self.points("one")) == 2, "points")
            wait_for(lambda: service.figures()["delivered_total"] == 2, "acknowledgements")
            figures = service.figures()
        self.assertEqual(figures["refused_total"], {"no point": 1, "stream": 1, "too long": 1})
        self.assertEqual((figures["accepted_total"], figures["points_total"], figures["lines_total"]), (2, 2, 6))
        service.stop()
        written = Path(f"/tmp/fieldpipe-{os.getpid()}.prom").read_text()
        self.assertIn("\nuplink_serve_delivered_total 2\n", written)
        self.assertIn('\nuplink_serve_refused_total{reason="no point"} 1\n', written)
        self.assertIn("refused: no point: main: ", service.running.stderr)


class Actions(ServiceTest):
    def test_the_time_limit_holds_over_a_kill_and_late_answers_are_dropped(self):
        service = self.service()
        self.connected(service)
        with service.app() as app:
            self.act("1", "reboot", '{"delay":5}')
            self.assertEqual(app.wait(1), [{"action_id": "1", "name": "reboot", "payload": '{"delay":5}'}])
            app.send(status("1", "Progress", progress=10))
            app.stored()
        began = time.monotonic()
        service.kill()
        service.start()
        self.wait_statuses("1", "Received", "Progress", "Failed")
        self.assertEqual(self.statuses("1")[2], ("Failed", ["Action timedout"]))
        self.assertLess(time.monotonic() - began, TIMEOUT / 2)
        service.kill()
        service.start()
        with service.app() as app:
            app.send(status("1", "Completed"), point("one", 1))
            app.stored()
            wait_for(lambda: self.points("one"), "the point behind the late answer")
            self.assertEqual(service.figures()["late_statuses_total"], 1)
            self.assertEqual([line for _, line in app.lines], ['{"stored":1}'])  # the action does not come again
        self.wait_statuses("1", "Received", "Progress", "Failed")

    def test_an_action_whose_time_is_over_leaves_the_queue(self):
        service = self.service()
        self.connected(service)
        self.act("1", "reboot")
        self.act("2", "update")
        self.wait_statuses("1", "Received", "Failed")
        with service.app() as app:
            self.assertEqual(app.wait(1)[0]["action_id"], "2")
            app.stored()
            self.assertEqual(len(app.lines), 2)

    def test_waiting_actions_and_routes_outlast_a_kill(self):
        service = self.service()
        self.connected(service)
        with service.app() as app:
            self.act("1", "update")
            app.wait(1)
            app.send(status("1", "Running", progress=1))
            app.stored()
        self.act("2", "update", "second")
        self.wait_statuses("2", "Received")
        service.kill()
        service.start()
        self.connected(service)
        with service.app() as app:
            self.assertEqual(app.wait(1), [{"action_id": "2", "name": "update", "payload": "second"}])
            self.act("3", "cancel_action", '{"action_id":"1","name":"update"}')
            self.assertEqual(app.wait(2)[1]["action_id"], "3")
            app.send(status("3", "Completed"), status("1", "Failed", errors=["cancelled"]))
            self.wait_statuses("1", "Received", "Running", "Failed")
            self.wait_statuses("3", "Received", "Completed")
            app.stored()
        service.stop()
        service.start()
        self.connected(service)
        with service.app() as app:
            app.stored(7)
            self.assertEqual([line for _, line in app.lines], ['{"stored":7}'])

    def test_an_action_without_an_application_fails_after_its_age(self):
        service = self.service("action_queue_age = 1\n" + ONE)
        self.connected(service)
        self.act("1", "update")
        self.wait_statuses("1", "Received", "Failed")
        self.assertEqual(self.statuses("1")[1][1], ["Action waited 1s for its application"])

    def test_sixteen_of_the_largest_actions_wait_for_an_application(self):
        service = self.service()
        self.connected(service)
        payload = "x" * ((1 << 20) - 200)
        for number in range(1, 18):
            self.act(str(number), "update", payload)
        self.wait_statuses("17", "Received", "Failed")
        self.assertEqual(self.statuses("17")[1][1], ["Could not forward action to collector: sending on a full channel"])
        service.kill()
        service.start()
        with service.app() as app:
            found = app.wait(16)
            self.assertEqual([(one["action_id"], one["payload"] == payload) for one in found], [(str(n), True) for n in range(1, 17)])
        for number in range(1, 17):
            self.assertEqual({state for state, _ in self.statuses(str(number))}, {"Received"})  # once more after the kill, perhaps

    def test_a_naive_application(self):
        """One recv for an action, and what it got is parsed: as uplink's own examples do it."""
        service = self.service()
        self.connected(service)
        with socket.create_connection(("127.0.0.1", service.ports["main"])) as naive:
            for number in range(1, 21):
                self.act(str(number), "update", json.dumps({"number": number}))
                action = json.loads(naive.recv(2048))
                self.assertEqual(json.loads(action["payload"]), {"number": number})
                for state in ("Running", "Completed"):
                    naive.sendall((status(action["action_id"], state) + "\n").encode())
                self.wait_statuses(str(number), "Received", "Running", "Completed")

    def test_bad_actions(self):
        service = self.service()
        self.connected(service)
        with service.app() as app:
            for bad in (b'[{"action_id":"1","name":"update","payload":"x"}]', b'{"action_id":1,"name":"update","payload":"x"}',
                        b'{"action_id":"1","name":"update","payload":{}}', b"\xff", b"", b'{"action_id":"1","name":"update"}',
                        b'{"action_id":"1","name":"update","payload":"' + b"x" * (10 << 20) + b'"}', b"[" * 10000):
                self.publish(f"{self.prefix}/actions", bad)
            self.act("2", "update", "good")
            self.assertEqual(app.wait(1), [{"action_id": "2", "name": "update", "payload": "good"}])
            self.wait_statuses("2", "Received")
        self.assertEqual(self.statuses("1"), [])
        self.assertEqual(service.figures()["refused_total"]["action"], 8)
        if not SANITIZED:
            self.assertLess(peak_memory_kib(service.running.pid), 64 << 10)


class BadInput(ServiceTest):
    def test_bad_lines_cost_a_line_each(self):
        service = self.service()
        bad = ["[1,2]", "7", "tru", '{"stream":"one","sequence":1.0,"timestamp":1}',
               '{"stream":"one","sequence":1,"timestamp":1,"v":tru}', '{"stream":"one","sequence":1,"timestamp":1,"v":01.e}',
               '{"stream":"one","sequence":1,"timestamp":1}}', '{"stream":"one","sequence":1,"timestamp":1}]',
               '{"stream":"one","stream":"one","sequence":1,"timestamp":1}', "[" * 10000, '{"a":' * 10000,
               '{"stream":"one","sequence":18446744073709551616,"timestamp":1}',
               '{"stream":"one","sequence":1,"timestamp":18446744073709551616}',
               '{"stream":"one","sequence":-1,"timestamp":1}', '{"stream":"one","sequence":1,"timestamp":1,"v":"\ud800"}',
               '{"stream":"","sequence":1,"timestamp":1}', '{"stream":"a+b","sequence":1,"timestamp":1}',
               '{"stream":"#","sequence":1,"timestamp":1}', '{"stream":"a/b","sequence":1,"timestamp":1}',
               '{"stream":"a\\u0000b","sequence":1,"timestamp":1}', '{"stream":"%s","sequence":1,"timestamp":1}' % ("x" * 256),
               '{"stream":"one","sequence":1,"timestamp":1,%s}' % ",".join(f'"k{n}":1' for n in range(1100)),
               status("1", "Completed", progress=300), '{"stream":"action_status","sequence":1,"timestamp":1}']
        with service.app() as app:
            for number, line in enumerate(bad, 1):
                app.socket.sendall(line.encode("utf-8", "surrogatepass") + b"\n" + point("one", number).encode() + b"\n")
            app.socket.sendall(b'{"stream":"one","sequence":1,"timestamp":1,"v":"\xff\xfe"}\n')
            app.stored()
            wait_for(lambda: len(self.points("one")) >= len(bad), "the good points")
            self.assertIsNone(app.closed_at)
        self.assertEqual(self.sequences("one"), list(range(1, len(bad) + 1)))
        self.assertEqual(sum(service.figures()["refused_total"].values()), len(bad) + 1)

    def test_a_line_without_an_end_costs_no_memory(self):
        service = self.service()
        size = 1 << 30 if PROVE else 48 << 20
        with service.app() as app:
            app.send(point("one", 1))
            block = b"x" * (1 << 20)
            before = peak_memory_kib(service.running.pid)
            for _ in range(size >> 20):
                app.socket.sendall(block)
            app.socket.sendall(b"\n")
            app.send(point("one", 2))
            app.stored()
            if not SANITIZED:
                self.assertLess(peak_memory_kib(service.running.pid) - before, 4096)
            for _ in range(3):
                with contextlib.suppress(OSError):
                    app.socket.sendall(block + b"\n")
            app.wait_closed()
        wait_for(lambda: len(self.points("one")) == 2, "the good points")
        self.assertEqual(service.figures()["refused_total"], {"too long": 4})

    def test_more_streams_than_may_be(self):
        service = self.service("max_stream_count = 2\n[tcpapps.main]\nport = {main}\n")
        self.connected(service)  # a stop does not wait for that
        with service.app() as app:
            app.send(point("a", 1), point("b", 1), point("c", 1), point("a", 2))
            app.stored()
        service.stop()
        wait_for(lambda: self.points("a") and self.points("b"), "both streams")
        self.assertEqual(self.sequences("a"), [1, 2])
        self.assertEqual(self.points("c"), [])

    def test_many_connections(self):
        count = 1000 if PROVE else 200
        service = self.service()
        self.connected(service)
        if not SANITIZED:
            self.assertLess(peak_memory_kib(service.running.pid), 12 << 10)
        for number in range(count):
            with socket.create_connection(("127.0.0.1", service.ports["main"])) as client:
                client.sendall((point("one", number) + "\n").encode())
        wait_for(lambda: len(self.points("one")) >= count, "a point of each")
        self.assertEqual(sorted(self.sequences("one")), list(range(count)))
        if not SANITIZED:
            self.assertLess(peak_memory_kib(service.running.pid), 24 << 10)


class Brokers(ServiceTest):
    def test_tls_with_the_keys_of_the_device_file(self):
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        authority = Authority(folder)
        with Broker(f"cafile {authority.ca}", f"certfile {authority.server[0]}", f"keyfile {authority.server[1]}",
                    "require_certificate true", "use_identity_as_username true", f"listener {free_port()} 127.0.0.1",
                    anonymous=True) as broker:
            # The second listener is plain, for the subscriber.
            plain = int(broker.lines[-1].split()[1])
            secure, broker.port = broker.port, plain
            wait_for(broker._accepts, f"the second listener: {broker.log()}", 5)
            with Subscriber(broker, "#") as self.subscriber:
                authentication = {"ca_certificate": Path(authority.ca).read_text(),
                                  "device_certificate": Path(authority.client[0]).read_text(),
                                  "device_private_key": Path(authority.client[1]).read_text()}
                service = self.service(port=secure, device_file={"authentication": authentication, "broker": "localhost"})
                with service.app() as app:
                    app.send(point("one", 1))
                    wait_for(lambda: self.points("one"), "a point over TLS")
                self.assertNotIn("PRIVATE KEY", service.running.stderr)
                service.stop()
                # A broker that is not the one of the authority.
                authentication["ca_certificate"] = authentication["device_certificate"]
                other = self.service(port=secure, device_file={"authentication": authentication, "broker": "localhost"})
                wait_for(lambda: "TLS: " in other.running.stderr, "a refusal")
                with other.app() as app:
                    app.send(point("one", 2))
                    app.stored()
                self.assertEqual(other.stop(), -signal.SIGTERM)

    def test_user_name_and_password(self):
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        (folder / "secret").write_text("open sesame\n")
        (folder / "passwords").write_text("")
        os.chmod(folder / "passwords", 0o600)
        subprocess.run(["mosquitto_passwd", "-b", folder / "passwords", "gateway", "open sesame"], check=True,
                                     capture_output=True)
        with Broker(f"password_file {folder / 'passwords'}", anonymous=False) as broker:
            mqtt = f'[mqtt]\nusername = "gateway"\npassword_file = "{folder / "secret"}"\n'
            service = self.service(mqtt + ONE, port=broker.port)
            self.connected(service)
            service.stop()
            (folder / "secret").write_text("wrong\n")
            refused = self.service(mqtt + ONE, port=broker.port)
            wait_for(lambda: "trying again" in refused.running.stderr, "a refusal")
            self.assertNotIn("wrong", refused.running.stderr)
            with refused.app() as app:
                app.send(point("one", 1))
                app.stored()

    def test_a_session_that_the_broker_keeps(self):
        service = self.service("[mqtt]\nclean_session = false\n" + ONE)
        self.connected(service)
        service.stop()
        self.act("1", "update")
        service.start()
        with service.app() as app:
            self.assertEqual(app.wait(1)[0]["action_id"], "1")

    def outage(self, rate, seconds, configuration, *arguments):
        """Points at a rate while the broker is away; what the far side has in the end, and the figures."""
        proxy = self.enterContext(Proxy(self.broker.port))
        service = self.service(configuration, *arguments, port=proxy.port)
        self.connected(service)
        proxy.down()
        with service.app() as app:
            began, number = time.monotonic(), 0
            while number < rate * seconds:
                due = min(int((time.monotonic() - began + 0.05) * rate), rate * seconds)
                app.send(*(point("load", n, pad="x" * 50) for n in range(number + 1, due + 1)))
                number = due
                select.select([], [], [], 0.02)
            app.stored()
            figures = service.figures()
            self.assertEqual(figures["delivered_total"], 0)
            proxy.up()
            app.send(point("load", number + 1), point("live", 1))
            wait_for(lambda: service.figures()["queued_records"] + service.figures()["in_flight_records"] == 0, "the backlog", 120)
            figures = service.figures()
        return number + 1, figures

    def test_an_outage_loses_nothing_and_keeps_the_order(self):
        count, figures = self.outage(5000, 60 if PROVE else 1, "[tcpapps.main]\nport = {main}\n[streams.live]\nbatch_size = 1\n"
                                     "[streams.load]\nflush_period = 1\n", "--spool-max-bytes", "256MiB")
        wait_for(lambda: len(self.sequences("load")) >= count, "all points")
        self.assertEqual(self.sequences("load"), list(range(1, count + 1)))
        self.assertEqual(figures["accepted_total"], count + 1)
        self.assertEqual(figures["delivered_total"], count + 1)

    def test_live_data_first(self):
        count, _ = self.outage(5000, 10 if PROVE else 1, "prioritize_live_data = true\n[tcpapps.main]\nport = {main}\n"
                               "[streams.live]\nbatch_size = 1\n[streams.load]\nbatch_size = 10\nflush_period = 1\n[mqtt]\nmax_inflight = 2\n")
        topics = [message.topic for message in self.subscriber.messages]
        live = topics.index(f"{self.prefix}/events/live/jsonarray")
        self.assertLess(live, len(topics) * 3 // 4)  # not behind the whole backlog
        wait_for(lambda: len(self.sequences("load")) >= count, "all points")
        self.assertEqual(sorted(self.sequences("load")), list(range(1, count + 1)))

    def test_a_full_spool_blocks_and_everything_arrives(self):
        proxy = self.enterContext(Proxy(self.broker.port))
        service = self.service("[tcpapps.main]\nport = {main}\nactions = [{ name = \"update\" }]\n", "--spool-max-bytes", "1MiB",
                               "--spool-min-free", "0", port=proxy.port)
        self.connected(service)
        proxy.down()
        count = 40000
        with service.app() as app:
            sender = threading.Thread(target=lambda: app.send(*(point("load", n, pad="x" * 60) for n in range(1, count + 1))))
            sender.start()
            wait_for(lambda: service.figures()["spool_full"], "a full spool")
            self.assertLess(service.figures()["spool_bytes"], 1 << 20)
            proxy.up()
            sender.join(TIMEOUT)
            app.send(*(point("load", n) for n in range(count + 1, count + 101)))
            app.stored(timeout=120)
            self.assertEqual(service.figures()["refused_total"], {})
            self.act("1", "update")  # also while the spool is nearly full
            wait_for(lambda: any("action_id" in line for _, line in app.lines), "an action")
        service.stop()
        service.start()
        wait_for(lambda: len(self.sequences("load")) >= count + 100, "all points", 120)
        self.assertEqual(list(dict.fromkeys(self.sequences("load"))), list(range(1, count + 101)))

    def test_a_full_spool_that_drops_the_oldest_says_how_many(self):
        proxy = self.enterContext(Proxy(self.broker.port))
        service = self.service("[tcpapps.main]\nport = {main}\n", "--spool-max-bytes", "1MiB", "--spool-min-free", "0", "--on-full",
                               "drop-oldest", port=proxy.port)
        self.connected(service)
        proxy.down()
        count = 40000
        with service.app() as app:
            app.send(*(point("load", n, pad="x" * 60) for n in range(1, count + 1)))
            app.stored(timeout=120)
            proxy.up()
            self.check_dropped(count, self.delivered(service))

    def test_what_is_dropped_under_way_and_arrives_is_counted(self):
        """A broker that reads and says nothing: the window is full of messages whose points are dropped then."""
        proxy = self.enterContext(Proxy(self.broker.port))
        service = self.service("[tcpapps.main]\nport = {main}\n", "--spool-max-bytes", "1MiB", "--spool-min-free", "0", "--on-full",
                               "drop-oldest", port=proxy.port)
        self.connected(service)
        count = 40000
        with service.app() as app:
            self.broker.process.send_signal(signal.SIGSTOP)
            try:
                app.send(*(point("load", n, pad="x" * 60) for n in range(1, count + 1)))
                app.stored(timeout=120)
                self.assertGreater(service.figures()["dropped_total"], 0)
            finally:
                self.broker.process.send_signal(signal.SIGCONT)
            figures = self.delivered(service)
        self.assertGreater(figures["dropped_delivered_total"], 0)
        self.check_dropped(count, figures)

    def delivered(self, service):
        """The figures when nothing waits any more."""
        wait_for(lambda: service.figures()["queued_records"] + service.figures()["in_flight_records"] == 0, "the backlog", 120)
        wait_for(lambda: service.figures()["messages_in_flight"] == 0, "acknowledgements")
        return service.figures()

    def check_dropped(self, count, figures):
        """Each point was published or dropped, but for those that were under way when they were dropped: both, and counted."""
        self.assertEqual(figures["accepted_total"], count)
        self.assertGreater(figures["dropped_total"], 0)
        self.assertEqual(figures["delivered_total"] + figures["dropped_total"], count)
        arrived = figures["delivered_total"] + figures["dropped_delivered_total"]
        wait_for(lambda: len(self.sequences("load")) >= arrived, "what was delivered")
        found = self.sequences("load")
        self.assertEqual(found, sorted(set(found)))
        self.assertEqual(len(found), arrived)
        self.assertEqual(found[-1], count)


    def full_disk(self, policy):
        """More points than the disk holds while the broker is away; how many, and the figures when all is done with."""
        proxy = self.enterContext(Proxy(self.broker.port))
        service = self.service("[tcpapps.main]\nport = {main}\nactions = [{ name = \"update\" }]\n", "--spool-min-free", "0", "--on-full",
                               policy, kind=OnDisk, port=proxy.port)
        self.connected(service)
        proxy.down()
        count = 40000
        lines = [*(point("load", n, pad="x" * 100) for n in range(1, count + 1)), point("fieldpipe_stored", 1)]
        with service.app() as app:
            sender = threading.Thread(target=lambda: app.send(*lines))
            sender.start()
            wait_for(lambda: any(service.figures()[name] for name in ("spool_full", "dropped_total")), "the full disk")
            disk = service.disk()
            self.assertEqual(disk.f_blocks * disk.f_frsize, service.size_bytes)
            self.assertLess(disk.f_bavail * disk.f_frsize, service.size_bytes // 4)
            proxy.up()
            sender.join(TIMEOUT)
            wait_for(lambda: app.lines, "the checkpoint")
            self.connected(service)
            self.act("1", "update")
            app.wait(2)
        return count, self.delivered(service)

    def test_a_full_disk_blocks_and_everything_arrives(self):
        count, figures = self.full_disk("block")
        wait_for(lambda: len(self.sequences("load")) >= count, "all points")
        self.assertEqual(list(dict.fromkeys(self.sequences("load"))), list(range(1, count + 1)))
        self.assertEqual((figures["accepted_total"], figures["delivered_total"], figures["dropped_total"]), (count, count, 0))

    def test_a_full_disk_that_drops_the_oldest_says_how_many(self):
        self.check_dropped(*self.full_disk("drop-oldest"))


class Kills(ServiceTest):
    """Killed at random under load, with a broker that comes and goes: what was confirmed is there in the end."""

    def test_kills(self):
        chance = random.Random(os.environ.get("FIELDPIPE_SEED", 1))
        proxy = self.enterContext(Proxy(self.broker.port))
        service = self.service("[mqtt]\nclean_session = false\n" + ONE + "[streams.load]\nbatch_size = 7\nflush_period = 1\n",
                               port=proxy.port)
        self.connected(service)
        load = Load(service)
        actions = 0
        for turn in range(200 if PROVE else 6):
            if chance.random() < 0.5:
                proxy.down()
            for _ in range(chance.randrange(3)):
                actions += 1
                self.act(f"a{actions}", "update", str(actions))
            select.select([], [], [], chance.uniform(0.02, 0.35))
            service.kill()
            if chance.random() < 0.8:
                proxy.up()
            service.start()
        proxy.up()
        def open_actions():
            return [n for n in range(1, actions + 1) if "Completed" not in (state for state, _ in self.statuses(f"a{n}"))]

        with contextlib.suppress(AssertionError):
            wait_for(lambda: not open_actions(), "", 60)
        self.assertEqual([(n, self.statuses(f"a{n}")) for n in open_actions()], [])
        load.stop()
        with service.app() as app:
            app.send(point("load", 0))
            app.stored()
        service.stop()
        service.start()
        wait_for(lambda: service.figures()["queued_records"] + service.figures()["in_flight_records"] == 0, "the backlog", 120)
        wait_for(lambda: load.confirmed <= set(self.sequences("load")), "all confirmed points")
        for number in range(1, actions + 1):
            self.assertEqual([one for one in self.statuses(f"a{number}") if one[0] == "Failed"], [])
        self.assertGreater(len(load.confirmed), 0)
        print(f"{turn + 1} kills, {len(load.confirmed)} points confirmed of {load.number}, {actions} actions, "
              f"{len(self.sequences('load')) - len(set(self.sequences('load')))} points repeated")


class Load(threading.Thread):
    """An application that sends points, has them confirmed, and answers actions; it connects again and again."""

    def __init__(self, service):
        super().__init__(daemon=True)
        self.service = service
        self.number = 0
        self.confirmed = set()
        self.ending = False
        self.start()

    def run(self):
        while not self.ending:
            with contextlib.suppress(OSError):
                with socket.create_connection(("127.0.0.1", self.service.ports["main"])) as connection:
                    self.talk(connection)
            select.select([], [], [], 0.01)

    def talk(self, connection):
        data, asked, answered = b"", {}, {}
        while not self.ending:
            if len(asked) < 20:
                first = self.number + 1
                self.number += 25
                asked[self.number] = range(first, self.number + 1)
                lines = [point("load", n) for n in asked[self.number]] + [point("fieldpipe_stored", self.number)]
                connection.sendall("".join(line + "\n" for line in lines).encode())
            ready, _, _ = select.select([connection], [], [], 0.01)
            if not ready:
                continue
            more = connection.recv(1 << 16)
            if not more:
                return
            *lines, data = (data + more).split(b"\n")
            for line in map(json.loads, lines):
                if "stored" in line:
                    self.confirmed.update(asked.pop(line["stored"]))
                else:
                    connection.sendall((status(line["action_id"], "Running", 1, 50) + "\n" + status(line["action_id"], "Completed", 2)
                                        + "\n").encode())

    def stop(self):
        self.ending = True
        self.join(TIMEOUT)


if __name__ == "__main__":
    unittest.main()
