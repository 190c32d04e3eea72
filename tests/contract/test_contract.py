# SPDX-License-Identifier: MIT
"""What a user of one tool may expect of all: help, version, refusals, streams, signals, levels of settings."""

import array
import fcntl
import os
import pty
import select
import signal
import socket
import subprocess
import tempfile
import termios
import unittest
from pathlib import Path

from tools import BIN, TIMEOUT, TOOLS, VERSION, environment, run

FRAME = b"(1700000000.123456) can0 123#1122334455667788\n"
MESSAGE = (b'{"device_id":"d","token":"t","tags":[],"points":[{"timestamp":1,"tags":[],'
           b'"fields":[{"name":"a","value":1}]}]}\n')
CHUNK = b"0802a6020203010a6a73656e736f722d687562096b312e342e322b673366326106646476743204a30602021a08012345031a08000ff18a04\n"
# Filters: arguments with which each record of stdin goes out at once, one such record, and whether
# what goes out is binary. A new tool must be here or among the clients.
FILTERS = {
    "fc-encode": (["--quiet", "--max-frames", "1"], FRAME, True),
    "fc-decode": (["--quiet"], MESSAGE, False),
    "mflt-decode": ([], CHUNK, False),
}
# Clients of a broker: arguments with which they work for ever, {} being the broker's port.
CLIENTS = {
    "mqtt-pub": ["-h", "127.0.0.1", "-p", "{}", "-t", "t", "-l"],
    "mqtt-sub": ["-h", "127.0.0.1", "-p", "{}", "-t", "t"],
}
# Tools whose streams and signals have tests of their own in tests/integration.
OTHERS = ["fieldpipe-spool", "mflt-ota", "mflt-relay", "smp-sim", "uplink-send", "uplink-serve"]
# Of these, the ones that do not talk to a network.
LOCAL = ["fieldpipe-spool"]
# Tools whose --config names a file with keys that are not their options.
OWN_CONFIGURATION = ["uplink-serve"]
# Clients of a device: the same, with operands of their own.
DEVICES = {
    "smp-query": ["-c", "tcp:127.0.0.1:{}", "echo", "text", "--timeout", "1h"],
}


def variable(tool, option):
    return f"{tool}_{option}".upper().replace("-", "_")


class Contract(unittest.TestCase):
    def outcome(self, result, status, stdout=None, *stderr):
        """Asserts the status, stdout if given, and that stderr has one line for each of these texts, holding it."""
        message = f"{result.args}: stderr: {result.stderr!r}"
        self.assertEqual(result.returncode, status, message)
        if stdout is not None:
            self.assertEqual(result.stdout, stdout, message)
        lines = result.stderr.decode().splitlines()
        self.assertEqual(len(lines), len(stderr), message)
        for line, text in zip(lines, stderr):
            self.assertIn(text, line)
            self.assertTrue(line.startswith(Path(result.args[0]).name + ": "), message)


class AllTools(Contract):
    """Takes its tools from the class, so that the tests below can be run over a tool that breaks the contract."""

    tools = TOOLS

    def each(self):
        return [(tool, Path(tool).name) for tool in self.tools]

    def test_help(self):
        for tool, name in self.each():
            # The clients' -h is the broker's host, as mosquitto's clients have it.
            for spelling in ("--help",) if name in CLIENTS else ("--help", "-h"):
                result = run(tool, spelling)
                self.outcome(result, 0)
                text = result.stdout.decode()
                self.assertTrue(text.startswith(f"Usage: {name} "), text)
                self.assertLessEqual(max(map(len, text.splitlines())), 80)
                self.assertIn(f"See {name}(1)", text)

    def test_version(self):
        for tool, name in self.each():
            self.outcome(run(tool, "--version"), 0, f"{name} (fieldpipe) {VERSION}\n".encode())

    def test_an_unknown_option_is_named_and_nothing_else_happens(self):
        for tool, _ in self.each():
            self.outcome(run(tool, "--hepl"), 64, b"", "--hepl: unknown option", "hint: did you mean --help?")
            self.outcome(run(tool, "--xyzzy=1"), 64, b"", "--xyzzy: unknown option", "hint: ")

    def test_an_option_without_its_value(self):
        for tool, _ in self.each():
            self.outcome(run(tool, "--config"), 64, b"", "--config: needs a value: FILE")

    def test_an_abbreviation_is_no_option(self):
        for tool, _ in self.each():
            self.outcome(run(tool, "--verb"), 64, b"", "--verb: unknown option", "hint: ")

    def test_a_full_disk(self):
        for tool, _ in self.each():
            with open("/dev/full", "wb") as full:
                self.outcome(run(tool, "--help", stdout=full), 74, None, "stdout: No space left on device")

    def test_a_closed_stdout(self):
        for tool, _ in self.each():
            result = run("/bin/sh", "-c", 'exec "$0" --version >&-', BIN / tool)
            self.assertEqual((result.returncode, result.stderr),
                             (74, f"{Path(tool).name}: stdout: Bad file descriptor\n".encode()))

    def test_a_reader_that_has_gone(self):
        for tool, _ in self.each():
            reader, writer = os.pipe()
            os.close(reader)
            self.outcome(run(tool, "--help", stdout=writer), -signal.SIGPIPE)
            os.close(writer)

    def test_an_empty_environment(self):
        for tool, name in self.each():
            self.outcome(run(tool, "--version", env={"PATH": "/"}), 0, f"{name} (fieldpipe) {VERSION}\n".encode())


