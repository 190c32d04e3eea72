# SPDX-License-Identifier: MIT
"""A scripted HTTP or HTTPS endpoint that takes chunks and serves files, and does what real ones do on bad days.

A script is a list of rules, as JSON holds it. Each request is answered by the first rule that matches it and is not used
up, else with 202 (a POST), the file (a GET of one of `files`) or 404. A rule matches by:

    method, path     the path with its query; * and ? as in file names
    key              the project key
    chunk            one of the chunks, in hex
    over_chunks, over_bytes   more chunks, or a longer body, than this
    skip, times      passes the first `skip` matches on, then holds for `times` of them

and says in any combination:

    status, headers, body (text), body_hex   headers is an object, a value may be a list; {date+N} in a value is the
                     HTTP date N seconds after the answer's own Date, which "date": false leaves out
    file             serve the file of this path as without a rule, but with what else is said here
    delay            seconds before the first byte of the answer
    hold             waits for release(NAME) before it
    early            answers before the body is read
    pace             [bytes, seconds]: so many bytes at a time with so long in between
    interim          so many 103 answers in front
    header_bytes     a header of this length more
    length           this Content-Length instead of the right one; null for none
    raw              the whole answer, in hex
    reset_at         a TCP reset after so many bytes of the answer (0: before it)
    end_at           the same, but an end of the stream
    close            closes the connection behind the answer, with Connection: close
    drop             the same without a word

`connections` is a list of such rules for connections: skip, times, delay (seconds before the TLS handshake), reset.

What a client of the chunk interface must not do is collected in `errors` and raised when the context ends: a body
without length, damaged multipart, a serial or a key that is none.

    python3 endpoint.py [--cert FILE --key FILE] [--port N] [--quiet] [SCRIPT.json]

runs one until the end of stdin: its URL is the first line, then each request is one line of JSON.
"""

import argparse
import contextlib
import dataclasses
import email.utils
import fnmatch
import json
import re
import socket
import ssl
import struct
import sys
import threading
import time

SERIAL = re.compile(r"[A-Za-z0-9_-]{1,128}")
KEY = re.compile(r"[A-Za-z0-9]{32}")
CHUNKS = "/api/v0/chunks/"
MOST_HEADER = 64 * 1024


class Violation(Exception):
    """The client does what it must not."""


@dataclasses.dataclass
class Request:
    connection: int  # from 1
    method: str
    path: str
    headers: list  # pairs, in order
    body: bytes
    chunks: list  # of a POST of chunks
    began: float  # on the monotonic clock: the first byte
    arrived: float  # the last one
    answered: float = 0.0  # the last one of the answer; 0 while there is none
    status: int = 0  # of the answer; 0 where there was none

    def header(self, name):
        return ", ".join(value for key, value in self.headers if key.lower() == name.lower())

    @property
    def device(self):
        return self.path.removeprefix(CHUNKS)


PART = re.compile(rb"\r\nContent-Type: application/octet-stream\r\nContent-Length: (0|[1-9][0-9]*)\r\n\r\n")


def read_multipart(body, boundary):
    """The parts of a multipart/mixed body in the one form that is sent: both headers, nothing before and after."""
    parts, mark, at = [], b"--" + boundary, 0
    while not body.startswith(mark + b"--", at):
        head = body.startswith(mark, at) and PART.match(body, at + len(mark))
        if not head:
            raise Violation(f"multipart: part {len(parts)}: no header at {body[at:at + 60]!r}")
        at = head.end() + int(head.group(1))
        parts.append(body[head.end():at])
        if body[at:at + 2] != b"\r\n":
            raise Violation(f"multipart: part {len(parts) - 1}: no line end behind it")
        at += 2
    if body[at:] != mark + b"--\r\n":
        raise Violation(f"multipart: {body[at + len(mark) + 2:]!r} behind the last part")
    if not parts:
        raise Violation("multipart: no part")
    if any(boundary in part for part in parts):
        raise Violation("multipart: the boundary is in a part")
    return parts


