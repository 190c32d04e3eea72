# SPDX-License-Identifier: MIT
"""Pages, completions and tables say what the tools do."""

import os
import pty
import re
import shutil
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

from contract.docs import completion_paths, expected, spliced
from contract.pages import displays, literals, rendered
from tools import SOURCE, TOOLS, environment, options

SECTIONS = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "ENVIRONMENT", "FILES", "EXIT STATUS", "EXAMPLES", "SEE ALSO"]


def lint(page):
    result = subprocess.run(["mandoc", "-T", "lint", "-W", "style", page], capture_output=True, text=True)
    # Pages of other packages need not be here.
    return [line for line in result.stdout.splitlines() if "referenced manual not found" not in line]


def altered(path):
    """Of the displays and literals of a page those that a reader sees otherwise: without quotes, or broken."""
    source = path.read_text()
    lines = {line.strip() for line in rendered(path, 78).splitlines()}
    text = " ".join(rendered(path, 1000).split())
    return ([line for display in displays(source) for line in display.splitlines()
             if line.strip() not in lines and not line.startswith(".")] +
            [literal for literal in literals(source) if " ".join(literal.split()) not in text])


class Generated(unittest.TestCase):
    def test_committed_documents_are_those_the_tools_print(self):
        for path, text in expected().items():
            with self.subTest(path=path):
                self.assertEqual((SOURCE / path).read_text(), text, f"{path} is out of step: ./run docs")

    def test_nothing_is_left_of_tools_that_are_gone(self):
        files = {str(path.relative_to(SOURCE)) for folder in ("man", "completions")
                 for path in (SOURCE / folder).rglob("*") if path.is_file()}
        self.assertEqual(files, expected().keys() | {"man/fieldpipe.7"})

    def test_a_page_without_marks_is_refused(self):
        with self.assertRaisesRegex(ValueError, "no marks"):
            spliced(".Sh OPTIONS\n", ".Bl\n.El\n")


class Pages(unittest.TestCase):
    def pages(self):
        return sorted((SOURCE / "man").glob("*.[17]"))

    def test_mandoc_finds_nothing(self):
        for page in self.pages():
            with self.subTest(page=page.name):
                self.assertEqual(lint(page), [])

    def test_mandoc_would_find_something(self):
        with tempfile.TemporaryDirectory() as scratch:
            bad = Path(scratch, "bad.1")
            bad.write_text((SOURCE / f"man/{TOOLS[0]}.1").read_text().replace(".Sh NAME", ".Sh NAMES", 1))
            self.assertNotEqual(lint(bad), [])

    def test_pages_fit_a_terminal_of_80_columns(self):
        for page in self.pages():
            with self.subTest(page=page.name):
                self.assertEqual([line for line in rendered(page, 78).splitlines() if len(line) > 80], [])

    def test_what_stands_literally_is_shown_as_it_is(self):
        for page in self.pages():
            with self.subTest(page=page.name):
                self.assertEqual(altered(page), [])

    def test_what_a_macro_alters_is_found(self):
        with tempfile.TemporaryDirectory() as scratch:
            page = Path(scratch, "bad.1")
            page.write_text((SOURCE / "man/mflt-decode.1").read_text() +
                            '.Dl mflt-decode log | jq .\n.Dl mflt-decode' + " --quiet" * 9 + '\n.Li {"a": "b"} .\n')
            self.assertEqual(altered(page), ["mflt-decode log | jq .", "mflt-decode" + " --quiet" * 9, '{"a": "b"}'])

    def test_sections_come_in_the_order_of_mdoc(self):
        for tool in TOOLS:
            found = re.findall(r"^\.Sh (.+)$", (SOURCE / f"man/{tool}.1").read_text(), re.MULTILINE)
            with self.subTest(tool=tool):
                self.assertEqual([name for name in SECTIONS if name in found], [name for name in found if name in SECTIONS])
                for needed in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES", "SEE ALSO"):
                    self.assertIn(needed, found)

    def test_every_option_that_a_page_mentions_exists(self):
        for tool in TOOLS:
            text = (SOURCE / f"man/{tool}.1").read_text()
            mentioned = {f"-{name}" for name in re.findall(r"\bFl (-[a-z][a-z0-9-]*)", text)}
            known = set().union(*(options(other) for other in TOOLS))
            with self.subTest(tool=tool):
                self.assertEqual(mentioned - known, set())

    def test_readme_has_a_row_for_each_tool(self):
        readme = (SOURCE / "README.md").read_text()
        for tool in TOOLS:
            self.assertRegex(readme, rf"(?m)^\| `{tool}` \|")

    def test_changelog_names_each_tool(self):
        changelog = (SOURCE / "CHANGELOG.md").read_text()
        for tool in TOOLS:
            self.assertIn(f"`{tool}`", changelog)


