# SPDX-License-Identifier: MIT
"""The other ends of an MQTT connection: a real mosquitto, a scripted broker, an independent subscriber, certificates.

Nothing sleeps: a peer is waited for by trying to connect, a condition by asking until a deadline.
"""

import contextlib
import functools
import os
import random
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import tools

TIMEOUT = tools.TIMEOUT

# Memory limits mean nothing for a build with a sanitizer.
SANITIZED = b"__asan_init" in (tools.BIN / "mqtt-pub").read_bytes()

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 8, 9, 10, 11, 12, 13, 14


def wait_for(condition, what, timeout=TIMEOUT):
    """The first true value of condition(), asked often; AssertionError after the timeout."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout} s")
        select.select([], [], [], 0.005)


def peak_memory_kib(pid):
    """Largest resident set of a running process so far."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise AssertionError("no VmHWM")


class Running:
    """A tool in the background with its pipes; stderr is collected while it runs."""

    def __init__(self, *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=None):
        self.process = subprocess.Popen([tools.BIN / command[0], *command[1:]], stdin=stdin, stdout=stdout,
                                        stderr=subprocess.PIPE, env=env or tools.environment())
        self.stdin, self.stdout, self.pid = self.process.stdin, self.process.stdout, self.process.pid
        self.stderr = ""
        self._collector = threading.Thread(target=self._collect, daemon=True)
        self._collector.start()

    def _collect(self):
        for line in self.process.stderr:
            self.stderr += line.decode()

    def signal(self, number):
        self.process.send_signal(number)

    def finish(self, data=b"", timeout=TIMEOUT):
        """Writes the rest of the input, closes it, and waits; returns (returncode, stdout)."""
        if self.stdin and not self.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self.stdin.write(data)
            with contextlib.suppress(BrokenPipeError):
                self.stdin.close()
        out = self.stdout.read() if self.stdout and not self.stdout.closed else b""
        code = self.process.wait(timeout)
        self._collector.join(TIMEOUT)
        return code, out

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for stream in (self.stdin, self.stdout):
            if stream:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        self._collector.join(TIMEOUT)
        self.process.stderr.close()


class Authority:
    """A throwaway certificate authority in a folder: ca.pem, server.pem/.key for localhost, client.pem/.key."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                      "-subj", "/CN=throwaway authority", "-keyout", "ca.key", "-out", "ca.pem")
        self.ca = str(self.folder / "ca.pem")
        self.server = self._issue("server", "/CN=localhost", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        self.client = self._issue("client", "/CN=client", "extendedKeyUsage=clientAuth")

    @functools.cached_property
    def expired(self):
        """A server's certificate of the year 2020."""
        return self._issue_dated("expired", "20200101000000Z", "20210101000000Z")

    @functools.cached_property
    def early(self):
        """A server's certificate that is not valid yet."""
        return self._issue_dated("early", "20480101000000Z", "20490101000000Z")

    @functools.cached_property
    def other_host(self):
        """A server's certificate for another host."""
        return self._issue("other", "/CN=elsewhere.invalid", "subjectAltName=DNS:elsewhere.invalid")

    def _issue_dated(self, name, start, end):
        pair = self._issue(name, "/CN=localhost", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        (self.folder / "index").write_text("")
        (self.folder / "ca.conf").write_text("[ca]\ndefault_ca=c\n[c]\ndatabase=index\nrand_serial=yes\ndefault_md=sha256\n"
                                             "new_certs_dir=.\npolicy=p\n[p]\ncommonName=supplied\n")
        self._openssl("ca", "-batch", "-config", "ca.conf", "-cert", "ca.pem", "-keyfile", "ca.key", "-in", f"{name}.csr",
                      "-out", f"{name}.pem", "-notext", "-startdate", start, "-enddate", end, "-extfile", f"{name}.ext")
        return pair

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

    def _issue(self, name, subject, extension):
        (self.folder / f"{name}.ext").write_text(extension + "\n")
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", subject,
                      "-keyout", f"{name}.key", "-out", f"{name}.csr")
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                      "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.pem")
        return str(self.folder / f"{name}.pem"), str(self.folder / f"{name}.key")


def free_port():
    """A port that nobody has, below those that the kernel gives to whoever names none: it is likely to stay free."""
    while True:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagrams, contextlib.suppress(OSError):
            stream.bind(("127.0.0.1", port))
            datagrams.bind(("127.0.0.1", port))
            return port


