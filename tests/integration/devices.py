# SPDX-License-Identifier: MIT
"""A device that speaks SMP, over UDP, TCP and a pseudo terminal, with whatever faults a test wants.

What it answers is in its handlers: (group, command, write) -> function of the request's map, which gives the answer's
map, or None for no answer. CBOR, frames and checksums are written out here and share nothing with the tools.
"""

import base64
import binascii
import contextlib
import hashlib
import os
import pty
import select
import socket
import struct
import threading
import tty

TIMEOUT = 60


def encode(value):
    """CBOR, with maps and lists of indefinite length as Zephyr writes them."""
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        major, number = (0, value) if value >= 0 else (1, -1 - value)
        for size, code in ((0, 24), (1, 24), (2, 25), (4, 26), (8, 27)):
            if size == 0 and number < 24:
                return bytes([major << 5 | number])
            if size and number < 1 << 8 * size:
                return bytes([major << 5 | code]) + number.to_bytes(size, "big")
    if isinstance(value, (bytes, str)):
        data = value.encode() if isinstance(value, str) else value
        head = bytearray(encode(len(data)))
        head[0] |= (3 if isinstance(value, str) else 2) << 5
        return bytes(head) + data
    if isinstance(value, dict):
        return b"\xbf" + b"".join(encode(key) + encode(item) for key, item in value.items()) + b"\xff"
    return b"\x9f" + b"".join(map(encode, value)) + b"\xff"


def decode(data, at=0):
    """The first item of what a client sends, and where it ends."""
    major, number = data[at] >> 5, data[at] & 31
    at += 1
    if number >= 24 and major != 7:
        size = 1 << number - 24
        number, at = int.from_bytes(data[at:at + size], "big"), at + size
    if major == 0:
        return number, at
    if major == 1:
        return -1 - number, at
    if major in (2, 3):
        text = data[at:at + number]
        return (text.decode() if major == 3 else text), at + number
    if major == 7:
        return number == 21, at
    items = []
    for _ in range(number * (2 if major == 5 else 1)):
        item, at = decode(data, at)
        items.append(item)
    return (dict(zip(items[::2], items[1::2])) if major == 5 else items), at


def frames(packet):
    """A packet as the lines of a console."""
    body = struct.pack(">H", len(packet) + 2) + packet + struct.pack(">H", binascii.crc_hqx(packet, 0))
    text = base64.b64encode(body)
    return b"".join((b"\x04\x14" if at else b"\x06\x09") + text[at:at + 124] + b"\n" for at in range(0, len(text), 124))


def image(version=(1, 2, 3, 4), size=2000, fill=0xA5):
    """An MCUboot image."""
    major, minor, revision, build = version
    head = struct.pack("<IIHHIIBBHII", 0x96F3B83D, 0, 32, 0, size, 0, major, minor, revision, build, 0)
    content = head + bytes((fill + index * 7) & 0xFF for index in range(size))
    return content + struct.pack("<HHHH", 0x6907, 40, 0x10, 32) + hashlib.sha256(content).digest()


class Slot:
    def __init__(self, file, confirmed=False):
        major, minor, revision, build = struct.unpack_from("<BBHI", file, 20)
        self.version = f"{major}.{minor}.{revision}" + (f".{build}" if build else "")
        self.hash = file[-32:]
        self.pending = self.permanent = False
        self.confirmed = confirmed


