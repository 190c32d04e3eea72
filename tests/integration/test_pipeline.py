# SPDX-License-Identifier: MIT
"""The whole pipeline: a CAN log through fc-encode, mqtt-pub, a broker, mqtt-sub and fc-decode, and what happens when a
part of it dies. ./run prove does it with a million frames and more kills."""

import array
import collections
import fcntl
import os
import random
import signal
import subprocess
import tempfile
import termios
import unittest
from pathlib import Path

import canlog
import tools
from integration import peers
from integration.peers import Broker, Subscriber, wait_for

PROVE = bool(os.environ.get("FIELDPIPE_PROVE"))
FRAMES = 1_000_000 if PROVE else 50_000
KILLS = 50 if PROVE else 6
TIMEOUT = 300 if PROVE else tools.TIMEOUT


def spawn(*command, stdin=None, stdout=None, stderr=None, **variables):
    return subprocess.Popen([tools.BIN / command[0], *command[1:]], stdin=stdin, stdout=stdout, stderr=stderr,
                            env=tools.environment(FC_TOKEN="t", **variables))


def counter_log(path, count):
    """Frames that hold their number, so that each can be missed by name."""
    with open(path, "w", encoding="ascii") as file:
        for n in range(count):
            file.write(f"({canlog.START_US // 1_000_000 + n // 1000}.{n % 1000:03d}000) can0 123#{n:016X}\n")


def counters(path):
    """The numbers in the frames of a frame stream; fails where fc-decode finds anything torn."""
    with open(path, "rb") as file:
        result = tools.run("fc-decode", "--to", "candump", stdin=file)
    if result.returncode or result.stderr:
        raise AssertionError(f"fc-decode: status {result.returncode}: {result.stderr.decode()}")
    return [int(line.rsplit(b"#", 1)[1], 16) for line in result.stdout.splitlines()]


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def subscribe(self, broker, *arguments):
        """mqtt-sub with a session of its own into the file `got`; it has subscribed when this returns."""
        command = ("mqtt-sub", "--broker", broker.url, "-c", "-i", "sub", "-t", "fc", "--to", "frames", *arguments)
        ready = tools.run(*command, "--exit-after-subscribe")
        self.assertEqual((ready.returncode, ready.stderr), (0, b""))
        self.got = self.folder / "got"
        with open(self.got, "wb") as out:
            process = spawn(*command, stdout=out, stderr=subprocess.PIPE)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def publish(self, broker, log, *arguments, encode=()):
        """fc-encode | mqtt-pub over `log`, or over what the test writes to the first one's stdin."""
        with open(log or os.devnull, "rb") as source:
            encoder = spawn("fc-encode", *encode, stdin=source if log else subprocess.PIPE, stdout=subprocess.PIPE)
        publisher = spawn("mqtt-pub", "--broker", broker.url, "-t", "fc", *arguments, stdin=encoder.stdout, stderr=subprocess.PIPE)
        encoder.stdout.close()
        for process in (encoder, publisher):
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
        self.addCleanup(publisher.stderr.close)
        return encoder, publisher

    def received_bytes(self):
        return self.got.stat().st_size

    def received_tail(self):
        with open(self.got, "rb") as file:
            file.seek(max(0, self.received_bytes() - 100_000))
            return file.read()

    def assert_all(self, seen, count):
        missing = set(range(count)).difference(seen)
        self.assertEqual(len(missing), 0, f"of {count} frames, the first one missing is {min(missing, default=None)}")


