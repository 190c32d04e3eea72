# SPDX-License-Identifier: MIT
"""Options that several tools share, at the other end of the connection: each tool passes them on."""

import contextlib
import json
import os
import re
import ssl
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from integration import devices, peers
from integration.endpoint import Endpoint
from integration.peers import Broker, FakeBroker, Running, Subscriber, wait_for
from integration.simulator import Simulator
from tools import BIN, environment, run

KEY = "0123456789abcdef0123456789ABCDEF"
NOBODY = "mqtt://127.0.0.1:1"
PUB = ("mqtt-pub", "-t", "a", "-m", "x")
SUB = ("mqtt-sub", "-t", "a", "-C", "1")


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.spool = self.folder / "spool"

    def relay(self, url, *arguments, stdin=b"aa\n", status=0):
        result = run("mflt-relay", "--device", "D", "--spool", self.spool, "--endpoint", url, *arguments, stdin=stdin,
                     env=environment(MEMFAULT_PROJECT_KEY=KEY))
        self.assertEqual(result.returncode, status, result.stderr)
        return result

    def bridge(self, broker, *arguments):
        """mflt-relay between this broker and an endpoint that is not there."""
        return ("mflt-relay", "--broker", broker.url, "--endpoint", "http://127.0.0.1:1", "--spool", self.spool, *arguments)


class Connect(Folder):
    """What CONNECT holds, and where it comes from."""

    def connects(self, *command):
        """Body and sender of the CONNECT of a tool, which is refused then."""
        seen = []

        def script(wire, _):
            seen.append((wire.expect(peers.CONNECT), wire.socket.getpeername()[0]))
            wire.send(peers.packet(peers.CONNACK, b"\0\x87\0"))

        with FakeBroker(script) as broker:
            command = self.bridge(broker, *command[1:]) if command[0] == "mflt-relay" else (*command, "--broker", broker.url)
            with Running(*command) as running:
                wait_for(lambda: seen, "CONNECT")
                running.process.terminate()
                running.process.wait(peers.TIMEOUT)
        return seen[0]

    def test_address_keepalive_and_will(self):
        for command in (PUB, SUB):
            body, sender = self.connects(*command, "--bind", "127.0.0.2", "--keepalive", "77", "--will-topic", "gone",
                                         "--will-payload", "w", "--will-qos", "2", "--will-retain")
            self.assertEqual(sender, "127.0.0.2")
            self.assertEqual(body[7] & 0x3C, 0x04 | 2 << 3 | 0x20)
            self.assertEqual(body[8:10], (77).to_bytes(2, "big"))
            self.assertIn(peers.text("gone") + peers.text("w"), body)
            body, sender = self.connects(*command, "--will-topic", "gone")
            self.assertEqual((body[7] & 0x3C, body[8:10], sender), (0x04, (60).to_bytes(2, "big"), "127.0.0.1"))

    def test_how_long_the_session_is_kept(self):
        for command, seconds in (((*PUB, "-c", "-i", "me"), 0xFFFFFFFF), ((*SUB, "-c", "-i", "me"), 0xFFFFFFFF),
                                 ((*PUB, "-c", "-i", "me", "--session-expiry-interval", "77"), 77),
                                 ((*SUB, "-c", "-i", "me", "--session-expiry-interval", "77"), 77),
                                 (("mflt-relay", "--id", "me", "--project-key-file", self.key()), 7 * 86400)):
            body, _ = self.connects(*command)
            self.assertEqual(body[7] & 0x02, 0, command)  # no clean start
            self.assertIn(b"\x11" + seconds.to_bytes(4, "big"), body[10:], command)
            self.assertTrue(body.endswith(peers.text("me")), command)

    def test_the_relay_keeps_alive_as_told(self):
        body, _ = self.connects("mflt-relay", "--keepalive", "77", "--project-key-file", self.key())
        self.assertEqual(body[8:10], (77).to_bytes(2, "big"))

    def test_the_relay_subscribes_at_qos_1(self):
        seen = []

        def script(wire, _):
            wire.accept()
            seen.append(wire.expect(peers.SUBSCRIBE))

        with FakeBroker(script) as broker, Running(*self.bridge(broker, "--project-key-file", self.key())) as relay:
            wait_for(lambda: seen, "SUBSCRIBE")
            relay.process.kill()
        self.assertEqual(seen[0][-1] & 3, 1)

    def key(self):
        (self.folder / "key").write_text(KEY + "\n")
        return self.folder / "key"

    def test_the_relay_has_a_user_and_a_password(self):
        (self.folder / "users").write_text("")
        (self.folder / "users").chmod(0o600)
        subprocess.run(["mosquitto_passwd", "-b", self.folder / "users", "me", "right"], check=True)
        for word in ("right", "wrong"):
            (self.folder / word).write_text(word + "\n")
        with Broker(f"password_file {self.folder}/users", anonymous=False) as broker:
            for word, told in (("right", "subscribed to prod/"), ("wrong", "trying again in")):
                with Running(*self.bridge(broker, "--username", "me", "--password-file", self.folder / word, "--verbose", "--debug")) as relay:
                    wait_for(lambda: told in relay.stderr, told)
                    self.assertIn("sending CONNECT", relay.stderr)
                    self.assertNotIn(word + "\n", relay.stderr)

    def test_retain_as_published(self):
        with Broker() as broker:
            for options, retain in (((), False), (("--retain-as-published",), True)):
                with Running("mqtt-sub", "--broker", broker.url, "-t", "a", "--to", "envelope", "-C", "1", "--verbose", *options) as sub:
                    wait_for(lambda: "subscribed" in sub.stderr, "the subscription")
                    self.assertEqual(run("mqtt-pub", "--broker", broker.url, "-t", "a", "-m", "x", "-r").returncode, 0)
                    self.assertEqual(json.loads(sub.finish()[1]).get("retain", False), retain)
                    run("mqtt-pub", "--broker", broker.url, "-t", "a", "-n", "-r")


