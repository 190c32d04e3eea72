# SPDX-License-Identifier: MIT
"""uplink-serve with its files and folder, applications that talk to it, and a broker that can be cut off."""

import contextlib
import json
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from integration.peers import TIMEOUT, Running, free_port, wait_for


class Proxy:
    """A TCP relay in front of a broker. down() breaks what is connected, and what comes is closed at once; up() ends that."""

    def __init__(self, target):
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = self.listener.getsockname()[1]
        self.pairs = set()
        self.lock = threading.Lock()
        self.is_up = True
        threading.Thread(target=self._accept, daemon=True).start()

    def up(self):
        self.is_up = True

    def down(self):
        with self.lock:
            self.is_up = False
            ends, self.pairs = self.pairs, set()
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = None
            with self.lock, contextlib.suppress(OSError):
                if self.is_up:
                    server = socket.create_connection(("127.0.0.1", self.target))
                    self.pairs |= {client, server}
            if not server:
                client.close()
                continue
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for a, b in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(a, b), daemon=True).start()

    def _pump(self, a, b):
        with a, contextlib.suppress(OSError):
            while data := a.recv(1 << 16):
                b.sendall(data)
            b.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.down()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Service:
    """An uplink-serve with files and a folder of its own. Ports in `configuration` are written as {NAME}, one an app."""

    def __init__(self, configuration, broker_port, *arguments, project="demo", device="1", device_file=None, env=None):
        self.folder = tempfile.TemporaryDirectory(prefix="fieldpipe-uplink-")
        self.path = Path(self.folder.name)
        self.spool = self.path / "spool"
        self.arguments = arguments
        self.env = env
        self.configuration = configuration
        self._choose_ports()
        (self.path / "device.json").write_text(json.dumps(
            {"project_id": project, "device_id": device, "broker": "127.0.0.1", "port": broker_port, **(device_file or {})}))
        self.prefix = f"/tenants/{project}/devices/{device}"
        self.running = None

    def _choose_ports(self):
        names = [name for name in ("main", "one", "two") if f"{{{name}}}" in self.configuration]
        self.ports = {name: free_port() for name in names}
        text = self.configuration
        for name, port in self.ports.items():
            text = text.replace(f"{{{name}}}", str(port))
        (self.path / "uplink.toml").write_text(text)

    def command(self):
        return ["uplink-serve", "--config", self.path / "uplink.toml", "--auth", self.path / "device.json", "--spool", self.spool,
                *self.arguments]

    def start(self):
        for _ in range(20):  # a connection of another test may have taken a port
            self.running = Running(*self.command(), stdin=subprocess.DEVNULL, env=self.env)
            wait_for(lambda: self.running.process.poll() is not None or all(map(self._listens, self.ports.values())),
                     "uplink-serve")
            if self.running.process.poll() is None:
                return self
            self.running.finish()
            self.running.__exit__()
            if "in use" not in self.running.stderr:
                break
            self._choose_ports()
        raise AssertionError(f"uplink-serve ended: {self.running.stderr}")

    def _listens(self, port):
        """Whether somebody listens, found out without becoming a client."""
        return f"0100007F:{port:04X} 00000000:0000 0A" in Path("/proc/net/tcp").read_text()

    def stop(self, number=signal.SIGTERM):
        self.running.signal(number)
        code, _ = self.running.finish()
        self.running.__exit__()
        return code

    def kill(self):
        return self.stop(signal.SIGKILL)

    def app(self, name="main"):
        return App(self.ports[name])

    def figures(self):
        """What SIGUSR1 has it say."""
        before = self.running.stderr.count('{"accepted_total"')
        self.running.signal(signal.SIGUSR1)
        wait_for(lambda: self.running.stderr.count('{"accepted_total"') > before, "figures")
        line = [text for text in self.running.stderr.splitlines() if '{"accepted_total"' in text][-1]
        return json.loads(line[line.index("{"):])

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.running:
            self.running.__exit__()
        self.folder.cleanup()


def point(stream, sequence, timestamp=1, **columns):
    return json.dumps({"stream": stream, "sequence": sequence, "timestamp": timestamp, **columns})


def status(action_id, state, sequence=1, progress=100, errors=()):
    return point("action_status", sequence, 1700000000000, action_id=action_id, state=state, progress=progress,
                 errors=list(errors))


class App:
    """An application; what it is told is collected in a thread of its own, line by line, with the time."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port)) if isinstance(port, int) else self._unix(port)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1) if isinstance(port, int) else None
        self.lines = []
        self.closed_at = None
        self.thread = threading.Thread(target=self._collect, daemon=True)
        self.thread.start()

    @staticmethod
    def _unix(path):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(path))
        return connection

    def _collect(self):
        data = b""
        while True:
            try:
                more = self.socket.recv(1 << 16)
            except OSError:
                more = b""
            if not more:
                self.closed_at = time.monotonic()
                return
            data += more
            *lines, data = data.split(b"\n")
            self.lines += [(time.monotonic(), line.decode()) for line in lines]

    def send(self, *lines):
        self.socket.sendall("".join(line + "\n" for line in lines).encode())

    def wait(self, count, timeout=TIMEOUT):
        wait_for(lambda: len(self.lines) >= count, f"{count} lines for an application", timeout)
        return [json.loads(line) for _, line in self.lines]

    def stored(self, number=1, timeout=TIMEOUT):
        """Asks for a checkpoint and waits for the answer."""
        self.send(point("fieldpipe_stored", number))
        wait_for(lambda: any(line == f'{{"stored":{number}}}' for _, line in self.lines), "stored", timeout)

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def wait_closed(self, timeout=TIMEOUT):
        wait_for(lambda: self.closed_at, "the end of a connection", timeout)

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join(TIMEOUT)
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def lz4_frame(data):
    """The content of an LZ4 frame without checksums: lz4/lz4 doc/lz4_Frame_format.md and lz4_Block_format.md."""
    assert data[:4] == bytes.fromhex("04224d18") and data[4] == 0x60, data[:7].hex()
    out, at = bytearray(), 7
    while size := int.from_bytes(data[at:at + 4], "little"):
        block, at = data[at + 4:at + 4 + (size & 0x7FFFFFFF)], at + 4 + (size & 0x7FFFFFFF)
        out += block if size >> 31 else lz4_block(block)
    assert at + 4 == len(data)
    return bytes(out)


def lz4_block(block):
    out, at = bytearray(), 0

    def length(first):
        nonlocal at
        total = first
        while first == 15 and (more := block[at]) is not None:
            at += 1
            total += more
            if more != 255:
                break
        return total

    while at < len(block):
        token = block[at]
        at += 1
        literals = length(token >> 4)
        out += block[at:at + literals]
        at += literals
        if at >= len(block):
            break
        offset = int.from_bytes(block[at:at + 2], "little")
        at += 2
        for _ in range(length(token & 15) + 4):
            out.append(out[-offset])
    return out
