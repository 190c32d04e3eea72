# SPDX-License-Identifier: MIT
"""The built tools, for all tests: where they are and how they are run."""

import os
import re
import subprocess
from pathlib import Path

SOURCE = Path(os.environ.get("FIELDPIPE_SOURCE", Path(__file__).resolve().parent.parent))
BIN = Path(os.environ.get("FIELDPIPE_BIN", SOURCE / "build/release/bin"))
BUILD = BIN.parent
TOOLS = (BUILD / "tools.txt").read_text().split()
VERSION = re.search(r"project\(fieldpipe VERSION (\S+)", (SOURCE / "CMakeLists.txt").read_text()).group(1)

# Long enough for a loaded machine and the sanitizers; a test never waits for it unless it fails.
TIMEOUT = 60


def environment(**changes):
    """An environment without the user's own settings; a value of None removes a variable."""
    variables = {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": "/dev/null", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    variables.update({name: os.environ[name] for name in ("TMPDIR", "ASAN_OPTIONS", "UBSAN_OPTIONS") if name in os.environ})
    variables.update(changes)
    return {name: value for name, value in variables.items() if value is not None}


def run(*command, stdin=b"", env=None, **options):
    """Runs a tool (a name, or a path) to its end: returncode, stdout and stderr as bytes, signals as -N."""
    if isinstance(stdin, bytes):
        options["input"] = stdin
    else:
        options["stdin"] = stdin
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    program = command[0] if "/" in str(command[0]) else BIN / command[0]
    return subprocess.run([program, *command[1:]], env=env or environment(), timeout=TIMEOUT, **options)


def generated(tool, kind):
    """A document that a tool prints about itself: man, bash, zsh, fish or options."""
    result = run(tool, "--generate", kind)
    if result.returncode or result.stderr:
        raise AssertionError(f"{tool} --generate {kind}: status {result.returncode}: {result.stderr.decode()}")
    return result.stdout.decode()


def options(tool):
    """The option table of a tool: long name -> (letter, value name, help)."""
    rows = (line.split("\t") for line in generated(tool, "options").splitlines())
    return {row[0]: tuple(row[1:]) for row in rows}