class Bash(unittest.TestCase):
    """The completions as a real bash gives them."""

    SCRIPT = r"""
      source "$1"; shift
      compopt() { :; }                      # only works where readline called
      COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
      "_${1//-/_}"
      printf '%s\n' "${COMPREPLY[@]}"
    """

    def complete(self, tool, *words, cwd=None):
        result = subprocess.run(["bash", "--norc", "-c", self.SCRIPT, "bash", SOURCE / f"completions/bash/{tool}", tool, *words],
                                capture_output=True, text=True, env=environment(), cwd=cwd)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return [line for line in result.stdout.splitlines() if line]

    def test_option_names(self):
        for tool in TOOLS:
            self.assertEqual(sorted(self.complete(tool, "--")), sorted(options(tool)))
            self.assertEqual(self.complete(tool, "--verb"), ["--verbose"])
            self.assertEqual(self.complete(tool, "--no-such-thing"), [])

    def test_choices_in_both_spellings(self):
        tried = 0
        for tool in TOOLS:
            for name, choices in self.choices(tool).items():
                self.assertEqual(self.complete(tool, name, ""), choices)
                self.assertEqual(self.complete(tool, name, "="), choices)
                self.assertEqual(self.complete(tool, name, "=", choices[0][:1]), [c for c in choices if c.startswith(choices[0][:1])])
                tried += 1
        self.assertGreater(tried, 0)

    @staticmethod
    def choices(tool):
        text = (SOURCE / f"man/{tool}.1").read_text()
        found = re.findall(r"^\.It .*Fl (-\S+) Ar \S+\n(?:[^.].*\n)*?One of ([^.]+)\.$", text, re.MULTILINE)
        return {f"-{name}": re.split(r",\s+", words) for name, words in found}

    def test_files(self):
        with tempfile.TemporaryDirectory() as scratch:
            Path(scratch, "a file.toml").touch()
            Path(scratch, "another").touch()
            for tool in TOOLS:
                self.assertEqual(self.complete(tool, "--config", "a ", cwd=scratch), ["a file.toml"])
                self.assertEqual(sorted(self.complete(tool, "--config", "=", "a", cwd=scratch)), ["a file.toml", "another"])

    def test_files_of_one_kind(self):
        with tempfile.TemporaryDirectory() as scratch:
            for name in ("car.dbc", "car.log"):
                Path(scratch, name).touch()
            Path(scratch, "cars").mkdir()
            for tool in ("fc-encode", "fc-decode"):
                self.assertEqual(sorted(self.complete(tool, "--dbc", "ca", cwd=scratch)), ["car.dbc", "cars"])

    def test_operands(self):
        with tempfile.TemporaryDirectory() as scratch:
            Path(scratch, "input.log").touch()
            Path(scratch, "images").mkdir()
            for tool, start, expected in (("fc-decode", "i", ["images", "input.log"]),
                                          ("smp-query", "im", ["image", "images"]),
                                          ("fieldpipe-spool", "re", ["requeue"]),
                                          ("fieldpipe-spool", "i", ["images"]),
                                          ("uplink-send", "i", []),
                                          ("mqtt-sub", "i", [])):
                self.assertEqual(sorted(self.complete(tool, start, cwd=scratch)), expected, tool)

    def test_a_tab_typed_into_a_shell(self):
        tool = TOOLS[0]
        pid, terminal = pty.fork()
        if pid == 0:
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"],
                       environment(PS1="", TERM="dumb", INPUTRC="/dev/null", HISTFILE=None))
        try:
            os.write(terminal, f"source '{SOURCE}/completions/bash/{tool}'\n{tool} --verb\t--end".encode())
            seen = b""
            while b"--verbose --end" not in seen:
                seen += os.read(terminal, 4096)  # fails when the shell ends; ctest has a time limit
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(terminal)


class OtherShells(unittest.TestCase):
    @unittest.skipUnless(shutil.which("zsh"), "zsh is not installed")
    def test_zsh_accepts_the_scripts(self):
        for tool in TOOLS:
            subprocess.run(["zsh", "-n", SOURCE / f"completions/zsh/_{tool}"], check=True)

    @unittest.skipUnless(shutil.which("fish"), "fish is not installed")
    def test_fish_completes(self):
        for tool in TOOLS:
            script = SOURCE / f"completions/fish/{tool}.fish"
            with tempfile.TemporaryDirectory() as home:
                result = subprocess.run(["fish", "--no-config", "-c", f"source '{script}'; complete -C '{tool} --verb'"],
                                        capture_output=True, text=True, env=environment(HOME=home))
            self.assertEqual(result.stdout.split("\t")[0], "--verbose", result.stderr)


if __name__ == "__main__":
    unittest.main()
