# SPDX-License-Identifier: MIT
"""CAN databases through the tools: both routes give the same values, rates, ASC logs, and what is wrong with a file."""

import json
import random
import shutil
import tempfile
import unittest
from pathlib import Path

import canlog
import tools

DATABASE = """VERSION ""
BO_ 256 Engine: 8 ECU
 SG_ Speed : 0|16@1+ (0.1,0) [0|0] "km/h" GW
 SG_ Load : 23|16@0- (0.25,-40) [0|0] "%" GW
 SG_ Counter : 32|32@1+ (1,0) [0|0] "" GW
BO_ 2147484160 Battery: 8 BMS
 SG_ Voltage : 7|64@0+ (1,0) [0|0] "uV" GW
BO_ 258 Mixed: 8 ECU
 SG_ Mode M : 0|8@1+ (1,0) [0|0] "" GW
 SG_ A m1 : 8|8@1+ (1,0) [0|0] "" GW
 SG_ B m2 : 8|8@1- (0.01,5) [0|0] "" GW
"""


class Signals(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.database = self.folder / "car.dbc"
        self.database.write_text(DATABASE)

    def run_tool(self, *command, stdin=b"", status=0, env=None):
        result = tools.run(*command, stdin=stdin, env=env or tools.environment(FC_TOKEN="t"))
        self.assertEqual(result.returncode, status, result.stderr.decode())
        return result

    def log(self, count=2000):
        rng = random.Random(1)
        for n in range(count):
            identifier = rng.choice(("100", "00000200", "102"))
            yield f"({1_700_000_000 + n // 500}.{n % 500 * 2:03d}000) can0 {identifier}#{rng.getrandbits(64):016X}\n"

    def test_both_routes_give_the_same_values(self):
        log = "".join(self.log()).encode()
        direct = self.run_tool("fc-decode", "--dbc", self.database, stdin=log)
        messages = self.run_tool("fc-encode", "--to", "json", "--device-id", "d", "--names", "long", "--dbc", self.database, stdin=log)
        points = self.run_tool("fc-decode", stdin=messages.stdout)
        expected, got = [], []
        for line in direct.stdout.decode().splitlines():
            frame = json.loads(line, parse_float=str, parse_int=str)
            expected += [(int(frame["time"].replace(".", "")[:13]), f"{frame['message']}.{name}", value)
                         for name, value in frame["signals"].items()]
        for line in points.stdout.decode().splitlines():
            point = json.loads(line, parse_float=str, parse_int=str)
            got += [(int(point["timestamp"]), name, value) for name, value in point["fields"].items()]
        self.assertGreater(len(expected), 3000)
        self.assertTrue(got == expected)

    def test_binary_messages_give_the_same_signals_as_the_log(self):
        log = "".join(self.log()).encode()
        direct = self.run_tool("fc-decode", "--dbc", self.database, stdin=log).stdout.decode().splitlines()
        messages = self.run_tool("fc-encode", stdin=log).stdout
        through = self.run_tool("fc-decode", "--dbc", self.database, stdin=messages).stdout.decode().splitlines()
        values = [[(frame["id"], frame["message"], frame["signals"]) for frame in map(json.loads, lines)] for lines in (direct, through)]
        self.assertTrue(values[0] == values[1])

    def test_select_leaves_the_newest_of_each_interval(self):
        log = "".join(f"({1_700_000_000 + n // 1000}.{n % 1000:03d}000) can0 {0x123 + n % 1:03X}#{n:08X}\n" for n in range(5000))
        messages = self.run_tool("fc-encode", "--select", "0x123:10", stdin=log.encode()).stdout
        lines = self.run_tool("fc-decode", "--to", "candump", stdin=messages).stdout.decode().splitlines()
        self.assertEqual([int(line.split("#")[1], 16) for line in lines], list(range(99, 5000, 100)))

    def test_select_by_name_and_from_a_file(self):
        (self.folder / "list").write_text("Battery:5  # five a second\n102\n")
        log = "".join(self.log()).encode()
        messages = self.run_tool("fc-encode", "--dbc", self.database, "--select", f"@{self.folder / 'list'}", stdin=log).stdout
        lines = self.run_tool("fc-decode", "--to", "candump", stdin=messages).stdout.decode().splitlines()
        kept = [line.split()[2].split("#")[0] for line in lines]
        sent = [line.split()[2].split("#")[0] for line in log.decode().splitlines()]
        self.assertEqual(set(kept), {"00000200", "102"})
        self.assertEqual(kept.count("102"), sent.count("102"))
        self.assertEqual(kept.count("00000200"), 4 * 5)

    @unittest.skipUnless(shutil.which("log2asc"), "can-utils are not installed")
    def test_asc_log_equals_the_log_it_was_made_from(self):
        log = self.folder / "car.log"
        log.write_text("".join(line for line in canlog.lines(3000) if "##" not in line))
        asc = self.run_tool(shutil.which("log2asc"), "-I", log, "can0", "can1").stdout

        def frames(stdin, *arguments):
            """Interface and frame of each line, and its time since the first in microseconds."""
            messages = self.run_tool("fc-encode", *arguments, stdin=stdin).stdout
            lines = self.run_tool("fc-decode", "--to", "candump", stdin=messages).stdout.decode().splitlines()
            times = [int(line[1:18].replace(".", "")) for line in lines]
            return [line.split()[1:] for line in lines], [time - times[0] for time in times]

        expected, expected_times = frames(log.read_bytes())
        got, times = frames(asc)
        self.assertTrue(got == expected)
        # Both are cut to milliseconds, from starts that differ by less than one.
        self.assertLessEqual(max(abs(a - b) for a, b in zip(times, expected_times)), 1000)

    def test_faults_of_a_database_are_named_and_the_rest_is_used(self):
        self.database.write_text('BO_ 256 Engine: 8 ECU\n SG_ x : 4294967295|64@1+ (1,0) [0|0] "" GW\n SG_ Good : 0|8@1+ (1,0) [0|0] "" GW\n')
        result = self.run_tool("fc-decode", "--dbc", self.database, stdin=b"(1700000000.0) can0 100#07\n")
        self.assertIn(b'"signals":{"Good":7}', result.stdout)
        self.assertTrue(result.stderr.decode().startswith(f"fc-decode: {self.database}:2: SG_ x: "), result.stderr)
        strict = self.run_tool("fc-decode", "--strict-dbc", "--dbc", self.database, status=65)
        self.assertIn(f"{self.database}:2: ".encode(), strict.stderr)
        missing = self.run_tool("fc-decode", "--dbc", self.folder / "none.dbc", status=66)
        self.assertIn(b"No such file", missing.stderr)

    def test_two_definitions_are_named_and_the_first_holds(self):
        other = self.folder / "other.dbc"
        other.write_text('BO_ 256 Motor: 8 ECU\n SG_ Rpm : 0|8@1+ (1,0) [0|0] "" GW\n')
        frame = b"(1700000000.0) can0 100#0700000000000000\n(1700000000.0) can1 100#0700000000000000\n"
        both = self.run_tool("fc-decode", "--dbc", self.database, "--dbc", other, stdin=frame)
        self.assertEqual(both.stderr, b"fc-decode: identifier 0x100 is Engine and Motor; the first holds\n")
        self.assertEqual([json.loads(line)["message"] for line in both.stdout.splitlines()], ["Engine", "Engine"])
        apart = self.run_tool("fc-decode", "--dbc", f"can1={other}", "--dbc", f"0={self.database}", stdin=frame)
        self.assertEqual([json.loads(line)["message"] for line in apart.stdout.splitlines()], ["Engine", "Motor"])
        self.assertEqual(apart.stderr, b"")

    def test_hostile_databases_end_in_time(self):
        for text in (b'CM_ "never closed ' + b"x" * 1_000_000, b"SG_ " * 300_000, b"BO_ 1 A: 8 B\n" * 100_000,
                     b"\0" * 1_000_000, b"VAL_ 1 x " + b'1 "a" ' * 200_000, b'BO_ 1 A: 8 B\n SG_ ' + b"n" * 5_000_000):
            self.database.write_bytes(text)
            result = self.run_tool("fc-decode", "--dbc", self.database, "--list")
            self.assertLess(len(result.stderr.splitlines()), 30)


if __name__ == "__main__":
    unittest.main()
