# SPDX-License-Identifier: MIT
"""mqtt-sub against real and scripted brokers."""

import json
import os
import pty
import select
import signal
import ssl
import struct
import subprocess
import tempfile
import threading
import unittest

import tools
from integration import peers
from integration.peers import Broker, FakeBroker, Running


def sub(*arguments, **options):
    return tools.run("mqtt-sub", *arguments, **options)


def pub(broker, *arguments, stdin=b""):
    result = tools.run("mqtt-pub", "--broker", broker.url, *arguments, stdin=stdin)
    if result.returncode:
        raise AssertionError(result.stderr)


def frame(payload):
    return b"\0fp1" + struct.pack("!I", len(payload)) + payload


class Session(unittest.TestCase):
    """What is taken from a session that the broker keeps."""

    def setUp(self):
        self.broker = self.enterContext(Broker())
        self.arguments = ("--broker", self.broker.url, "-t", "#", "-i", "me", "-c")
        self.assertEqual(sub(*self.arguments, "-E").returncode, 0)

    def rest(self, *arguments):
        """What is left in the session."""
        result = sub(*self.arguments, "--idle-timeout", "300ms", *arguments)
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        return result.stdout

    @staticmethod
    def lines(first, last):
        return b"".join(b"%d\n" % i for i in range(first, last + 1))

    def test_count_takes_no_more(self):
        pub(self.broker, "-t", "a", stdin=self.lines(1, 900))
        for first in (1, 6, 11):
            result = sub(*self.arguments, "-C", "5")
            self.assertEqual((result.returncode, result.stdout, result.stderr), (0, self.lines(first, first + 4), b""))
        result = sub(*self.arguments, "-V", "311", "-C", "5")
        self.assertEqual(result.stdout, self.lines(16, 20))
        self.assertEqual(self.rest(), self.lines(21, 900))

    def test_a_reader_that_has_had_enough_takes_no_more(self):
        pub(self.broker, "-t", "a", stdin=self.lines(1, 900))
        for first in (1, 6, 11):
            with Running("mqtt-sub", *self.arguments) as run:
                head = subprocess.run(["head", "-5"], stdin=run.stdout, stdout=subprocess.PIPE, timeout=tools.TIMEOUT)
                run.stdout.close()
                self.assertEqual(head.stdout, self.lines(first, first + 4))
                self.assertEqual(run.process.wait(tools.TIMEOUT), -signal.SIGPIPE)
                self.assertEqual(run.stderr, "")
        self.assertEqual(self.rest(), self.lines(16, 900))

    def test_everything_through_a_pipe_whose_reader_stays(self):
        pub(self.broker, "-t", "a", stdin=self.lines(1, 5000))
        self.assertEqual(self.rest(), self.lines(1, 5000))
        self.assertEqual(self.rest(), b"")

    def test_a_payload_that_is_no_line_stays_on_the_broker(self):
        for payload in (b"two\nlines", b"nul\0", b"\xff"):
            pub(self.broker, "-t", "a/b", "-q", "1", "-s", stdin=payload)
            for _ in range(2):
                result = sub(*self.arguments, "-C", "1")
                self.assertEqual((result.returncode, result.stdout), (65, b""))
                self.assertIn(b"a/b: a payload of %d bytes that is not one line of text" % len(payload), result.stderr)
                self.assertIn(b"hint: --to frames, hex", result.stderr)
            self.assertEqual(self.rest("--to", "hex"), payload.hex().encode() + b"\n")

    def test_kill_loses_nothing(self):
        pub(self.broker, "-t", "a", stdin=self.lines(1, 300))
        seen = b""
        for _ in range(3):
            with Running("mqtt-sub", *self.arguments) as run:
                seen += os.read(run.stdout.fileno(), 65536)
                run.signal(signal.SIGKILL)
                run.process.wait(tools.TIMEOUT)
                seen += run.stdout.read()
        seen += self.rest()
        self.assertEqual({int(line) for line in seen.split()}, set(range(1, 301)))

    def test_term_leaves_the_rest(self):
        pub(self.broker, "-t", "a", stdin=self.lines(1, 20))
        with Running("mqtt-sub", *self.arguments) as run:
            out = b""
            while not out.endswith(b"20\n"):
                out += os.read(run.stdout.fileno(), 65536)
            run.signal(signal.SIGTERM)
            code, _ = run.finish()
            self.assertEqual((code, run.stderr, out), (-signal.SIGTERM, "", self.lines(1, 20)))
        self.assertEqual(self.rest(), b"")

    def test_unsubscribe(self):
        result = sub("--broker", self.broker.url, "-U", "#", "-i", "me", "-c", "--idle-timeout", "100ms")
        self.assertEqual(result.returncode, 0, result.stderr)
        pub(self.broker, "-t", "a", "-q", "1", "-m", "x")
        result = sub("--broker", self.broker.url, "-t", "other", "-i", "me", "-c", "--idle-timeout", "200ms")
        self.assertEqual((result.returncode, result.stdout), (0, b""))