class Broker:
    """A mosquitto of its own on a free port, or on a unix socket.

    `lines` are added to its configuration behind the listener. As a context manager it is started and stopped;
    stop() and start() in between keep port and folder, so with `persistence true` also what it holds.
    """

    def __init__(self, *lines, anonymous=True, unix=False):
        self.folder = Path(tempfile.mkdtemp(prefix="fieldpipe-broker-"))
        self.path = str(self.folder / "broker.sock") if unix else None
        self.lines = lines
        self.anonymous = anonymous
        self.port = None
        self.process = None
        self.url = f"unix:{self.path}" if unix else None

    def start(self):
        for _ in range(5):  # another process may take the port between choosing and binding it
            if not self.path and self.port is None:
                self.port = free_port()
            listener = f"listener 0 {self.path}" if self.path else f"listener {self.port} 127.0.0.1"
            configuration = [listener, f"allow_anonymous {str(self.anonymous).lower()}", f"persistence_location {self.folder}/",
                             "max_queued_messages 0",  # a subscriber of these tests may be slow
                             *self.lines]
            if os.getuid() == 0:
                configuration.append("user root")
            (self.folder / "mosquitto.conf").write_text("\n".join(configuration) + "\n")
            with open(self.folder / "log", "a") as log:
                self.process = subprocess.Popen([mosquitto(), "-c", self.folder / "mosquitto.conf"], stdout=log, stderr=log)
            if wait_for(lambda: self._accepts() or self.process.poll() is not None, "mosquitto") and self.process.poll() is None:
                self.url = self.url or f"mqtt://127.0.0.1:{self.port}"
                return self
            self.port = None
        raise AssertionError((self.folder / "log").read_text())

    def _accepts(self):
        family = socket.AF_UNIX if self.path else socket.AF_INET
        with socket.socket(family) as probe:
            return probe.connect_ex(self.path or ("127.0.0.1", self.port)) == 0

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(number)
        self.process.wait(TIMEOUT)

    def signal(self, number):
        self.process.send_signal(number)

    def address(self):
        return self.path or ("127.0.0.1", self.port)

    def log(self):
        return (self.folder / "log").read_text()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)


def mosquitto():
    """The broker's program, which Debian keeps outside the PATH of users."""
    return shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")


def text(value):
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(data)) + data


def packet(kind, body=b"", flags=0):
    head, left = bytes([kind << 4 | flags]), len(body)
    while True:
        left, digit = divmod(left, 128)
        head += bytes([digit | (0x80 if left else 0)])
        if not left:
            return head + body


def publish(topic, payload, packet_id=0, qos=0, retain=False, version=4):
    flags = qos << 1 | retain
    return packet(PUBLISH, text(topic) + (struct.pack("!H", packet_id) if qos else b"") + (b"\0" if version == 5 else b"") + payload, flags)


class Message:
    """A PUBLISH as it was on the wire, of MQTT 3.1.1 or 5."""

    def __init__(self, flags, body, version):
        self.qos, self.retain, self.dup = flags >> 1 & 3, bool(flags & 1), bool(flags & 8)
        end = 2 + struct.unpack_from("!H", body)[0]
        self.topic = body[2:end].decode()
        self.packet_id = 0
        if self.qos:
            self.packet_id = struct.unpack_from("!H", body, end)[0]
            end += 2
        self.properties = b""
        if version == 5:
            length = body[end]  # below 128 in all of these tests
            self.properties = body[end + 1:end + 1 + length]
            end += 1 + length
        self.payload = body[end:]