def read_chunks(request):
    """The chunks of a POST to the chunk interface."""
    if not SERIAL.fullmatch(request.device):
        raise Violation(f"serial {request.device!r}")
    if not KEY.fullmatch(request.header("Memfault-Project-Key")):
        raise Violation("no project key")
    if request.header("Expect") or request.header("Transfer-Encoding"):
        raise Violation("Expect or Transfer-Encoding")
    kind = request.header("Content-Type")
    if kind == "application/octet-stream":
        return [request.body]
    boundary = re.fullmatch(r"multipart/mixed; boundary=([0-9A-Za-z'()+_,./:=?-]{1,70})", kind)
    if not boundary:
        raise Violation(f"Content-Type {kind!r}")
    return read_multipart(request.body, boundary.group(1).encode())


class Rules:
    """Rules with how often each has matched."""

    def __init__(self, rules, known):
        for rule in rules:
            if unknown := rule.keys() - known:
                raise ValueError(f"rule with {sorted(unknown)}")
        self.rules = [[rule, 0] for rule in rules]
        self.lock = threading.Lock()

    def take(self, matches):
        with self.lock:
            for entry in self.rules:
                rule, used = entry
                if not matches(rule):
                    continue
                entry[1] += 1
                skip = rule.get("skip", 0)
                if used >= skip and ("times" not in rule or used < skip + rule["times"]):
                    return rule
        return None


MATCHING = {"method", "path", "key", "chunk", "over_chunks", "over_bytes", "skip", "times"}
SAYING = {"status", "headers", "date", "body", "body_hex", "file", "delay", "hold", "early", "pace", "interim", "header_bytes",
          "length", "raw", "reset_at", "end_at", "close", "drop"}