class Output(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.broker = cls.enterClassContext(Broker())

    def printed(self, *arguments, send, status=0):
        """Output of a run that subscribes to t/# and gets what send() publishes."""
        with Running("mqtt-sub", "--broker", self.broker.url, "-t", "t/#", "-W", "30", "--verbose", *arguments) as run:
            peers.wait_for(lambda: "subscribed" in run.stderr, "subscription")
            send()
            code, out = run.finish()
            self.assertEqual(code, status, run.stderr)
            return out

    def send(self, *payloads):
        pub(self.broker, "-t", "t/a", stdin=b"".join(map(frame, payloads)))

    def test_lines(self):
        self.assertEqual(self.printed("-C", "3", send=lambda: self.send(b"a", b"", b"cr\r")), b"a\n\ncr\r\n")

    def test_topic_in_front(self):
        self.assertEqual(self.printed("-v", "-C", "2", send=lambda: self.send(b"a", b"")), b"t/a a\nt/a (null)\n")
        self.assertEqual(self.printed("-v", "--to", "hex", "-C", "1", send=lambda: self.send(b"a")), b"t/a 61\n")

    def test_binary_comes_back_as_it_was_sent(self):
        payloads = [b"", b"\0", b"\r\n", bytes(range(256)) * 4096, "ö\n".encode()]
        expected = {"frames": b"".join(map(frame, payloads)), "hex": b"".join(p.hex().encode() + b"\n" for p in payloads)}
        for to, out in expected.items():
            self.assertEqual(self.printed("--to", to, "-C", "5", send=lambda: self.send(*payloads)), out)

    def test_raw(self):
        self.assertEqual(self.printed("-N", "-C", "2", send=lambda: self.send(b"a\n", b"\0b")), b"a\n\0b")

    def test_envelopes_can_be_published_again(self):
        sent = [b'{"a": 1}', b"text\n", b"\0\xff", b""]
        out = self.printed("--to", "envelope", "-C", "4", send=lambda: self.send(*sent))
        self.assertEqual([json.loads(line)["topic"] for line in out.splitlines()], ["t/a"] * 4)
        again = self.printed("--to", "frames", "-C", "4", send=lambda: pub(self.broker, "--from", "envelope", stdin=out))
        self.assertEqual(again, b"".join(map(frame, sent)))

    def test_format(self):
        out = self.printed("-F", "%t|%l|%x|%q|%r", "-C", "1", send=lambda: self.send(b"hi"))
        self.assertEqual(out, b"t/a|2|6869|1|0\n")
        out = self.printed("-N", "-F", "%p;", "-C", "2", send=lambda: self.send(b"a", b"b"))
        self.assertEqual(out, b"a;b;")
        out = self.printed("-F", "%J", "-C", "1", send=lambda: self.send(b"[1]"))
        self.assertEqual(json.loads(out)["payload"], [1])

    def test_filter_out(self):
        def send():
            for topic in ("t/no", "t/a"):
                pub(self.broker, "-t", topic, "-m", topic)
        self.assertEqual(self.printed("-T", "t/no", "-C", "1", send=send), b"t/a\n")

    def test_several_filters_and_the_url(self):
        with Running("mqtt-sub", "-L", self.broker.url + "/u/#", "-C", "1", "-W", "30", "--verbose") as run:
            peers.wait_for(lambda: "subscribed" in run.stderr, "subscription")
            pub(self.broker, "-t", "u/x", "-m", "x")
            self.assertEqual(run.finish(), (0, b"x\n"))
        with Running("mqtt-sub", "--broker", self.broker.url, "-t", "u/1", "-t", "u/2", "-C", "2", "-W", "30", "--verbose") as run:
            peers.wait_for(lambda: "subscribed" in run.stderr, "subscription")
            pub(self.broker, "-t", "u/2", "-m", "2")
            pub(self.broker, "-t", "u/1", "-m", "1")
            self.assertEqual(run.finish(), (0, b"2\n1\n"))

    def test_binary_is_not_written_to_a_terminal(self):
        ours, theirs = pty.openpty()
        try:
            result = sub("--broker", self.broker.url, "-t", "a", "--to", "frames", "-W", "1", stdout=theirs)
        finally:
            os.close(ours)
            os.close(theirs)
        self.assertEqual(result.returncode, 64)
        self.assertIn(b"--to hex", result.stderr)


class Retained(unittest.TestCase):
    def setUp(self):
        self.broker = self.enterContext(Broker())
        pub(self.broker, "-t", "kept", "-m", "old", "-r", "-q", "1")

    def test_retained_messages_can_be_left_out(self):
        result = sub("--broker", self.broker.url, "-t", "#", "-R", "--idle-timeout", "200ms")
        self.assertEqual((result.returncode, result.stdout), (0, b""))
        result = sub("--broker", self.broker.url, "-t", "#", "-C", "1", "-W", "30")
        self.assertEqual((result.returncode, result.stdout), (0, b"old\n"))

    def test_only_retained(self):
        with Running("mqtt-sub", "--broker", self.broker.url, "-t", "#", "--retained-only", "-v", "-W", "30") as run:
            self.assertEqual(os.read(run.stdout.fileno(), 100), b"kept old\n")
            pub(self.broker, "-t", "live", "-m", "x")
            self.assertEqual(run.finish(), (0, b""))

    def test_remove(self):
        result = sub("--broker", self.broker.url, "-t", "kept", "--remove-retained", "-C", "1", "-W", "30")
        self.assertEqual((result.returncode, result.stdout), (0, b"old\n"))
        result = sub("--broker", self.broker.url, "-t", "#", "--idle-timeout", "200ms")
        self.assertEqual((result.returncode, result.stdout), (0, b""))


class Ends(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.broker = cls.enterClassContext(Broker())

    def test_time_limits(self):
        for arguments in (("-W", "0.2"), ("--deadline", "200ms"), ("--idle-timeout", "200ms")):
            result = sub("--broker", self.broker.url, "-t", "a", *arguments)
            self.assertEqual((result.returncode, result.stdout, result.stderr), (0, b"", b""))
            result = sub("--broker", self.broker.url, "-t", "a", *arguments, "-C", "2")
            self.assertEqual((result.returncode, result.stderr), (75, b"mqtt-sub: 0 of 2 messages came in time\n"))

    def test_reader_goes_while_nothing_comes(self):
        with Running("mqtt-sub", "--broker", self.broker.url, "-t", "a", "--verbose") as run:
            peers.wait_for(lambda: "subscribed" in run.stderr, "subscription")
            run.stdout.close()
            self.assertEqual(run.process.wait(tools.TIMEOUT), -signal.SIGPIPE)

    def test_full_disk(self):
        with open("/dev/full", "w") as full, Running("mqtt-sub", "--broker", self.broker.url, "-t", "f", "--verbose", stdout=full) as run:
            peers.wait_for(lambda: "subscribed" in run.stderr, "subscription")
            pub(self.broker, "-t", "f", "-m", "x")
            self.assertEqual(run.process.wait(tools.TIMEOUT), 74)

    def test_share(self):
        with Running("mqtt-sub", "--broker", self.broker.url, "-t", "$share/g/s", "-C", "2", "-W", "30", "--verbose") as one, \
                Running("mqtt-sub", "--broker", self.broker.url, "-t", "$share/g/s", "-C", "2", "-W", "30", "--verbose") as two:
            peers.wait_for(lambda: "subscribed" in one.stderr and "subscribed" in two.stderr, "subscriptions")
            pub(self.broker, "-t", "s", stdin=b"1\n2\n3\n4\n")
            lines = one.finish()[1].split() + two.finish()[1].split()
            self.assertEqual(sorted(lines), [b"1", b"2", b"3", b"4"])

    def test_usage(self):
        for arguments, message in (((), "no topic"),
                                   (("-t", "a#"), "'a#' is no topic filter"),
                                   (("-t", "a", "-F", "%z"), "'%z' is not known"),
                                   (("-t", "a", "-F", "%p", "--to", "hex"), "cannot go together"),
                                   (("-t", "a", "-v", "--to", "frames"), "--show-topic"),
                                   (("-t", "a", "--unix", "/" + "x" * 107), "path of a unix socket of 108 bytes, the system takes at most 107"),
                                   (("-t", "a", "-c"), "needs a client id")):
            result = sub(*arguments)
            self.assertEqual(result.returncode, 64)
            self.assertIn(message, result.stderr.decode())

    def test_broker_restarts(self):
        with Broker() as broker, Running("mqtt-sub", "--broker", broker.url, "-t", "a", "-C", "2", "--verbose") as run:
            peers.wait_for(lambda: run.stderr.count("subscribed") == 1, "subscription")
            pub(broker, "-t", "a", "-m", "1")
            self.assertEqual(os.read(run.stdout.fileno(), 10), b"1\n")
            broker.stop()
            broker.start()
            peers.wait_for(lambda: run.stderr.count("subscribed") == 2, "subscription after the restart")
            pub(broker, "-t", "a", "-m", "2")
            self.assertEqual(run.finish(), (0, b"2\n"))
            self.assertIn("connected again", run.stderr)


class Scripted(unittest.TestCase):
    def test_refused_subscription(self):
        for version, reason, message in (("5", 0x87, "subscribing to 'a': not authorized (0x87)"),
                                         ("311", 0x80, "subscribing to 'a': unspecified error (0x80)"),
                                         ("5", 0, "the broker grants QoS 0, not 1")):
            def script(wire, _):
                wire.accept()
                wire.grant(reason)
                wire.read()
            with self.subTest(version=version, reason=reason), FakeBroker(script) as broker:
                result = sub("--broker", broker.url, "-V", version, "-t", "a")
                self.assertEqual(result.returncode, 69)
                self.assertIn(message, result.stderr.decode())

    def test_acknowledged_only_when_read_from_the_pipe(self):
        """In a kept session, and so not when the record is merely in the pipe."""
        out = []
        started = threading.Event()

        def script(wire, _):
            started.wait(tools.TIMEOUT)
            wire.accept()
            wire.grant()
            for number in (1, 2):
                wire.send(peers.publish("a", b"%d" % number, number, qos=1, version=5))
            self.assertTrue(select.select([run.stdout], [], [], tools.TIMEOUT)[0])
            with self.assertRaises(TimeoutError):
                wire.read(0.1)
            for number in (1, 2):
                out.append(os.read(run.stdout.fileno(), 100))
                self.assertEqual(wire.expect(peers.PUBACK)[:2], struct.pack("!H", number))
            wire.answer_unsubscribe(wire.expect(peers.UNSUBSCRIBE))
        with FakeBroker(script) as broker, Running("mqtt-sub", "--broker", broker.url, "-t", "a", "-i", "me", "-c", "-C", "2") as run:
            started.set()
            self.assertEqual(run.process.wait(tools.TIMEOUT), 0)
        self.assertEqual(out, [b"1\n", b"2\n"])

    def test_acknowledged_only_after_all_of_it_was_written(self):
        payload = b"x" * 200_000  # more than a pipe holds
        started = threading.Event()

        def script(wire, _):
            started.wait(tools.TIMEOUT)
            wire.accept()
            wire.grant()
            wire.send(peers.publish("a", payload, 1, qos=1, version=5))
            self.assertTrue(select.select([run.stdout], [], [], tools.TIMEOUT)[0])
            with self.assertRaises(TimeoutError):
                wire.read(0.1)
            self.assertEqual(run.stdout.read(len(payload) + 1), payload + b"\n")
            self.assertEqual(wire.expect(peers.PUBACK)[:2], b"\0\1")
            wire.expect(peers.DISCONNECT)
        with FakeBroker(script) as broker, Running("mqtt-sub", "--broker", broker.url, "-t", "a", "-C", "1") as run:
            started.set()
            self.assertEqual(run.process.wait(tools.TIMEOUT), 0, run.stderr)

    def test_many_messages_in_one_tls_record(self):
        """What TLS has decrypted is not seen by poll, and the library's own count of it is wrong after 278 packets."""
        with tempfile.TemporaryDirectory() as folder:
            authority = peers.Authority(folder)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*authority.server)

            def script(wire, _):
                wire.accept()
                wire.grant()
                for start in range(0, 900, 450):
                    wire.send(b"".join(peers.publish("a", b"%d" % i, 1 + i, qos=1, version=5) for i in range(start, start + 450)))
                    for _ in range(450):
                        wire.expect(peers.PUBACK, 10)
                wire.read()
            with FakeBroker(script, context) as broker:
                result = sub("-L", f"mqtts://localhost:{broker.port}/a", "--cafile", authority.ca, "-C", "900", "-W", "30")
                self.assertEqual((result.returncode, result.stderr), (0, b""))
                self.assertEqual(result.stdout, b"".join(b"%d\n" % i for i in range(900)))

    def test_a_time_limit_in_the_middle_of_connecting(self):
        """The thread that connects is left behind, and the end of the process must not take from it what it uses."""
        with tempfile.TemporaryDirectory() as folder:
            authority = peers.Authority(folder)
            with Broker(f"cafile {authority.ca}", f"certfile {authority.server[0]}", f"keyfile {authority.server[1]}") as broker:
                for step in range(100):
                    result = sub("-L", f"mqtts://localhost:{broker.port}/a", "--cafile", authority.ca, "-W", f"{step % 25 * 0.4:.1f}ms")
                    self.assertIn((result.returncode, result.stderr), ((0, b""), (75, b"mqtt-sub: no connection in time\n")))

    def test_count_announces_the_receive_maximum(self):
        def script(wire, _):
            body = wire.accept()
            self.assertIn(b"\x21\0\3", body)  # property 33, Receive Maximum
            wire.grant()
            wire.read()
        with FakeBroker(script) as broker:
            self.assertEqual(sub("--broker", broker.url, "-t", "a", "-C", "3", "-W", "0.2").returncode, 75)

    def test_no_connack_before_the_deadline(self):
        with FakeBroker(lambda wire, _: [wire.read(), wire.read()]) as broker:
            result = sub("--broker", broker.url, "-t", "a", "-W", "0.3")
            self.assertEqual((result.returncode, result.stderr), (75, b"mqtt-sub: no connection in time\n"))


if __name__ == "__main__":
    unittest.main()