class Settings(Contract):
    """Command line over environment over file: shown by which of several wrong values is complained about."""

    tools = [tool for tool in TOOLS if tool not in OWN_CONFIGURATION]

    def refused(self, tool, config, changes, arguments, status, text):
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch, "wrong.toml")
            path.write_text(config)
            result = run(tool, "--config", path, *arguments, env=environment(**changes))
        self.assertEqual(result.returncode, status, result.stderr)
        self.assertIn(text, result.stderr.decode().splitlines()[0])
        self.assertEqual(result.stdout, b"")

    def test_the_strongest_level_speaks(self):
        config = 'quiet = "perhaps"\nverbose = "maybe"\n'
        for tool in self.tools:
            with self.subTest(tool=tool):
                quiet = variable(tool, "quiet")
                self.refused(tool, config, {}, [], 78, "wrong.toml: line 1: quiet: 'perhaps' is neither true nor false")
                self.refused(tool, config, {quiet: "so-so"}, [], 78, f"{quiet}: 'so-so' is neither")
                self.refused(tool, config, {quiet: "yes"}, [], 78, "wrong.toml: line 2: verbose: 'maybe'")
                self.refused(tool, config, {quiet: "so-so"}, ["--quiet=false"], 78, "wrong.toml: line 2: verbose: 'maybe'")
                self.refused(tool, config, {}, ["--quiet=hardly"], 64, "--quiet: 'hardly' is neither true nor false")

    def test_an_unknown_key(self):
        for tool in self.tools:
            self.refused(tool, "quite = true\n", {}, [], 78, "wrong.toml: line 1: quite: unknown key")

    def test_a_configuration_that_cannot_be_read(self):
        for tool in self.tools:
            result = run(tool, "--config", "/nonexistent/file.toml")
            self.outcome(result, 78, b"", "/nonexistent/file.toml: ")

    def test_only_clients_read_an_implicit_file(self):
        with tempfile.TemporaryDirectory() as home:
            for tool in self.tools:
                path = Path(home, f".config/fieldpipe/{tool}.toml")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("quite = true\n")
                for place in ({"HOME": home}, {"XDG_CONFIG_HOME": f"{home}/.config"}):
                    result = run(tool, *FILTERS[tool][0] if tool in FILTERS else "", env=environment(**place))
                    if tool in FILTERS:
                        self.outcome(result, 0, b"")
                    elif tool in LOCAL:
                        self.assertNotIn(str(path).encode(), result.stderr)
                    else:
                        self.outcome(result, 78, b"", f"{path}: line 1: quite: unknown key", "hint: ")

    def test_secrets_are_no_option_values(self):
        for tool in TOOLS:
            for name in ("--password", "--pw", "--token", "--project-key"):
                result = run(tool, name, "hunter2")
                self.assertEqual((result.returncode, result.stdout), (64, b""))
                self.assertNotIn(b"hunter2", result.stderr)
        for tool in CLIENTS:
            for arguments in (["-P", "hunter2"], ["-L", "mqtt://me:hunter2@127.0.0.1/t"], ["--broker", "mqtt://me:hunter2@127.0.0.1"]):
                result = run(tool, *arguments)
                self.assertEqual((result.returncode, result.stdout), (64, b""), arguments)
                self.assertNotIn(b"hunter2", result.stderr)
                self.assertIn(b"hint: ", result.stderr)