class Endpoint:
    """Runs in threads of this process, on a port of its own, while the context lasts.

    `tls` is a (certificate, key) pair, as those of peers.Authority; without it the endpoint speaks plain HTTP.
    """

    def __init__(self, script=(), tls=None, files=None, connections=(), port=0, strict=True, client_authority=None):
        self.context = None
        self.client_authority = client_authority
        if tls:
            self.use_certificate(tls)
        self.files = dict(files or {})
        self.strict = strict
        self.changed = threading.Condition()
        self.released = set()
        self.stopping = threading.Event()
        self.requests = []
        self.errors = []
        self.open = {}  # sockets of connections by their number
        self.connections = 0
        self.on_request = None
        self.play(script)
        self.connection_rules = Rules(connections, {"skip", "times", "delay", "reset"})
        self.listener = socket.create_server(("127.0.0.1", port), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.url = f"http{'s' if tls else ''}://{'localhost' if tls else '127.0.0.1'}:{self.port}"
        self.threads = []

    # For tests.

    def play(self, script):
        """Replaces the script."""
        self.rules = Rules(script, MATCHING | SAYING)

    def use_certificate(self, tls):
        """From the next connection on."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        if self.client_authority:
            context.load_verify_locations(self.client_authority)
            context.verify_mode = ssl.CERT_REQUIRED
        self.context = context

    def release(self, name):
        """Lets all go on that hold for this name, now and later."""
        with self.changed:
            self.released.add(name)
            self.changed.notify_all()

    def wait(self, condition, what, timeout=60):
        """The first true value of condition(), looked at whenever something happens here."""
        with self.changed:
            if not self.changed.wait_for(condition, timeout):
                raise AssertionError(f"{what}: not within {timeout} s")
            return condition()

    def wait_requests(self, count, timeout=60):
        self.wait(lambda: len(self.requests) >= count, f"{count} requests, have {len(self.requests)}", timeout)
        return self.requests

    def chunks(self, device=None, delivered=True):
        """The chunks that came in order, those of one device or all; only of requests that were answered with 2xx."""
        return [chunk for request in list(self.requests) for chunk in request.chunks
                if (device is None or request.device == device) and (not delivered or request.status // 100 == 2)]

    def drop_connections(self):
        """Resets all that stand."""
        with self.changed:
            connections = list(self.open.values())
        for connection in connections:
            reset(connection)

    def __enter__(self):
        self._start(self._serve)
        return self

    def __exit__(self, kind, *_):
        self.stopping.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.changed:
            self.changed.notify_all()
        self.drop_connections()
        for thread in self.threads:
            thread.join(60)
        if self.errors and kind is None:
            raise self.errors[0]

    # Connections.

    def _start(self, function, *arguments):
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self.threads.append(thread)
        thread.start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            self._start(self._talk, connection, self.connections)

    def _talk(self, connection, number):
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.changed:
                self.open[number] = connection
                self.changed.notify_all()
            rule = self.connection_rules.take(lambda _: True) or {}
            self.stopping.wait(rule.get("delay", 0))
            if rule.get("reset"):
                return reset(connection)
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
                with self.changed:
                    self.open[number] = connection
            stream = Stream(connection)
            while not self.stopping.is_set() and self._answer(stream, number):
                pass
        except (OSError, EOFError):  # the client has gone, or does not trust us
            pass
        except BaseException as error:  # noqa: B902 - handed to the test's own thread
            self.errors.append(error)
        finally:
            with self.changed:
                self.open.pop(number, None)
                self.changed.notify_all()
            connection.close()

    def _answer(self, stream, number):
        """Takes a request and answers it; whether there may be another on this connection."""
        head = stream.read_head()
        if head is None:
            return False
        began = stream.began
        lines = head.decode("latin-1").split("\r\n")
        method, path, version = lines[0].split(" ")
        headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:] if line]
        request = Request(number, method, path, headers, b"", [], began, 0.0)
        posted = method == "POST" and path.startswith(CHUNKS)
        if version != "HTTP/1.1" or not request.header("Host"):
            raise Violation(f"{lines[0]!r} without HTTP/1.1 or Host")
        if method == "POST" and not re.fullmatch("[0-9]+", request.header("Content-Length")):
            raise Violation(f"POST with Content-Length {request.header('Content-Length')!r}")
        rule = self.rules.take(lambda rule: rule.get("early") and self._matches(rule, request))
        if not rule:
            request.body = stream.read(int(request.header("Content-Length") or 0))
            if posted and self.strict:
                request.chunks = read_chunks(request)
            rule = self.rules.take(lambda rule: not rule.get("early") and self._matches(rule, request)) or {}
        request.arrived = time.monotonic()
        with self.changed:
            self.requests.append(request)
            self.changed.notify_all()
        goes_on = self._say(stream, request, rule)
        request.answered = time.monotonic()
        with self.changed:
            self.changed.notify_all()
        if self.on_request:
            self.on_request(request)
        return goes_on and not rule.get("early")

    @staticmethod
    def _matches(rule, request):
        return (fnmatch.fnmatchcase(request.path, rule.get("path", "*"))
                and request.method == rule.get("method", request.method)
                and request.header("Memfault-Project-Key") == rule.get("key", request.header("Memfault-Project-Key"))
                and ("chunk" not in rule or bytes.fromhex(rule["chunk"]) in request.chunks)
                and len(request.chunks) > rule.get("over_chunks", -1)
                and len(request.body) > rule.get("over_bytes", -1))

    def _say(self, stream, request, rule):
        self.stopping.wait(rule.get("delay", 0))
        if "hold" in rule:
            with self.changed:
                self.changed.wait_for(lambda: rule["hold"] in self.released or self.stopping.is_set())
        if rule.get("drop"):
            return False
        status, answer = self._compose(request, rule)
        cut = rule.get("reset_at", rule.get("end_at"))
        request.status = status if cut is None or answer.find(b"\r\n\r\n") + 4 <= cut else 0
        sent = answer if cut is None else answer[:cut]
        if "pace" in rule:
            size, seconds = rule["pace"]
            for at in range(0, len(sent), size):
                stream.socket.sendall(sent[at:at + size])
                if self.stopping.wait(seconds):
                    return False
        else:
            stream.socket.sendall(sent)
        if "reset_at" in rule:
            reset(stream.socket)
            return False
        return not ("end_at" in rule or rule.get("close") or "raw" in rule or rule.get("length", 0) is None)

    def _compose(self, request, rule):
        if "raw" in rule:
            raw = bytes.fromhex(rule["raw"])
            status = re.match(rb"HTTP/1\.1 (\d{3}) ", raw)
            return int(status[1]) if status else 0, raw
        headers, body = [], b""
        data = self.files.get(request.path.split("?")[0]) if request.method == "GET" else None
        if rule.get("file", not rule.keys() & {"status", "body", "body_hex"}) and data is not None:
            status, body, headers = ranged(data, request.header("Range"))
        else:
            status = rule.get("status", 202 if request.method == "POST" else 404)
            body = bytes.fromhex(rule["body_hex"]) if "body_hex" in rule else rule.get("body", "").encode()
        now = int(time.time())
        if rule.get("date", True):
            headers.append(("Date", email.utils.formatdate(now, usegmt=True)))
        for name, values in rule.get("headers", {}).items():
            for value in values if isinstance(values, list) else [values]:
                headers.append((name, re.sub(r"\{date([+-]\d+)\}", lambda m: email.utils.formatdate(now + int(m[1]), usegmt=True), value)))
        if "header_bytes" in rule:
            headers += [("X-Filling", "x" * 1000)] * (rule["header_bytes"] // 1013 + 1)
        length = rule.get("length", len(body))
        if length is not None and status not in (204, 304):
            headers.append(("Content-Length", str(length)))
        if rule.get("close"):
            headers.append(("Connection", "close"))
        head = f"HTTP/1.1 {status} Scripted\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers) + "\r\n"
        interim = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * rule.get("interim", 0)
        return status, interim + head.encode("latin-1") + (b"" if status in (204, 304) else body)


class Stream:
    """Bytes of a socket with those that came too early."""

    def __init__(self, connection):
        self.socket = connection
        self.buffer = b""
        self.began = 0.0

    def _more(self):
        data = self.socket.recv(1 << 18)
        self.buffer += data
        return bool(data)

    def read_head(self):
        """Up to the empty line; None when the connection ends before the first byte."""
        if not self.buffer and not self._more():
            return None
        self.began = time.monotonic()
        while b"\r\n\r\n" not in self.buffer:
            if len(self.buffer) > MOST_HEADER:
                raise Violation("header too long")
            if not self._more():
                raise EOFError
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        return head

    def read(self, size):
        parts, have = [self.buffer], len(self.buffer)
        while have < size:
            data = self.socket.recv(1 << 18)
            if not data:
                raise EOFError
            parts.append(data)
            have += len(data)
        whole = b"".join(parts)
        self.buffer = whole[size:]
        return whole[:size]


def reset(connection):
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # Another thread may be reading from it; closing the descriptor under it would not wake it. The method of an
        # SSLSocket would take the TLS layer away.
        socket.socket.shutdown(connection, socket.SHUT_RD)
    with contextlib.suppress(OSError):
        connection.close()


def ranged(data, asked):
    """Status, body and headers for a file, or for the part of it that Range asks for."""
    headers = [("Accept-Ranges", "bytes"), ("Content-Type", "application/octet-stream")]
    wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", asked)
    if not wanted:
        return 200, data, headers
    first = int(wanted[1])
    last = min(int(wanted[2]), len(data) - 1) if wanted[2] else len(data) - 1
    if first > last:
        return 416, b"", headers + [("Content-Range", f"bytes */{len(data)}")]
    return 206, data[first:last + 1], headers + [("Content-Range", f"bytes {first}-{last}/{len(data)}")]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("script", nargs="?")
    parser.add_argument("--cert")
    parser.add_argument("--key")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--quiet", action="store_true")
    options = parser.parse_args()
    script = []
    if options.script:
        with open(options.script) as file:
            script = json.load(file)
    with Endpoint(script, tls=(options.cert, options.key) if options.cert else None, port=options.port) as endpoint:
        lock = threading.Lock()

        def show(request):
            with lock:
                print(json.dumps({"connection": request.connection, "method": request.method, "path": request.path,
                                  "headers": request.headers, "chunks": [chunk.hex() for chunk in request.chunks],
                                  "status": request.status, "seconds": round(request.answered - request.began, 4)}), flush=True)

        if not options.quiet:
            endpoint.on_request = show
        print(endpoint.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
