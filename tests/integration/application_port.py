# SPDX-License-Identifier: MIT
"""uplink's application port as a script plays it: a listener, and connections that carry lines."""

import contextlib
import json
import socket
import struct
import threading
import time

import tools

TIMEOUT = tools.TIMEOUT


class Connection:
    """One application."""

    def __init__(self, connection):
        self.socket = connection
        self.socket.settimeout(TIMEOUT)
        self.buffer = b""

    def send(self, *lines):
        """Each as JSON unless it is bytes, with an LF, all in one write."""
        self.send_raw(b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines))

    def send_raw(self, data):
        self.socket.sendall(data)

    def action(self, name, payload="", action_id="1"):
        self.send({"action_id": action_id, "name": name, "payload": payload})

    def raw_line(self):
        """The next line without its LF; None when the application has ended its half."""
        while b"\n" not in self.buffer:
            data = self.socket.recv(1 << 16)
            if not data:
                return None
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line

    def line(self):
        line = self.raw_line()
        return None if line is None else json.loads(line)

    def lines(self):
        """All up to the end."""
        return list(iter(self.line, None))

    def status(self):
        """The next response, as (id, state, progress, errors, sequence)."""
        line = self.line()
        assert line and line["stream"] == "action_status", line
        assert abs(line["timestamp"] / 1000 - time.time()) < TIMEOUT, line
        return line["action_id"], line["state"], line["progress"], line["errors"], line["sequence"]

    def close(self):
        self.socket.close()

    def reset(self):
        """Closes it so that the other side sees a broken connection."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Port:
    """The service's listener on a free port of its own, or on a unix socket."""

    def __init__(self, path=None):
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(path)
            self.listener.listen()
            self.address = f"unix:{path}"
        else:
            self.listener = socket.create_server(("127.0.0.1", 0))
            self.address = f":{self.listener.getsockname()[1]}"
        self.listener.settimeout(TIMEOUT)
        self.connections = []

    def accept(self):
        connection = Connection(self.listener.accept()[0])
        self.connections.append(connection)
        return connection

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.close()


class Service(Port):
    """Takes whatever applications send, answers their checkpoints, and lets them end; `lines` are all but checkpoints."""

    def __init__(self, path=None):
        super().__init__(path)
        self.lines = []
        self.listener.settimeout(None)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._talk, args=(self.accept(),), daemon=True).start()

    def _talk(self, connection):
        with contextlib.suppress(OSError):
            connection.socket.settimeout(None)
            for line in iter(connection.line, None):
                if line["stream"] == "fieldpipe_stored":
                    connection.send(b'{"stored":%d}' % line["sequence"])
                else:
                    self.lines.append(line)
            connection.close()

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        super().__exit__()