class Device:
    """Answers requests. `packet()` is the only door; tests override handlers or wrap it."""

    def __init__(self, buffer_bytes=384, buffers=4, key="0123456789abcdef0123456789ABCDEF"):
        self.requests = []
        self.files = {"/lfs/a.txt": b"hello"}
        self.settings = {"app/interval": b"\x2c\x01\x00\x00"}
        self.slots = [Slot(image((1, 0, 0, 0)), True), None]
        self.upload, self.upload_sha, self.upload_length = None, None, 0
        self.reverts = False  # the image under test fails
        self.resets = 0
        self.handlers = {
            (0, 0, True): lambda request: {"r": request["d"]},
            (0, 2, False): lambda request: {"tasks": {"idle": {"prio": 15, "tid": 1, "state": 0, "stkuse": 6, "stksiz": 64}}},
            (0, 3, False): lambda request: {"pool": {"blksiz": 64, "nblks": 10, "nfree": 7, "min": 3}},
            (0, 4, False): lambda request: {"datetime": "2026-08-01T12:34:56"},
            (0, 4, True): lambda request: {},
            (0, 5, True): self.reset,
            (0, 6, False): lambda request: {"buf_size": buffer_bytes, "buf_count": buffers},
            (0, 7, False): lambda request: {"output": {"s": "Zephyr", "r": "4.4.0"}[request["format"]]}
            if request["format"] in "sr" else {"err": {"group": 0, "rc": 2}},
            (0, 8, False): lambda request: {"mode": 3, "no-downgrade": True} if "query" in request else {"bootloader": "MCUboot"},
            (1, 0, False): lambda request: self.state(),
            (1, 0, True): self.mark,
            (1, 1, True): self.take_image,
            (1, 5, True): self.erase,
            (1, 6, False): lambda request: {"images": [{"image": 0, "slots": [{"slot": 0, "size": 524288}, {"slot": 1, "size": 524288, "upload_image_id": 0}]}]},
            (2, 0, False): lambda request: {"name": request["name"], "fields": {"ticks": 7}},
            (2, 1, False): lambda request: {"stat_list": ["smp_svr_stats"]},
            (3, 0, False): lambda request: {"val": self.settings[request["name"]]} if request["name"] in self.settings else {"err": {"group": 3, "rc": 3}},
            (3, 0, True): lambda request: self.settings.update({request["name"]: request["val"]}) or {},
            (3, 1, True): lambda request: {} if self.settings.pop(request["name"], None) else {"err": {"group": 3, "rc": 3}},
            (3, 2, True): lambda request: {},
            (3, 3, False): lambda request: {},
            (3, 3, True): lambda request: {},
            (8, 0, False): self.read_file,
            (8, 0, True): self.write_file,
            (8, 1, False): lambda request: {"len": len(self.files[request["name"]])},
            (8, 2, False): lambda request: {"type": "crc32", "len": len(self.files[request["name"]]), "output": binascii.crc32(self.files[request["name"]])},
            (8, 3, False): lambda request: {"types": {"crc32": {"format": 0, "size": 4}}},
            (8, 4, True): lambda request: {},
            (9, 0, True): lambda request: {"o": " ".join(request["argv"]) + "\r\n", "ret": 0 if request["argv"][0] != "false" else -8},
            (10, 3, False): lambda request: {"groups": [{"group": 0, "name": "os mgmt", "handlers": 9}]},
            (63, 0, True): lambda request: {},
            (128, 0, False): lambda request: {"device_serial": "DEMO1", "hardware_version": "dvt", "software_type": "app", "current_version": self.slots[0].version},
            (128, 1, False): lambda request: {"project_key": key} if key else {"err": {"group": 128, "rc": 2}},
        }

    def packet(self, data):
        """The answers to a packet, as a list of packets."""
        op, group, sequence, command = data[0] & 7, *struct.unpack_from(">HBB", data, 4)
        request, _ = decode(data, 8)
        self.requests.append((group, command, op == 2, request))
        handler = self.handlers.get((group, command, op == 2))
        answer = handler(request) if handler else {"rc": 8}
        if answer is None:
            return []
        payload = encode(answer)
        return [struct.pack(">BBHHBB", data[0] + 1, 0, len(payload), group, sequence, command) + payload]

    def state(self):
        return {"images": [{"slot": number, "version": slot.version, "hash": slot.hash, "bootable": True, "pending": slot.pending,
                            "confirmed": slot.confirmed, "active": number == 0, "permanent": slot.permanent}
                           for number, slot in enumerate(self.slots) if slot], "splitStatus": 0}

    def mark(self, request):
        if "hash" in request:
            slot = next((slot for slot in self.slots if slot and slot.hash == request["hash"]), None)
            if not slot:
                return {"err": {"group": 1, "rc": 8}}
            slot.pending, slot.permanent = True, request.get("confirm", False)
        elif request.get("confirm"):
            self.slots[0].confirmed = True
            if self.slots[1]:
                self.slots[1].confirmed = False
        else:
            return {"err": {"group": 1, "rc": 24}}
        return self.state()

    def take_image(self, request):
        if request["off"] == 0:
            if not self.slots[0].confirmed:
                return {"err": {"group": 1, "rc": 9}}
            if self.upload is None or request.get("sha") is None or self.upload_sha != request["sha"]:
                if request["data"][:4] != b"\x3d\xb8\xf3\x96":
                    return {"err": {"group": 1, "rc": 23}}
                self.upload, self.upload_sha, self.upload_length = request["data"], request.get("sha"), request["len"]
        elif self.upload is not None and request["off"] == len(self.upload):
            self.upload += request["data"]
        answer = {"off": len(self.upload) if self.upload is not None else 0}
        if self.upload is not None and len(self.upload) == self.upload_length:
            self.slots[1] = Slot(self.upload)
            self.upload = None
        return answer

    def erase(self, request):
        if request.get("slot", 1) == 0:
            return {"err": {"group": 1, "rc": 9}}
        self.slots[1] = None
        return {}

    def reset(self, request):
        self.resets += 1
        self.upload = None
        if not self.slots[0].confirmed or (self.slots[1] and self.slots[1].pending and not self.reverts):
            self.slots.reverse()
            if self.slots[0].permanent:
                self.slots[0].confirmed, self.slots[1].confirmed = True, False
        for slot in filter(None, self.slots):
            slot.pending = slot.permanent = False
        return {}

    def read_file(self, request):
        data = self.files.get(request["name"])
        if data is None:
            return {"err": {"group": 8, "rc": 3}}
        part = {"off": request["off"], "data": data[request["off"]:request["off"] + 300]}
        return part | ({"len": len(data)} if request["off"] == 0 else {})

    def write_file(self, request):
        data = b"" if request["off"] == 0 else self.files.get(request["name"], b"")
        if request["off"] != len(data):
            return {"err": {"group": 8, "rc": 11}, "len": len(data)}
        self.files[request["name"]] = data + request["data"]
        return {"off": len(self.files[request["name"]])}