class Wire:
    """Packets over a socket."""

    def __init__(self, connection):
        self.socket = connection
        self.buffer = b""
        self.version = 4

    def send(self, data):
        self.socket.sendall(data)

    def read(self, timeout=TIMEOUT):
        """The next packet as (kind, flags, body); None at the end of the connection. TimeoutError when none comes."""
        self.socket.settimeout(timeout)
        while True:
            found = self._take()
            if found:
                return found
            try:
                data = self.socket.recv(1 << 16)
            except (ConnectionError, ssl.SSLError):
                return None
            if not data:
                return None
            self.buffer += data

    def _take(self):
        length, shift = 0, 0
        for index in range(1, min(5, len(self.buffer))):
            length |= (self.buffer[index] & 0x7F) << shift
            shift += 7
            if not self.buffer[index] & 0x80:
                end = index + 1 + length
                if len(self.buffer) < end:
                    return None
                head, body, self.buffer = self.buffer[0], self.buffer[index + 1:end], self.buffer[end:]
                return head >> 4, head & 15, body
        return None

    def expect(self, kind, timeout=TIMEOUT):
        """The body of the next packet of this kind; others before it are an error but PINGREQ, which is answered."""
        while True:
            found = self.read(timeout)
            if found is None:
                raise AssertionError(f"connection closed, packet {kind} expected")
            if found[0] == kind:
                return Message(found[1], found[2], self.version) if kind == PUBLISH else found[2]
            if found[0] != PINGREQ:
                raise AssertionError(f"packet {found[0]}, {kind} expected")
            self.send(packet(PINGRESP))

    def accept(self, reason=0, present=False, properties=b""):
        """Reads CONNECT and answers it in the version asked for."""
        body = self.expect(CONNECT)
        self.version = body[6]
        tail = bytes([len(properties)]) + properties if self.version == 5 else b""
        self.send(packet(CONNACK, bytes([present, reason]) + tail))
        return body

    def acknowledge(self, packet_id, reason=0):
        tail = bytes([reason]) if self.version == 5 and reason else b""
        self.send(packet(PUBACK, struct.pack("!H", packet_id) + tail))

    def grant(self, reason=1):
        """Reads SUBSCRIBE and answers each of its filters with the reason."""
        body = self.expect(SUBSCRIBE)
        at = 2 + (1 + body[2] if self.version == 5 else 0)
        count = 0
        while at < len(body):
            at += 3 + struct.unpack_from("!H", body, at)[0]
            count += 1
        self.send(packet(SUBACK, body[:2] + (b"\0" if self.version == 5 else b"") + bytes([reason] * count)))

    def answer_unsubscribe(self, body):
        self.send(packet(UNSUBACK, body[:2] + (b"\0\0" if self.version == 5 else b"")))


class FakeBroker:
    """A broker that does what real ones do not: script(wire, number) is called for each connection, in a thread.

    What a script raises is raised again when the context ends.
    """

    def __init__(self, script, context=None):
        self.script = script
        self.context = context
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self.errors = []
        self.threads = []

    def _serve(self):
        number = 0
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            number += 1
            thread = threading.Thread(target=self._talk, args=(connection, number), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _talk(self, connection, number):
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            self.script(Wire(connection), number)
        except BaseException as error:  # noqa: B902 - handed to the test's own thread
            self.errors.append(error)
        finally:
            connection.close()

    def __enter__(self):
        self.threads.append(threading.Thread(target=self._serve, daemon=True))
        self.threads[0].start()
        return self

    def __exit__(self, kind, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(TIMEOUT)
        if self.errors and kind is None:
            raise self.errors[0]


class Subscriber:
    """An independent subscriber: MQTT 3.1.1 at QoS 1, collects what comes in a thread of its own."""

    def __init__(self, broker, *filters, client_id="", clean=True):
        self.messages = []
        family = socket.AF_UNIX if broker.path else socket.AF_INET
        self.wire = Wire(socket.socket(family))
        self.wire.socket.connect(broker.address())
        self.wire.send(packet(CONNECT, text("MQTT") + bytes([4, 2 if clean else 0]) + struct.pack("!H", 0) + text(client_id)))
        assert self.wire.expect(CONNACK)[1] == 0
        if filters:
            self.wire.send(packet(SUBSCRIBE, struct.pack("!H", 1) + b"".join(text(f) + b"\1" for f in filters), 2))
        self.subscribed = threading.Event()
        if not filters:
            self.subscribed.set()
        self.thread = threading.Thread(target=self._collect, daemon=True)
        self.thread.start()
        assert self.subscribed.wait(TIMEOUT)

    def _collect(self):
        while True:
            found = self.wire.read(None)
            if found is None:
                return
            if found[0] == SUBACK:
                self.subscribed.set()
            elif found[0] == PUBLISH:
                message = Message(found[1], found[2], 4)
                if message.qos:
                    with contextlib.suppress(ConnectionError):  # a broker that died
                        self.wire.acknowledge(message.packet_id)
                self.messages.append(message)

    def wait(self, count, timeout=TIMEOUT):
        wait_for(lambda: len(self.messages) >= count, f"{count} messages, have {len(self.messages)}", timeout)
        return self.messages

    def payloads(self, count):
        return [message.payload for message in self.wait(count)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.wire.send(packet(DISCONNECT))
            self.wire.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join(TIMEOUT)
        self.wire.socket.close()


def keep_session(broker, client_id, *filters):
    """Leaves a session with these subscriptions on the broker."""
    with Subscriber(broker, *filters, client_id=client_id, clean=False):
        pass