class Pipeline(Folder):
    def test_tls_with_client_certificates_the_same_frames_come_out(self):
        log = self.folder / "car.log"
        canlog.write(log, FRAMES)
        authority = peers.Authority(self.folder)
        certificate, key = authority.server
        own_certificate, own_key = authority.client
        tls = ("--cafile", authority.ca, "--cert", own_certificate, "--key", own_key)
        with Broker(f"cafile {authority.ca}", f"certfile {certificate}", f"keyfile {key}", "require_certificate true") as broker:
            broker.url = f"mqtts://localhost:{broker.port}"
            subscriber = self.subscribe(broker, *tls)
            encoder, publisher = self.publish(broker, log, *tls)
            self.assertEqual((encoder.wait(TIMEOUT), publisher.wait(TIMEOUT)), (0, 0))
            with open(log, "rb") as source:
                sent = tools.run("fc-encode", stdin=source, env=tools.environment(FC_TOKEN="t")).stdout
            wait_for(lambda: self.received_bytes() >= len(sent), "all messages", TIMEOUT)
            subscriber.send_signal(signal.SIGTERM)
            self.assertEqual(subscriber.wait(TIMEOUT), -signal.SIGTERM)
        self.assertEqual(self.got.read_bytes(), sent)
        with open(self.got, "rb") as got:
            back = tools.run("fc-decode", "--to", "candump", stdin=got).stdout.decode().splitlines()
        # A message holds milliseconds, and CAN FD without its bit rate switch.
        expected = [line[:15] + "000" + line[18:].replace("##1", "##0") for line in log.read_text().splitlines()]
        self.assertEqual(len(back), FRAMES)
        self.assertTrue(back == expected)

    def test_broker_restarts_lose_nothing(self):
        restarts = 5 if PROVE else 2
        log = self.folder / "log"
        counter_log(log, FRAMES)
        with Broker("persistence true") as broker:
            subscriber = self.subscribe(broker)
            encoder, publisher = self.publish(broker, None, "--id", "pub", encode=("--max-frames", "10", "--compress", "none"))
            text = log.read_bytes()
            for part in range(restarts + 1):
                encoder.stdin.write(text[len(text) * part // (restarts + 1):len(text) * (part + 1) // (restarts + 1)])
                if part < restarts:
                    # The end of the part is still in the pipes, so the window of the publisher is full.
                    broker.stop(signal.SIGTERM)
                    broker.start()
            encoder.stdin.close()
            self.assertEqual((encoder.wait(TIMEOUT), publisher.wait(TIMEOUT)), (0, 0))
            told = publisher.stderr.read().decode()
            # It does not tell of each connection that never lasts; the broker does.
            self.assertEqual(broker.log().count(" as pub ("), restarts + 1, broker.log())
            self.assertEqual(told.count("connected again"), min(restarts, 3), told)
            self.assertGreater(told.count("connection lost"), 0)
            # The broker keeps the order, so that nothing is missing before the last one unless it is missing for good.
            wait_for(lambda: (FRAMES - 1).to_bytes(8, "big") in self.received_tail(), "the last frame", TIMEOUT)
            subscriber.send_signal(signal.SIGTERM)
            self.assertEqual(subscriber.wait(TIMEOUT), -signal.SIGTERM)
            # One restart may fall into its pause before it tries again.
            self.assertIn("connected again", subscriber.stderr.read().decode())
        seen = collections.Counter(counters(self.got))
        self.assert_all(seen, FRAMES)
        duplicates = sum(seen.values()) - FRAMES
        print(f"{restarts} restarts: {FRAMES} frames, none missing, {duplicates} repeated")

    def test_an_interrupted_pipeline_delivers_its_tail(self):
        """^C reaches all of it at once; what fc-encode still holds must get past mqtt-pub."""
        log = self.folder / "log"
        counter_log(log, 5)
        with Broker() as broker, Subscriber(broker, "fc") as subscriber:
            encoder, publisher = self.publish(broker, None, encode=("--interval", "1h"))
            encoder.stdin.write(log.read_bytes())
            encoder.stdin.flush()
            wait_for(lambda: broker.log().count("New client connected") == 2, "the publisher", 10)
            left = array.array("i", [1])
            wait_for(lambda: fcntl.ioctl(encoder.stdin, termios.FIONREAD, left) == 0 and not left[0], "fc-encode", 10)
            publisher.send_signal(signal.SIGINT)
            encoder.send_signal(signal.SIGINT)
            self.assertEqual((encoder.wait(TIMEOUT), publisher.wait(TIMEOUT)), (-signal.SIGINT, -signal.SIGINT))
            self.assertEqual(publisher.stderr.read(), b"")
            encoder.stdin.close()
            (self.folder / "got").write_bytes(b"".join(frame(message.payload) for message in subscriber.wait(1, 10)))
        self.assertEqual(counters(self.folder / "got"), list(range(5)))

    def test_killed_broker_gets_again_what_it_had_not_acknowledged(self):
        count = 50_000 if PROVE else 5_000  # below the 65,535 packet ids, which here number the messages
        log = self.folder / "log"
        counter_log(log, count)
        with Broker() as broker:
            encoder, publisher = self.publish(broker, log, "--debug", encode=("--max-frames", "1", "--compress", "none"))
            told = []
            for line in publisher.stderr:
                told.append(line)
                if line.endswith(b"(Mid: %d, RC:16)\n" % (count // 3)):
                    break
            publisher.send_signal(signal.SIGSTOP)
            broker.stop(signal.SIGKILL)
            broker.start()
            with Subscriber(broker, "fc") as subscriber:
                publisher.send_signal(signal.SIGCONT)
                told += publisher.stderr.read().splitlines(keepends=True)
                self.assertEqual((encoder.wait(TIMEOUT), publisher.wait(TIMEOUT)), (0, 0))
                lost = next(n for n, line in enumerate(told) if b"connection lost" in line)
                acknowledged = {int(line.split(b"Mid: ")[1].split(b",")[0]) for line in told[:lost] if b"received PUBACK" in line}
                self.assertLess(len(acknowledged), count)
                # Counters from 0 are packet ids from 1.
                missing = set(range(count)).difference(n - 1 for n in acknowledged)
                wait_for(lambda: missing.issubset(map(counter_of, list(subscriber.messages))),
                         f"the {len(missing)} messages that were not acknowledged", TIMEOUT)


class Kills(Folder):
    """Whatever is killed: no torn message at the subscriber, and no status 0 that was not earned."""

    def test_killed_publisher(self):
        self.kill("mqtt-pub")

    def test_killed_encoder(self):
        self.kill("fc-encode")

    def kill(self, victim):
        log = self.folder / "log"
        count = 20_000
        counter_log(log, count)
        encode = ("--max-frames", "20", "--compress", "none")
        rng = random.Random(1)
        with Broker() as broker, Subscriber(broker, "fc") as subscriber:
            for _ in range(KILLS):
                before = len(subscriber.messages)
                encoder, publisher = self.publish(broker, log, encode=encode)
                enough = before + rng.randrange(count // 20)
                wait_for(lambda: len(subscriber.messages) >= enough or publisher.poll() is not None, "some messages", TIMEOUT)
                target = encoder if victim == "fc-encode" else publisher
                target.kill()
                encoder.wait(TIMEOUT)
                told = publisher.stderr.read().decode()
                status = publisher.wait(TIMEOUT)
                if status == 0:
                    # Earned: the input ended between two messages, and all of them have been acknowledged.
                    self.assertEqual(told, "")
                elif victim == "fc-encode":
                    self.assertEqual(status, 65, told)
                    self.assertIn("input ends in a frame", told)
                else:
                    self.assertEqual(status, -signal.SIGKILL)
            (self.folder / "got").write_bytes(b"".join(frame(message.payload) for message in subscriber.messages))
        self.assertGreater(len(counters(self.folder / "got")), 0)


def frame(payload):
    return b"\0fp1" + len(payload).to_bytes(4, "big") + payload


def counter_of(message):
    """The number in the only frame of a plain message with a token of one byte."""
    return int.from_bytes(message.payload[-8:], "big")


if __name__ == "__main__":
    unittest.main()