class Filters(Contract):
    def each(self):
        return [(tool, *row) for tool, row in FILTERS.items()]

    def start(self, tool, arguments, **options):
        options.setdefault("stdin", subprocess.PIPE)
        options.setdefault("stdout", subprocess.PIPE)
        process = subprocess.Popen([BIN / tool, *arguments], stderr=subprocess.PIPE, env=environment(), **options)
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        return process

    def idle(self, tool, arguments, record):
        """A filter that has written out what came of one record, and waits for the next."""
        process = self.start(tool, arguments)
        process.stdin.write(record)
        process.stdin.flush()
        self.assertTrue(os.read(process.stdout.fileno(), 65536))
        return process

    def test_every_tool_is_known_here(self):
        self.assertEqual(sorted([*FILTERS, *CLIENTS, *DEVICES, *OTHERS]), sorted(TOOLS))

    def test_operands(self):
        with tempfile.TemporaryDirectory() as scratch:
            for tool, arguments, record, _ in self.each():
                Path(scratch, "-file").write_bytes(record)
                alone = run(tool, *arguments, stdin=record)
                self.outcome(alone, 0)
                self.outcome(run(tool, *arguments, "-", stdin=record), 0, alone.stdout)
                self.outcome(run(tool, *arguments, "--", "-file", cwd=scratch), 0, alone.stdout)
                self.outcome(run(tool, *arguments, "--", "-other", cwd=scratch), 66, b"", "-other: No such file or directory")
                self.outcome(run(tool, *arguments, stdin=b""), 0, b"")

    def test_output_to_a_file_that_appears_whole(self):
        with tempfile.TemporaryDirectory() as scratch:
            for tool, arguments, record, _ in self.each():
                path = Path(scratch, tool)
                expected = run(tool, *arguments, stdin=record).stdout
                self.outcome(run(tool, *arguments, "-o", path, stdin=record), 0, b"")
                self.assertEqual(path.read_bytes(), expected)
                self.outcome(run(tool, *arguments, "-o", "/nonexistent/file", stdin=record), 74, b"", "/nonexistent/file: ")
            self.assertEqual(sorted(os.listdir(scratch)), sorted(FILTERS))

    def test_a_full_disk(self):
        for tool, arguments, record, _ in self.each():
            with open("/dev/full", "wb") as full:
                result = run(tool, *arguments, stdin=record * 20000, stdout=full)
                self.assertEqual((result.returncode, result.stderr), (74, f"{tool}: stdout: No space left on device\n".encode()))

    def test_closed_standard_streams(self):
        for tool, arguments, record, _ in self.each():
            for closed in ("<&-", ">&-"):
                result = run("/bin/sh", "-c", f'exec "$0" "$@" {closed}', BIN / tool, *arguments, stdin=record)
                name = "stdin" if closed == "<&-" else "stdout"
                self.assertEqual((result.returncode, result.stderr), (74, f"{tool}: {name}: Bad file descriptor\n".encode()))
            result = run("/bin/sh", "-c", 'exec "$0" "$@" 2>&-', BIN / tool, *arguments, stdin=record)
            self.assertEqual(result.returncode, 0)

    def test_a_reader_that_has_gone(self):
        for tool, arguments, record, _ in self.each():
            reader, writer = os.pipe()
            os.close(reader)
            self.outcome(run(tool, *arguments, stdin=record * 3, stdout=writer), -signal.SIGPIPE)
            os.close(writer)

    def test_a_reader_that_goes_while_nothing_comes(self):
        for tool, arguments, record, _ in self.each():
            process = self.idle(tool, arguments, record)
            process.stdout.close()
            self.assertEqual(process.wait(TIMEOUT), -signal.SIGPIPE)

    def test_stop_signals(self):
        for tool, arguments, record, _ in self.each():
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                process = self.idle(tool, arguments, record)
                process.send_signal(number)
                self.assertEqual(process.wait(TIMEOUT), -number)
                self.assertEqual(process.stderr.read(), b"")

    def test_a_stop_signal_while_a_named_pipe_has_no_other_end(self):
        with tempfile.TemporaryDirectory() as scratch:
            pipe = Path(scratch, "pipe")
            os.mkfifo(pipe)
            for tool, arguments, record, _ in self.each():
                for more in ([pipe], ["-o", pipe]):
                    process = self.start(tool, [*arguments, *more], stdin=subprocess.DEVNULL)
                    self.waits(process)
                    process.send_signal(signal.SIGTERM)
                    self.assertEqual(process.wait(TIMEOUT), -signal.SIGTERM)

    def waits(self, process):
        """Waits until the process sleeps in a system call."""
        while Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "S":
            select.select([], [], [], 0.005)

    def test_a_stop_signal_while_the_reader_sleeps(self):
        for tool, arguments, record, _ in self.each():
            reader, writer = os.pipe()
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
            with tempfile.TemporaryFile() as source:
                source.write(record * 20000)
                source.seek(0)
                process = self.start(tool, [*arguments, "--stop-timeout", "10ms"], stdin=source, stdout=writer)
                os.close(writer)
                # The pipe is full, so the tool has started to write and cannot go on.
                self.fill(reader)
                process.send_signal(signal.SIGTERM)
                self.assertEqual(process.wait(TIMEOUT), -signal.SIGTERM)
            os.close(reader)

    def fill(self, reader):
        """Waits until as much is in the pipe as it takes."""
        count = array.array("i", [0])
        poll = select.poll()
        poll.register(reader, select.POLLIN)
        while count[0] < 4096:
            poll.poll(1)
            fcntl.ioctl(reader, termios.FIONREAD, count)

    def test_binary_is_refused_on_a_terminal(self):
        for tool, arguments, record, binary in self.each():
            master, slave = pty.openpty()
            result = run(tool, *arguments, stdin=record, stdout=slave)
            if binary:
                self.outcome(result, 64, None, "stdout is a terminal", "hint: ")
            else:
                self.outcome(result, 0)
            os.close(slave)
            os.close(master)

    def test_messages_say_where(self):
        for tool, arguments, _, _ in self.each():
            result = run(tool, *arguments, "/nonexistent/\x1b[31mfile")
            self.assertEqual(result.returncode, 66)
            self.assertNotIn(b"\x1b", result.stderr)


