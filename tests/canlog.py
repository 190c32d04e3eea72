"""A candump -L log of any length, the same for the same arguments: the traffic of a made-up vehicle on two buses.

Ninety identifiers, fifteen of them extended and five CAN FD, with constants, counters, slowly changing values and
check sums in their data, 0.1 to 1 ms apart. Used by the tests, the demo and the benchmark.
"""

import random
import sys

START_US = 1_700_000_000_000_000
FD_LENGTHS = (12, 20, 32, 48, 64)


class Message:
    """One identifier and how its data changes."""

    def __init__(self, number, rng):
        self.fd = number >= 85
        self.extended = 70 <= number < 85
        identifier = rng.randrange(0x10000, 0x1FFFFFFF) if self.extended else 0x080 + 7 * number
        self.head = f"can{number % 2} {identifier:08X}" if self.extended else f"can{number % 2} {identifier:03X}"
        self.head += "##1" if self.fd else "#"
        self.length = FD_LENGTHS[number - 85] if self.fd else rng.choice((8,) * 9 + (6, 4, 0))
        self.constant = bytes(rng.randrange(256) for _ in range(self.length))
        self.value = rng.randrange(65536)
        self.counter = 0

    def next(self, rng):
        """The frame text after the interface: identifier and data."""
        if self.length < 4:
            return self.head + self.constant.hex().upper()
        self.counter = (self.counter + 1) & 15
        self.value = (self.value + rng.randrange(-3, 4)) & 0xFFFF
        data = bytearray(self.constant)
        data[0] = self.value >> 8
        data[1] = self.value & 255
        data[2] = data[2] & 0xF0 | self.counter
        data[-1] = sum(data[:-1]) & 255
        return self.head + data.hex().upper()


def lines(count, seed=1):
    """Yields `count` log lines with their line feeds."""
    rng = random.Random(seed)
    messages = [Message(number, rng) for number in range(90)]
    time_us = START_US
    for _ in range(count):
        time_us += rng.randrange(100, 380)
        yield f"({time_us // 1_000_000}.{time_us % 1_000_000:06d}) {rng.choice(messages).next(rng)}\n"


def write(path, count, seed=1):
    """Writes `count` lines to the file `path`."""
    with open(path, "w", encoding="ascii") as file:
        file.writelines(lines(count, seed))


if __name__ == "__main__":
    sys.stdout.writelines(lines(int(sys.argv[1])))