class Tls(Folder):
    @classmethod
    def setUpClass(cls):
        cls.authority = peers.Authority(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.trusted = cls.authority.folder / "trusted"
        cls.trusted.mkdir()
        (cls.trusted / "ca.pem").write_bytes(Path(cls.authority.ca).read_bytes())
        subprocess.run(["openssl", "rehash", cls.trusted], check=True)

    def context(self, certificate=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*(certificate or self.authority.server))
        return context

    def speaks(self, context, *options, refusal=77):
        """Version and protocol of the session that both clients have with this server; None where they refuse it."""
        sessions = []

        def script(wire, _):
            sessions.append((wire.socket.version(), wire.socket.selected_alpn_protocol()))
            wire.expect(peers.CONNECT)
            wire.send(peers.packet(peers.CONNACK, b"\0\x87\0"))  # not authorized: far enough

        statuses = []
        for command in (PUB, SUB):
            with contextlib.suppress(ssl.SSLError, OSError), FakeBroker(script, context) as broker:
                result = run(*command, "-h", "localhost", "-p", str(broker.port), *options)
                statuses.append((result.returncode, b"not authorized" in result.stderr.lower()))
        self.assertEqual(statuses[0], statuses[1])
        self.assertIn(statuses[0], ((77, True), (refusal, False)))
        self.assertEqual(len(sessions), 2 if statuses[0][1] else 0)
        return sessions[0] if sessions else None

    def test_version_and_application_protocol(self):
        ca = ("--cafile", self.authority.ca)
        context = self.context()
        context.set_alpn_protocols(["other", "x-amzn-mqtt-ca"])
        self.assertEqual(self.speaks(context, *ca), ("TLSv1.3", None))
        self.assertEqual(self.speaks(context, *ca, "--tls-alpn", "x-amzn-mqtt-ca"), ("TLSv1.3", "x-amzn-mqtt-ca"))
        self.assertEqual(self.speaks(context, *ca, "--tls-version", "tlsv1.2"), ("TLSv1.3", None))
        self.assertEqual(self.speaks(context, *ca, "--tls-version", "tlsv1.3"), ("TLSv1.3", None))
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.assertEqual(self.speaks(context, *ca, "--tls-version", "tlsv1.2"), ("TLSv1.2", None))
        self.assertIsNone(self.speaks(context, *ca, "--tls-version", "tlsv1.3", refusal=75))

    def test_who_is_trusted(self):
        self.assertIsNone(self.speaks(self.context(), "--tls-use-os-certs"))  # ours is not among them
        self.assertTrue(self.speaks(self.context(), "--capath", self.trusted))
        self.assertIsNone(self.speaks(self.context(), "--capath", self.folder))
        other = self.context(self.authority.other_host)
        self.assertIsNone(self.speaks(other, "--cafile", self.authority.ca))
        self.assertTrue(self.speaks(other, "--cafile", self.authority.ca, "--insecure"))
        self.assertIsNone(self.speaks(self.context(self.authority.expired), "--cafile", self.authority.ca))

    def test_clients_of_https(self):
        cert, key = self.authority.client
        ours = ("--cert", cert, "--key", key)
        latest = {"path": "/api/v0/releases/latest*", "status": 204}
        with Endpoint([latest], tls=self.authority.server, client_authority=self.authority.ca) as server:
            for options, trusts in ((("--capath", self.trusted, *ours), True), (("--cafile", self.authority.ca, *ours), True),
                                    (("--capath", self.folder, *ours), False), (("--capath", self.trusted), False)):
                before = len(server.requests)
                result = run("mflt-ota", "--api", server.url, *options, stdin=b'{"device_serial":"D","hardware_version":"h","software_type":"s","current_version":"1"}',
                             env=environment(MEMFAULT_PROJECT_KEY=KEY))
                self.assertEqual(result.returncode == 1, trusts, result.stderr)
                self.relay(server.url, *options, "--drain-timeout", "1m" if trusts else "0s", status=0 if trusts else 75)
                self.assertEqual(len(server.requests) - before, 2 if trusts else 0, options)
                if not trusts:
                    self.relay(server.url, "--capath", self.trusted, *ours, stdin=b"")  # what it has kept

    def test_a_connection_has_its_own_time_limit(self):
        with devices.socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers a handshake
            url = f"https://127.0.0.1:{silent.getsockname()[1]}"
            result = run("mflt-ota", "--api", url, "--connect-timeout", "50ms", "--device", "D", "--hardware-version", "h", "--software-type", "s",
                         "--current-version", "1", env=environment(MEMFAULT_PROJECT_KEY=KEY))
            self.assertEqual(result.returncode, 75, result.stderr)
            self.assertIn(b"SSL connection timeout", result.stderr)
            with Running("mflt-relay", "--device", "D", "--spool", self.spool, "--endpoint", url, "--connect-timeout", "50ms",
                         env=environment(MEMFAULT_PROJECT_KEY=KEY)) as relay:
                relay.stdin.write(b"aa\n")
                relay.stdin.flush()
                line = json.loads(relay.stdout.readline())
                self.assertIsNone(line["status"])
                self.assertIn("SSL connection timeout", line["error"])
                self.assertLess(line["seconds"], 10)


class Spool(Folder):
    """mqtt-pub and mflt-relay."""

    def keep(self, tool, *options, records=3, program=()):
        """A run that cannot deliver its records."""
        lines = b"aa\n" * records
        command = ("mqtt-pub", "--broker", NOBODY, "-t", "t") if tool == "mqtt-pub" else ("mflt-relay", "--device", "D", "--endpoint", "http://127.0.0.1:1")
        result = run(*program, BIN / command[0], *command[1:], "--spool", self.spool, "--drain-timeout", "0s", *options, stdin=lines,
                     env=environment(MEMFAULT_PROJECT_KEY=KEY, ASAN_OPTIONS="detect_leaks=0"))
        self.assertEqual(result.returncode, 75, result.stderr)
        return result.stderr.decode()

    def test_what_is_too_old_is_dropped(self):
        self.keep("mqtt-pub")
        with Broker() as broker, Subscriber(broker, "#") as subscriber:
            result = run("mqtt-pub", "--broker", broker.url, "-t", "t", "--spool", self.spool, "--max-age", "1ms", stdin=b"")
            self.assertEqual((result.returncode, result.stderr), (1, b"mqtt-pub: 3 records were dropped, 3 of them too old\n"))
            self.assertEqual(run("mqtt-pub", "--broker", broker.url, "-t", "last", "-m", "x").returncode, 0)
            self.assertEqual([message.topic for message in subscriber.wait(1)], ["last"])
        self.spool = self.folder / "chunks"
        self.keep("mflt-relay")
        with Endpoint() as server:
            result = self.relay(server.url, "--max-age", "1ms", stdin=b"", status=1)
            self.assertIn(b"mflt-relay: 3 chunks were dropped\n", result.stderr)
            self.assertEqual(server.requests, [])
            self.keep("mflt-relay")
            self.relay(server.url, "--max-age", "1h", stdin=b"")
            self.assertEqual(len(server.chunks("D")), 3)

    def test_dead_letters_say_why(self):
        with Endpoint([{"path": "*/chunks/D", "status": 413, "times": 1}, {"path": "*/chunks/D", "status": 400, "times": 1}]) as server:
            result = self.relay(server.url, "--batch-chunks", "1", stdin=b"aa\nbb\ncc\n", status=1)
            self.assertEqual(server.chunks("D"), [b"\xcc"])
            self.assertIn(b"2 chunks were refused by the server and set aside", result.stderr)
        letters = run("fieldpipe-spool", "list", "--dead", self.spool).stdout.splitlines()
        self.assertEqual([(letter["reason"], letter["length"]) for letter in map(json.loads, letters)], [("too-large", 1), ("refused", 1)])

    def test_how_often_the_disk_is_asked_to_sync(self):
        for tool in ("mqtt-pub", "mflt-relay"):
            counts = {}
            for when in ("off", "group", "always"):
                self.spool = self.folder / f"{tool}-{when}"
                trace = self.folder / "trace"
                told = self.keep(tool, "--fsync", when, records=40,
                                 program=("/usr/bin/strace", "-f", "-qq", "-e", "trace=fdatasync", "-e", "signal=none", "-o", trace))
                self.assertEqual(f"{tool}: --fsync off: a power cut loses what was accepted" in told, when == "off", told)
                counts[when] = trace.read_text().count("fdatasync(")
            self.assertLess(counts["off"], counts["group"])
            self.assertGreaterEqual(counts["always"], counts["group"] + 39)


class Device(Folder):
    """smp-query and smp-sim."""

    def test_which_image_and_only_a_newer_one(self):
        image = self.folder / "fw.bin"
        image.write_bytes(devices.image())
        for options, number, newer in (((), None, None), (("--image", "1"), 1, None), (("--newer-only",), None, True)):
            device = devices.Device()
            with devices.Udp(device) as server:
                result = run("smp-query", "-c", server.place, "image", "upload", image, *options)
                self.assertEqual(result.returncode, 0, result.stderr)
            first = next(request for group, command, _, request in device.requests if (group, command) == (1, 1))
            self.assertEqual((first.get("image") or None, first.get("upgrade")), (number, newer))

    def test_lines_of_a_console(self):
        words = "x" * 200
        for options, longest, pause in (((), 127, 0), (("--line-length", "51"), 51, 0), (("--line-delay", "40ms"), 127, 0.04)):
            with devices.Terminal(devices.Device()) as server:
                began = time.monotonic()
                result = run("smp-query", "-c", server.place, "echo", words, *options)
                self.assertEqual((result.returncode, json.loads(result.stdout)), (0, {"r": words}), result.stderr)
                passed = time.monotonic() - began
                lines = server.lines
            self.assertEqual(max(map(len, lines)), longest)
            self.assertGreaterEqual(passed, pause * (len(lines) - 1))

    def test_who_a_simulated_device_is(self):
        with Simulator("--hardware-version", "dvt9", "--software-type", "boot") as device:
            info = json.loads(run("smp-query", "-c", device.place, "memfault").stdout)
            self.assertEqual((info["hardware_version"], info["software_type"]), ("dvt9", "boot"))
            self.assertEqual(run("smp-query", "-c", device.place, "memfault", "key").returncode, 0)
        with Simulator("--no-key") as device:
            result = run("smp-query", "-c", device.place, "memfault", "key")
            self.assertEqual(result.returncode, 69, result.stderr)
            self.assertIn(b"memfault error NO_PROJECT_KEY (2)", result.stderr)

    def test_faults_repeat_with_their_seed(self):
        self.assertEqual(self.answered("--seed", "7"), self.answered("--seed", "7"))
        self.assertEqual(self.answered("--seed", "1"), self.answered())
        self.assertNotEqual(self.answered("--seed", "7"), self.answered("--seed", "8"))

    def answered(self, *options):
        """Which of 100 requests a device that loses half of all packets answers."""
        def request(sequence):
            return b"\x0a\0\0\5\0\0" + bytes([sequence, 0]) + b"\xa1adax"

        with Simulator("--drop", "0.5", *options) as device, devices.socket.socket(type=devices.socket.SOCK_DGRAM) as to:
            _, host, port = device.place.split(":")
            to.connect((host, int(port)))
            for sequence in range(100):
                to.send(request(sequence))
            found = []
            to.settimeout(0.05)
            while True:  # what comes before the answer to the last one is all there is
                to.send(request(255))
                with contextlib.suppress(TimeoutError):
                    while (sequence := to.recv(1000)[6]) != 255:
                        found.append(sequence)
                    return found


if __name__ == "__main__":
    unittest.main()
