# SPDX-License-Identifier: MIT
"""mqtt-pub against real and scripted brokers."""

import contextlib
import os
import re
import select
import signal
import ssl
import struct
import tempfile
import unittest
from pathlib import Path

import tools
from integration import peers
from integration.peers import Broker, FakeBroker, Running, Subscriber


def frame(payload):
    return b"\0fp1" + struct.pack("!I", len(payload)) + payload


def pub(*arguments, **options):
    return tools.run("mqtt-pub", *arguments, **options)


class WithBroker(unittest.TestCase):
    """One broker for the tests that only need one to be there."""

    @classmethod
    def setUpClass(cls):
        cls.broker = cls.enterClassContext(Broker())

    def published(self, *arguments, count, stdin=b"", broker=None, env=None):
        """What a subscriber sees of a run that must succeed."""
        broker = broker or self.broker
        with Subscriber(broker, "#") as subscriber:
            result = pub("--broker", broker.url, *arguments, stdin=stdin, env=env)
            self.assertEqual((result.returncode, result.stdout, result.stderr), (0, b"", b""))
            return subscriber.wait(count)


class Modes(WithBroker):
    def one(self, *arguments, **options):
        message, = self.published("-t", "a/b", *arguments, count=1, **options)
        self.assertEqual(message.topic, "a/b")
        return message

    def test_message(self):
        message = self.one("-m", "hi there")
        self.assertEqual((message.payload, message.qos, message.retain), (b"hi there", 0, False))

    def test_null_message(self):
        self.assertEqual(self.one("-n").payload, b"")

    def test_file(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"\0binary\n\r\n")
            file.flush()
            self.assertEqual(self.one("-f", file.name).payload, b"\0binary\n\r\n")

    def test_whole_stdin(self):
        self.assertEqual(self.one("-s", stdin=b"a\nb\n\0").payload, b"a\nb\n\0")
        self.assertEqual(self.one("-s", stdin=b"").payload, b"")

    def test_lines_keep_all_but_the_line_feed(self):
        messages = self.published("-t", "a", "-l", stdin=b"x\r\n\n\0y\nlast", count=4)
        self.assertEqual([m.payload for m in messages], [b"x\r", b"", b"\0y", b"last"])
        self.assertEqual({m.qos for m in messages}, {1})

    def test_records_of_stdin_are_told_apart(self):
        messages = self.published("-t", "a", stdin=b"x\ny", count=2)
        self.assertEqual([m.payload for m in messages], [b"x", b"y"])

    def test_frames_carry_any_bytes(self):
        payloads = [b"\0", b"", b"a\nb", b"\r\n", bytes(range(256)) * 4096, b"\0fp1\0\0\0\1"]
        messages = self.published("-t", "a", stdin=b"".join(map(frame, payloads)), count=len(payloads))
        self.assertEqual([m.payload for m in messages], payloads)

    def test_hex_base64_and_nul(self):
        self.assertEqual(self.one("--from", "hex", stdin=b"00ff0A\n").payload, b"\0\xff\n")
        self.assertEqual(self.one("--from", "base64", stdin=b"AAE=\n").payload, b"\0\1")
        messages = self.published("-t", "a", "--from", "nul", stdin=b"a\n\0b\0", count=2)
        self.assertEqual([m.payload for m in messages], [b"a\n", b"b"])

    def test_envelopes_bring_topic_and_flags(self):
        lines = b'{"topic":"x/1","payload":"a","qos":0}\n{"topic":"x/2","json":{"v":1.50},"retain":true}\n'
        messages = self.published("--from", "envelope", stdin=lines, count=2)
        self.assertEqual([(m.topic, m.payload, m.qos) for m in messages], [("x/1", b"a", 0), ("x/2", b'{"v":1.50}', 1)])
        self.published("-t", "x/2", "-r", "-n", count=1)
        with Subscriber(self.broker, "x/2") as later:
            self.published("-t", "x/2", "-m", "live", count=1)
            self.assertEqual(later.payloads(1), [b"live"])

    def test_retain_and_qos_2(self):
        self.published("-t", "kept", "-m", "k", "-r", "-q", "2", count=1)
        with Subscriber(self.broker, "kept") as later:
            message, = later.wait(1)
            self.assertTrue(message.retain)
        self.published("-t", "kept", "-r", "-n", count=1)

    def test_repeat(self):
        messages = self.published("-t", "a", "-m", "x", "--repeat", "3", "--repeat-delay", "0.001", count=3)
        self.assertEqual([m.payload for m in messages], [b"x"] * 3)

    def test_letters_of_mosquitto(self):
        host, port = self.broker.address()
        with Subscriber(self.broker, "#") as subscriber:
            result = pub("-h", host, "-p", str(port), "-t", "t", "-m", "m", "-q", "1", "-i", "me", "-k", "30", "-V", "mqttv311",
                         "--nodelay")
            self.assertEqual((result.returncode, result.stderr), (0, b""))
            self.assertEqual(subscriber.payloads(1), [b"m"])

    def test_topic_and_broker_from_surroundings(self):
        env = tools.environment(MQTT_PUB_TOPIC="from/env", MQTT_PUB_BROKER=self.broker.url)
        with Subscriber(self.broker, "from/#") as subscriber, tempfile.TemporaryDirectory() as folder:
            self.assertEqual(pub(stdin=b"x\n", env=env).returncode, 0)
            (Path(folder) / "fieldpipe").mkdir()
            (Path(folder) / "fieldpipe/mqtt-pub.toml").write_text(f'topic = "from/file"\nbroker = "{self.broker.url}"\n')
            self.assertEqual(pub(stdin=b"y\n", env=tools.environment(XDG_CONFIG_HOME=folder)).returncode, 0)
            # The URL on the command line is stronger, with its topic too.
            self.assertEqual(pub("-L", self.broker.url + "/from/url", stdin=b"z\n", env=env).returncode, 0)
            self.assertEqual([m.topic for m in subscriber.wait(3)], ["from/env", "from/file", "from/url"])

    def test_topic_file(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("secret/topic\n")
            file.flush()
            message, = self.published("--topic-file", file.name, "-m", "x", count=1)
            self.assertEqual(message.topic, "secret/topic")

    def test_200000_records_all_arrive(self):
        payloads = [b"%06d" % i for i in range(200_000)]
        messages = self.published("-t", "many", stdin=b"\n".join(payloads), count=len(payloads))
        self.assertEqual([m.payload for m in messages], payloads)

    def test_qos_0_stream_all_arrives(self):
        payloads = [b"%05d" % i for i in range(20_000)]
        messages = self.published("-t", "many", "-q", "0", stdin=b"\n".join(payloads), count=len(payloads))
        self.assertEqual([m.payload for m in messages], payloads)

    def test_properties(self):
        with Running("mqtt-sub", "--broker", self.broker.url, "-t", "p", "-C", "1", "--to", "envelope", "--deadline", "20s", "--verbose") as sub:
            peers.wait_for(lambda: "subscribed" in sub.stderr, "subscription")
            result = pub("--broker", self.broker.url, "-t", "p", "-m", "x", "-D", "publish", "content-type", "text/plain",
                         "-D", "publish", "user-property", "k", "v")
            self.assertEqual((result.returncode, result.stderr), (0, b""))
            code, out = sub.finish()
        self.assertEqual(code, 0)
        self.assertIn(b'"content_type":"text/plain"', out)
        self.assertIn(b'{"k":"v"}', out)

    def test_will_is_sent_when_killed(self):
        with Subscriber(self.broker, "gone") as subscriber:
            with Running("mqtt-pub", "--broker", self.broker.url, "-t", "a", "--will-topic", "gone", "--will-payload", "w", "-l", "--verbose") as run:
                peers.wait_for(lambda: "connected" in run.stderr, "connection")
                run.signal(signal.SIGKILL)
                self.assertEqual(subscriber.payloads(1), [b"w"])

    def test_term_finishes_what_is_in_flight(self):
        with Subscriber(self.broker, "#") as subscriber, Running("mqtt-pub", "--broker", self.broker.url, "-t", "a") as run:
            run.stdin.write(b"one\ntwo\n")
            run.stdin.flush()
            subscriber.wait(2)
            run.signal(signal.SIGTERM)
            self.assertEqual(run.process.wait(tools.TIMEOUT), -signal.SIGTERM)
            self.assertEqual(run.stderr, "")

    def test_binary_input_publishes_nothing(self):
        result = pub("--broker", self.broker.url, "-t", "a", stdin=b"\x7fELF\2\1\1\0\0\nx\n")
        self.assertEqual(result.returncode, 65)
        self.assertIn(b"record 1: a NUL byte in what should be a text line: at byte 7", result.stderr)
        self.assertIn(b"--from whole", result.stderr)

    def test_lines_before_one_that_is_not_text_are_delivered(self):
        with Subscriber(self.broker, "#") as subscriber:
            result = pub("--broker", self.broker.url, "-t", "a", stdin=b"good\nb\0d\nnever\n")
            self.assertEqual(result.returncode, 65)
            self.assertIn(b"record 2", result.stderr)
            pub("--broker", self.broker.url, "-t", "a", "-m", "end")
            self.assertEqual(subscriber.payloads(2), [b"good", b"end"])

    def test_truncated_frame_is_no_record(self):
        result = pub("--broker", self.broker.url, "-t", "a", stdin=frame(b"whole") + frame(b"cut off")[:-1])
        self.assertEqual(result.returncode, 65)
        self.assertIn(b"record 2: input ends in a frame", result.stderr)


class Usage(unittest.TestCase):
    def refused(self, *arguments, message, status=64):
        result = pub(*arguments)
        self.assertEqual(result.returncode, status, result.stderr)
        self.assertIn(message, result.stderr.decode())

    def test_refusals(self):
        self.refused("-m", "x", message="no topic")
        self.refused("-t", "a/+", "-m", "x", message="'a/+' is no topic")
        self.refused("-t", "a", "-m", "x", "-n", message="cannot go together")
        self.refused("-t", "a", "-m", "x", "--unix", "/s", "-h", "b", message="cannot go together")
        self.refused("-t", "a", "-c", message="needs a client id")
        self.refused("-t", "a", "--cert", "/dev/null", message="a client certificate needs --key, too")
        self.refused("-t", "a", "--key", "/dev/null", message="--key")
        self.refused("-t", "a", "-D", "publish", "colour", "red", message="'colour' is no MQTT property")
        self.refused("-t", "a", "-f", "/nonexistent", status=66, message="/nonexistent")

    def test_passwords_are_refused_and_not_repeated(self):
        for arguments in (("-P", "geheim"), ("-L", "mqtt://u:geheim@localhost/t")):
            result = pub("-t", "a", *arguments)
            self.assertEqual(result.returncode, 64)
            self.assertIn(b"--password-file", result.stderr)
            self.assertNotIn(b"geheim", result.stderr)

    def test_nobody_listens(self):
        self.refused("-h", "127.0.0.1", "-p", str(peers.free_port()), "-t", "a", "-m", "x", status=75, message="Connection refused")

    def test_name_that_does_not_resolve(self):
        self.refused("-h", "no.such.host.invalid", "-t", "a", "-m", "x", status=75, message="no.such.host.invalid")


class Access(unittest.TestCase):
    """Passwords and access lists."""

    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        (self.folder / "users").write_text("")
        for name in ("users", "acl"):
            (self.folder / name).touch(mode=0o600)

    def test_password(self):
        tools.subprocess.run(["mosquitto_passwd", "-b", self.folder / "users", "me", "right"], check=True)
        (self.folder / "right").write_text("right\n")
        (self.folder / "wrong").write_text("wrong\n")
        with Broker(f"password_file {self.folder}/users", anonymous=False) as broker:
            def status(word, version):
                result = pub("--broker", broker.url, "-u", "me", "--password-file", self.folder / word, "-V", version, "-t", "a", "-m", "x")
                self.assertNotIn(word.encode(), result.stderr.replace(str(self.folder).encode(), b""))
                return result.returncode
            for version in ("auto", "5", "311"):
                self.assertEqual(status("right", version), 0)
                self.assertEqual(status("wrong", version), 77)
            self.assertEqual(pub("--broker", broker.url, "-t", "a", "-m", "x").returncode, 77)

    def test_denied_topic(self):
        (self.folder / "acl").write_text("topic write allowed/#\ntopic read #\n")
        with Broker(f"acl_file {self.folder}/acl") as broker:
            self.assertEqual(pub("--broker", broker.url, "-t", "allowed/a", stdin=b"x\n").returncode, 0)
            result = pub("--broker", broker.url, "-t", "other", stdin=b"x\ny\n")
            self.assertEqual(result.returncode, 69)
            self.assertIn(b"record 1: refused by the broker: not authorized (0x87)", result.stderr)
            lines = b'{"topic":"other","payload":"1"}\n{"topic":"allowed/b","payload":"2"}\n'
            with Subscriber(broker, "#") as subscriber:
                result = pub("--broker", broker.url, "--from", "envelope", stdin=lines)
                self.assertEqual(result.returncode, 69)
                self.assertEqual(subscriber.payloads(1), [b"2"])

    def test_too_large(self):
        lines = b"small\n" + b"x" * 5000 + b"\nsmall too\n"
        with Broker("max_packet_size 2000") as broker, Subscriber(broker, "#") as subscriber:
            result = pub("--broker", broker.url, "-t", "a", stdin=lines)
            self.assertEqual(result.returncode, 69)
            self.assertIn(b"record 2: too large: 5000 bytes", result.stderr)
            self.assertEqual(subscriber.payloads(2), [b"small", b"small too"])
            result = pub("--broker", broker.url, "-t", "a", "-V", "311", stdin=lines)
            self.assertEqual(result.returncode, 69)
            self.assertIn(b"record 2: the broker closed the connection 3 times", result.stderr)
            self.assertIn(b"1 acknowledged", result.stderr)


class Transport(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.authority = peers.Authority(cls.enterClassContext(tempfile.TemporaryDirectory()))

    def test_unix_socket(self):
        with Broker(unix=True) as broker, Subscriber(broker, "#") as subscriber:
            self.assertEqual(pub("--unix", broker.path, "-t", "a", stdin=b"x\n").returncode, 0)
            self.assertEqual(pub("--broker", f"unix:{broker.path}", "-t", "a", "-m", "y").returncode, 0)
            self.assertEqual(subscriber.payloads(2), [b"x", b"y"])

    def test_tls_with_client_certificates(self):
        cert, key = self.authority.client
        with Broker(f"cafile {self.authority.ca}", f"certfile {self.authority.server[0]}", f"keyfile {self.authority.server[1]}",
                    "require_certificate true") as broker:
            url = f"mqtts://localhost:{broker.port}/a"
            ours = ("--cert", cert, "--key", key)
            payload = b"".join(b"%05d\n" % i for i in range(5000))
            result = pub("-L", url, "--cafile", self.authority.ca, *ours, stdin=payload)
            self.assertEqual((result.returncode, result.stderr), (0, b""))
            result = pub("-L", url, "--cafile", self.authority.ca, "-m", "x")
            self.assertEqual(result.returncode, 77, result.stderr)
            result = pub("-L", url, *ours, "-m", "x")
            self.assertEqual(result.returncode, 77, result.stderr)
            self.assertIn(b"TLS: certificate verify failed\n", result.stderr)
            # A key of another certificate is a matter of the files here, also with a spool, which is patient with brokers.
            with tempfile.TemporaryDirectory() as scratch:
                for more in ([], ["--spool", scratch]):
                    result = pub("-L", url, "--cafile", self.authority.ca, "--cert", cert, "--key", self.authority.server[1], "-m", "x", *more)
                    self.assertEqual(result.returncode, 78, result.stderr)
                    self.assertIn(b"TLS: unable to load client key file", result.stderr)
            result = pub("-L", f"mqtts://127.0.0.2:{broker.port}/a", "--cafile", self.authority.ca, *ours, "-m", "x")
            self.assertIn(result.returncode, (75, 77), result.stderr)

    def test_name_in_the_certificate(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.authority.server)
        # The certificate is for localhost and 127.0.0.1 only; ::ffff:127.0.0.1 is neither.
        with contextlib.suppress(ssl.SSLError, OSError), FakeBroker(lambda wire, _: wire.read(), context) as broker:
            result = pub("-L", f"mqtts://[::ffff:127.0.0.1]:{broker.port}/a", "--cafile", self.authority.ca, "-m", "x")
            self.assertEqual(result.returncode, 77, result.stderr)
            self.assertIn(b"verif", result.stderr)


class Scripted(unittest.TestCase):
    """Brokers that behave as mosquitto never does."""

    def test_falls_back_to_3_1_1(self):
        def refuse(wire, reason, tail):
            body = wire.expect(peers.CONNECT)
            if body[6] == 5:
                if reason is not None:
                    wire.send(peers.packet(peers.CONNACK, bytes([0, reason]) + tail))
                return
            self.assertEqual(body[6], 4)
            wire.send(peers.packet(peers.CONNACK, b"\0\0"))
            wire.acknowledge(wire.expect(peers.PUBLISH).packet_id)
            wire.read()
        for name, reason, tail in (("v5 CONNACK", 0x84, b"\0"), ("v3 CONNACK", 1, b""), ("close", None, b"")):
            with self.subTest(name), FakeBroker(lambda wire, _: refuse(wire, reason, tail)) as broker:
                result = pub("--broker", broker.url, "-t", "a", stdin=b"x\n")
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertIn(b"trying 3.1.1", result.stderr)

    def test_a_version_asked_for_is_kept(self):
        def script(wire, _):
            self.assertEqual(wire.expect(peers.CONNECT)[6], 5)
            wire.send(peers.packet(peers.CONNACK, b"\0\x84\0"))
        with FakeBroker(script) as broker:
            result = pub("--broker", broker.url, "-V", "5", "-t", "a", "-m", "x")
            self.assertEqual(result.returncode, 69, result.stderr)
            self.assertIn(b"unsupported protocol version (0x84)", result.stderr)

    def test_refusal_of_one_record_names_it(self):
        def script(wire, _):
            wire.accept()
            for number in range(1, 5):
                wire.acknowledge(wire.expect(peers.PUBLISH).packet_id, 0x99 if number == 3 else 0)
            wire.read()
        with FakeBroker(script) as broker:
            result = pub("--broker", broker.url, "-t", "a", stdin=b"1\n2\n3\n4\n")
            self.assertEqual(result.returncode, 69)
            self.assertEqual(result.stderr, b"mqtt-pub: record 3: refused by the broker: payload format invalid (0x99)\n")

    def test_a_refused_topic_of_one_envelope_says_nothing_about_the_next(self):
        """Nor does a topic in the surroundings, which envelopes do not use."""
        def script(wire, _):
            wire.accept()
            for reason in (0x87, 0, 0x87, 0):
                wire.acknowledge(wire.expect(peers.PUBLISH).packet_id, reason)
            wire.expect(peers.DISCONNECT)
        records = b"".join(b'{"topic":"%d","payload":"x"}\n' % i for i in range(4))
        with FakeBroker(script) as broker:
            result = pub("--broker", broker.url, "--from", "envelope", "-M", "1", stdin=records,
                         env=tools.environment(MQTT_PUB_TOPIC="not/used"))
            self.assertEqual(result.returncode, 69)
            self.assertEqual(re.findall(r"record (\d)", result.stderr.decode()), ["1", "3"])

    def test_never_acknowledged_ends_at_the_deadline(self):
        def script(wire, _):
            wire.accept()
            for _ in range(3):
                wire.expect(peers.PUBLISH)
            wire.read()
        with FakeBroker(script) as broker:
            result = pub("--broker", broker.url, "-t", "a", "--deadline", "0.5", stdin=b"1\n2\n3\n")
            self.assertEqual(result.returncode, 75)
            self.assertEqual(result.stderr, b"mqtt-pub: the deadline has passed; 3 read, 3 published, 0 acknowledged, 0 refused\n")

    def test_silent_after_accept(self):
        with FakeBroker(lambda wire, _: [wire.read(), wire.read()]) as broker:
            result = pub("--broker", broker.url, "-t", "a", "-m", "x", "--deadline", "0.5s")
            self.assertEqual(result.returncode, 75)

    def test_term_gives_up_after_the_stop_timeout(self):
        def script(wire, _):
            wire.accept()
            wire.expect(peers.PUBLISH)
            run.signal(signal.SIGTERM)
            wire.read()
        with FakeBroker(script) as broker, Running("mqtt-pub", "--broker", broker.url, "-t", "a", "--stop-timeout", "300ms") as run:
            run.stdin.write(b"x\n")
            run.stdin.flush()
            self.assertEqual(run.process.wait(tools.TIMEOUT), -signal.SIGTERM)
            run.finish()
            self.assertIn("1 read, 1 published, 0 acknowledged", run.stderr)

    def test_what_was_not_acknowledged_is_sent_again(self):
        seen = []

        def script(wire, number):
            wire.accept()
            if number == 1:
                messages = [wire.expect(peers.PUBLISH) for _ in range(10)]
                for message in messages[:4]:
                    wire.acknowledge(message.packet_id)
                wire.socket.shutdown(peers.socket.SHUT_WR)
                while wire.read():
                    pass
                return
            again = []
            while len(again) < 6:
                again.append(wire.expect(peers.PUBLISH))
                wire.acknowledge(again[-1].packet_id)
            seen.extend(again)
            wire.read()
        with FakeBroker(script) as broker:
            result = pub("--broker", broker.url, "-t", "a", stdin=b"".join(b"%d\n" % i for i in range(10)))
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn(b"connected again", result.stderr)
        self.assertEqual([(m.payload, m.dup) for m in seen], [(b"%d" % i, True) for i in range(4, 10)])

    def test_window(self):
        for window, granted in ((7, 7), (7, 3)):
            with self.subTest(granted=granted):
                def script(wire, _):
                    # Receive Maximum of the broker in CONNACK
                    wire.accept(properties=b"\x21" + struct.pack("!H", granted) if granted < window else b"")
                    first = [wire.expect(peers.PUBLISH) for _ in range(granted)]
                    with self.assertRaises(TimeoutError):
                        wire.read(0.1)
                    wire.acknowledge(first[0].packet_id)
                    first.append(wire.expect(peers.PUBLISH))
                    for message in first[1:]:
                        wire.acknowledge(message.packet_id)
                    for _ in range(10 - len(first)):
                        wire.acknowledge(wire.expect(peers.PUBLISH).packet_id)
                    wire.read()
                with FakeBroker(script) as broker:
                    result = pub("--broker", broker.url, "-t", "a", "-M", str(window), stdin=b"x\n" * 10)
                    self.assertEqual(result.returncode, 0, result.stderr)

    def test_ten_refusals_are_told_and_the_others_counted(self):
        def script(wire, _):
            wire.accept()
            for _ in range(12):
                wire.acknowledge(wire.expect(peers.PUBLISH).packet_id, 0x87)
            wire.read()
        lines = b"".join(b'{"topic":"other/%d","payload":"x"}\n' % n for n in range(12))
        with FakeBroker(script) as broker:
            result = pub("--broker", broker.url, "--from", "envelope", stdin=lines)
        self.assertEqual(result.returncode, 69)
        told = result.stderr.decode().splitlines()
        self.assertEqual([": refused by the broker: " in line for line in told[:11]], [True] * 10 + [False])
        self.assertIn("12 messages were refused", told[10])

    def test_qos_0_on_a_broken_connection_is_not_called_delivered(self):
        def script(wire, number):
            wire.accept()
            if number == 1:
                wire.expect(peers.PUBLISH)
                return
            while (found := wire.read()) and found[0] != peers.UNSUBSCRIBE:
                pass
            if found:
                wire.answer_unsubscribe(found[2])
                wire.read()
        with FakeBroker(script) as broker, Running("mqtt-pub", "--broker", broker.url, "-t", "a", "-q", "0") as run:
            run.stdin.write(b"1\n")
            run.stdin.flush()
            peers.wait_for(lambda: "connection lost" in run.stderr, "loss of the connection")
            code, _ = run.finish(b"2\n")
            self.assertEqual(code, 75)
            self.assertIn("1 messages of QoS 0 went out on a connection that broke", run.stderr)
            self.assertIn("2 read, 2 published, 1 acknowledged", run.stderr)

    def test_qos_0_that_was_half_written_is_not_called_delivered(self):
        def script(wire, number):
            wire.accept()
            if number == 1:
                wire.socket.recv(1)  # more is in the buffers than they take
                return
            while (found := wire.read()) and found[0] != peers.UNSUBSCRIBE:
                pass
            if found:
                wire.answer_unsubscribe(found[2])
                wire.read()
        with FakeBroker(script) as broker:
            result = pub("--broker", broker.url, "-t", "a", "-q", "0", "--from", "whole", "--max-record", "64MiB", stdin=bytes(32 << 20))
            self.assertEqual(result.returncode, 75, result.stderr)
            self.assertIn(b"1 messages of QoS 0 went out on a connection that broke", result.stderr)


class Outages(unittest.TestCase):
    def stalled_peak(self, line):
        """Peak memory in KiB of a run whose broker stops reading, with an input that does not end."""
        with Broker() as broker, Subscriber(broker, "#") as subscriber:
            with Running("mqtt-pub", "--broker", broker.url, "-t", "a", "--max-record", "2MiB") as run:
                run.stdin.write(b"first\n")
                run.stdin.flush()
                subscriber.wait(1)
                broker.signal(signal.SIGSTOP)
                os.set_blocking(run.stdin.fileno(), False)
                written = 0
                # Until the tool has not read for a second: all its windows are full.
                while select.select([], [run.stdin], [], 1)[1]:
                    written += os.write(run.stdin.fileno(), line[written % len(line):])
                peak = peers.peak_memory_kib(run.pid)
                broker.signal(signal.SIGCONT)
                os.set_blocking(run.stdin.fileno(), True)
                code, _ = run.finish(line[written % len(line):] if written % len(line) else b"")
                self.assertEqual((code, run.stderr), (0, ""))
                subscriber.wait(1 + -(-written // len(line)))
                return peak

    @unittest.skipIf(peers.SANITIZED, "memory of a sanitizer")
    def test_stalled_broker_does_not_cost_memory(self):
        self.assertLess(self.stalled_peak(b"x" * 99 + b"\n"), 16 * 1024)

    @unittest.skipIf(peers.SANITIZED, "memory of a sanitizer")
    def test_stalled_broker_with_large_records(self):
        self.assertLess(self.stalled_peak(b"x" * ((1 << 20) - 1) + b"\n"), 16 * 1024)

    def test_broker_restarts(self):
        records = [b"%06d" % i for i in range(3000)]
        with Broker("persistence true") as broker:
            peers.keep_session(broker, "keeper", "#")
            with Running("mqtt-pub", "--broker", broker.url, "-t", "a", "-M", "50", "--verbose") as run:
                peers.wait_for(lambda: "connected" in run.stderr, "connection")
                for part in range(3):
                    run.stdin.write(b"".join(r + b"\n" for r in records[part * 1000:part * 1000 + 999]))
                    run.stdin.flush()
                    if part == 2:
                        break
                    broker.signal(signal.SIGSTOP)  # so that something is unacknowledged when it goes
                    run.stdin.write(records[part * 1000 + 999] + b"\n")
                    run.stdin.flush()
                    broker.stop()
                    peers.wait_for(lambda: run.stderr.count("connection lost") == part + 1, "loss of the connection")
                    broker.start()
                    peers.wait_for(lambda: run.stderr.count("connected again") == part + 1, "reconnection")
                code, _ = run.finish(records[-1] + b"\n")
                self.assertEqual(code, 0, run.stderr)
                self.assertEqual(run.stderr.count("connected again"), 2)
            with Subscriber(broker, client_id="keeper", clean=False) as keeper:
                seen = set()
                peers.wait_for(lambda: seen.update(m.payload for m in keeper.messages) or len(seen) == len(records), "all records")
                self.assertEqual(seen, set(records))


if __name__ == "__main__":
    unittest.main()