class Clients(Contract):
    def test_stop_signals_while_the_other_side_says_nothing(self):
        for tool, arguments in (CLIENTS | DEVICES).items():
            for number in (signal.SIGTERM, signal.SIGINT):
                with self.subTest(tool=tool, signal=number.name), socket.create_server(("127.0.0.1", 0)) as server:
                    server.settimeout(TIMEOUT)
                    process = subprocess.Popen(
                        [BIN / tool, *(argument.format(server.getsockname()[1]) for argument in arguments), "--stop-timeout", "10ms"],
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
                    connection, _ = server.accept()
                    process.send_signal(number)
                    try:
                        self.assertEqual(process.wait(TIMEOUT), -number)
                    finally:
                        process.kill()
                        process.communicate()
                        connection.close()

    def test_operands_are_refused(self):
        for tool in CLIENTS:
            self.outcome(run(tool, "operand"), 64, b"", "operand: unexpected operand", "hint: ")

    def test_binary_is_refused_on_a_terminal(self):
        master, slave = pty.openpty()
        result = run("mqtt-sub", "-t", "t", "-p", "1", "--to", "frames", stdout=slave)
        self.assertEqual(result.returncode, 64, result.stderr)
        self.assertIn(b"terminal", result.stderr)
        os.close(slave)
        os.close(master)


class TheContractCanFail(unittest.TestCase):
    """Each test over all tools fails for a tool that breaks its rule."""

    BROKEN = r"""#!/bin/sh
    trap '' PIPE
    case $1 in
      --help|-h) echo "Usage: something else"; echo noise >&2;;
      --version) echo "broken 1";;
      --generate) echo "--help	-h		help";;
      *) echo "Usage: broken [OPTION]..."; exit 1;;
    esac
    exit 0
    """

    def test_a_broken_tool(self):
        with tempfile.TemporaryDirectory() as scratch:
            broken = Path(scratch, "broken")
            broken.write_text(self.BROKEN)
            broken.chmod(0o755)
            tests = unittest.defaultTestLoader.getTestCaseNames(AllTools)
            for name in tests:
                test = AllTools(name)
                test.tools = [broken]
                result = unittest.TestResult()
                test.run(result)
                self.assertTrue(result.failures or result.errors, f"{name} passes for a broken tool")


if __name__ == "__main__":
    unittest.main()