class Server:
    """A device behind a transport, served by a thread. `place` is the string for --connect."""

    def __init__(self, device):
        self.device = device
        self.wake, self._waker = os.pipe()

    def __enter__(self):
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        os.close(self._waker)
        self.thread.join(TIMEOUT)
        os.close(self.wake)

    def readable(self, source):
        """Waits for the source; False when it is time to end."""
        ready, _, _ = select.select([source, self.wake], [], [])
        return self.wake not in ready


class Udp(Server):
    def __init__(self, device, family=socket.AF_INET):
        super().__init__(device)
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
        host, port = self.socket.getsockname()[:2]
        self.place = f"udp:{host}:{port}" if family == socket.AF_INET else f"udp:[{host}]:{port}"

    def serve(self):
        with self.socket:
            while self.readable(self.socket):
                data, sender = self.socket.recvfrom(65536)
                for answer in self.device.packet(data):
                    self.socket.sendto(answer, sender)


class Console(Server):
    """Frames on a byte stream, between log text."""

    noise = b"[00:00:01.000,000] <inf> app: tick\r\n"

    def __init__(self, device):
        super().__init__(device)
        self.lines = []  # that came

    def talk(self, descriptor):
        pending, body = b"", b""
        while self.readable(descriptor):
            try:
                data = os.read(descriptor, 65536)
            except OSError:
                return
            if not data:
                return
            pending += data
            while b"\n" in pending:
                line, pending = pending.split(b"\n", 1)
                self.lines.append(line + b"\n")
                if line[:2] in (b"\x06\x09", b"\x04\x14"):
                    body = (b"" if line[:2] == b"\x06\x09" else body) + base64.b64decode(line[2:])
                    if len(body) > 2 and len(body) == 2 + struct.unpack_from(">H", body)[0] and binascii.crc_hqx(body[2:], 0) == 0:
                        for answer in self.device.packet(body[2:-2]):
                            self.say(descriptor, self.noise + b"uart:~$ " + frames(answer))

    def say(self, descriptor, data):
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(descriptor, data):]


class Tcp(Console):
    def __init__(self, device):
        super().__init__(device)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.place = "tcp:127.0.0.1:%d" % self.listener.getsockname()[1]

    def serve(self):
        with self.listener:
            while self.readable(self.listener):
                connection, _ = self.listener.accept()
                with connection:
                    self.talk(connection.fileno())


class Terminal(Console):
    def __init__(self, device):
        super().__init__(device)
        self.master, slave = pty.openpty()
        tty.setraw(slave)
        self.slave = slave  # held open, so that the terminal stays when its client goes
        self.place = "serial:" + os.ttyname(slave)

    def serve(self):
        self.talk(self.master)
        os.close(self.master)
        os.close(self.slave)


class RawTerminal(Terminal):
    """Bare packets back to back."""

    def __init__(self, device):
        super().__init__(device)
        self.place = self.place.replace("serial:", "raw:")

    def talk(self, descriptor):
        pending = b""
        while self.readable(descriptor):
            pending += os.read(descriptor, 65536)
            while len(pending) >= 8 and len(pending) >= 8 + struct.unpack_from(">H", pending, 2)[0]:
                size = 8 + struct.unpack_from(">H", pending, 2)[0]
                for answer in self.device.packet(pending[:size]):
                    self.say(descriptor, answer)
                pending = pending[size:]
