# SPDX-License-Identifier: MIT
"""Command lines and exactly what they print: the cases in the .cli files of this folder.

    Text like this says what a case shows.

    $ fc-decode --to csv log | head -n 1
    > ; a long command goes on like this
    file log:
    | one line of a file in the scratch folder
    stdin:
    | one line of standard input
    . the last line, without a line feed
    stdout:
    | one line
    stderr:
    | fc-decode: one line
    status: 65

A case is run by bash with pipefail, in a scratch folder of its own. What is not stated must not be: status 0,
nothing on either stream. Files before the first command of a .cli file are there in all its cases. Bytes that are
not UTF-8 are shown as \\xNN. With FIELDPIPE_UPDATE=1 (./run test --update) the outcome is written into the files.
"""

import os
import re
import subprocess
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools import SOURCE, TIMEOUT, TOOLS, environment

SECTION = re.compile(r"(stdin|stdout|stderr|file \S+):")


class Case:
    """One command with its inputs and what is expected of it; `lines` are those of the .cli file."""

    def __init__(self, number):
        self.number = number
        self.lines = []
        self.command = ""
        self.sections = {"stdin": "", "stdout": "", "stderr": ""}
        self.status = 0

    def outcome(self, shared):
        """Runs the command: (stdout, stderr, status)."""
        with tempfile.TemporaryDirectory() as scratch:
            for name, text in {**shared, **self.sections}.items():
                if name.startswith("file "):
                    Path(scratch, name.removeprefix("file ")).write_text(text)
            result = subprocess.run(["bash", "-o", "pipefail", "-c", self.command], cwd=scratch, env=environment(),
                                    input=self.sections["stdin"].encode(), capture_output=True, timeout=TIMEOUT)
        return *(stream.decode("utf-8", "backslashreplace") for stream in (result.stdout, result.stderr)), result.returncode

    def expected(self):
        return self.sections["stdout"], self.sections["stderr"], self.status


def parse(text):
    """The lines before the first case, its shared files, and the cases of a .cli file."""
    head, cases = Case(0), []
    case, section, closed = head, None, False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("$ "):
            case, section = Case(number), None
            case.command = line[2:]
            cases.append(case)
        elif line.startswith("> ") and case is not head and section is None:
            case.command += "\n" + line[2:]
        elif SECTION.fullmatch(line):
            section, closed = line[:-1], False
            if section in case.sections and (section.startswith("file ") or f"{section}:" in case.lines):
                raise ValueError(f"line {number}: a second {section}")
            case.sections[section] = ""
        elif line.startswith("status: "):
            case.status, section = int(line.removeprefix("status: ")), None
        elif line == "|" or line.startswith(("| ", ". ")):
            if section is None or closed:
                raise ValueError(f"line {number}: text that belongs to no section")
            closed = line.startswith(".")
            case.sections[section] += line[2:] + ("" if closed else "\n")
        case.lines.append(line)
    return head.lines, {name: content for name, content in head.sections.items() if name.startswith("file ")}, cases


def printed(name, text):
    lines = [f"{name}:"] if text else []
    for line in text.splitlines(keepends=True) if "\r" not in text else re.findall(r"[^\n]*\n|[^\n]+", text):
        lines.append(f"| {line[:-1]}".rstrip(" ") if line == "\n" else f"| {line[:-1]}" if line.endswith("\n") else f". {line}")
    return lines


def updated(case, stdout, stderr, status):
    """The lines of a case with this outcome."""
    kept, output = [], False
    for line in case.lines:
        if SECTION.fullmatch(line) or line.startswith("status: "):
            output = line in ("stdout:", "stderr:") or line.startswith("status: ")
        elif not (line == "|" or line.startswith(("| ", ". "))):
            output = False
        if not output:
            kept.append(line)
    # What follows the case's own lines is the text of the next one.
    own = max(index for index, line in enumerate(kept) if re.match(r"[$>|.] |\||(stdin|file \S+):", line)) + 1
    outcome = printed("stdout", stdout) + printed("stderr", stderr) + ([f"status: {status}"] if status else [])
    return kept[:own] + outcome + kept[own:]


class Golden(unittest.TestCase):
    maxDiff = None

    def test_cases(self):
        paths = sorted((SOURCE / "tests/cli").glob("*.cli"))
        self.assertTrue(paths)
        for path in paths:
            head, shared, cases = parse(path.read_text())
            with ThreadPoolExecutor() as pool:
                outcomes = list(pool.map(lambda case: case.outcome(shared), cases))
            if os.environ.get("FIELDPIPE_UPDATE"):
                lines = [line for case, outcome in zip(cases, outcomes) for line in updated(case, *outcome)]
                path.write_text("".join(f"{line}\n" for line in head + lines))
                continue
            for case, outcome in zip(cases, outcomes):
                with self.subTest(f"{path.name}:{case.number}"):
                    for name, wanted, actual in zip(("stdout", "stderr", "status"), case.expected(), outcome):
                        self.assertEqual(wanted, actual, f"{name} of\n{case.command}\n{outcome[1]}")

    def test_every_tool_has_cases(self):
        commands = "".join(path.read_text() for path in (SOURCE / "tests/cli").glob("*.cli"))
        for tool in TOOLS:
            self.assertTrue(re.search(rf"(?m)^\$ .*\b{tool}\b", commands), tool)


class Harness(unittest.TestCase):
    TEXT = ("Shared.\nfile a:\n| one\n| \n|\n. two\n\n$ cat a -; echo bad >&2\n> exit 3\nstdin:\n| three\nstdout:\n| wrong\n"
            "status: 4\n\nText of the next.\n\n$ printf 'x\\377\\n\\n'\n")
    UPDATED = ("Shared.\nfile a:\n| one\n| \n|\n. two\n\n$ cat a -; echo bad >&2\n> exit 3\nstdin:\n| three\nstdout:\n"
               "| one\n|\n|\n| twothree\nstderr:\n| bad\nstatus: 3\n\nText of the next.\n\n$ printf 'x\\377\\n\\n'\nstdout:\n| x\\xff\n|\n")

    def test_a_wrong_expectation_is_found_and_can_be_updated(self):
        head, shared, cases = parse(self.TEXT)
        outcomes = [case.outcome(shared) for case in cases]
        self.assertEqual(outcomes, [("one\n\n\ntwothree\n", "bad\n", 3), ("x\\xff\n\n", "", 0)])
        self.assertEqual([case.expected() for case in cases], [("wrong\n", "", 4), ("", "", 0)])
        lines = [line for case, outcome in zip(cases, outcomes) for line in updated(case, *outcome)]
        text = "".join(f"{line}\n" for line in head + lines)
        self.assertEqual(text, self.UPDATED)
        _, shared, cases = parse(text)
        self.assertEqual([case.expected() for case in cases], [case.outcome(shared) for case in cases])

    def test_text_without_a_section_is_refused(self):
        for text in ("$ true\n| text\n", "| text\n", "$ true\nstdout:\n. a\n| b\n", "$ true\nstdin:\nstdin:\n"):
            with self.assertRaises(ValueError):
                parse(text)


if __name__ == "__main__":
    unittest.main()
