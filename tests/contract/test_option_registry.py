# SPDX-License-Identifier: MIT
"""One long option has one letter, one kind of value and one meaning in all tools: options.txt says which."""

import re
import unittest

from tools import SOURCE, TOOLS, options

ROW = re.compile(r"(?:\[([^\]]+)\] )?(--[a-z][a-z0-9-]*) +(\.|-\w) +(\S+) +(\S.*)")
# A secret is never an option value: what is named like one takes a file, or is a flag.
SECRET = re.compile(r"password|token|secret|key$")


def read_registry(text):
    """Rows of options.txt: {(name, tool): (letter, value)}, with None for all tools without a row of their own."""
    rows = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        row = ROW.fullmatch(line)
        if row is None:
            raise ValueError(f"options.txt: line {number}: not a row")
        users, name, letter, value, _ = row.groups()
        for user in users.split() if users else [None]:
            if (name, user) in rows:
                raise ValueError(f"options.txt: line {number}: {name} has its row already")
            rows[name, user] = tuple("" if word == "." else word.replace("_", " ") for word in (letter, value))
    return rows


def differences(registry, tables):
    """What the registry and the tools' tables ({tool: {name: (letter, value, help)}}) disagree about, one line each."""
    found, used = [], set()
    for tool, table in tables.items():
        for name, (letter, value, _) in table.items():
            row = (name, tool) if (name, tool) in registry else (name, None)
            used.add(row)
            if row not in registry:
                found.append(f"{tool} {name} is not in options.txt")
            elif registry[row] != (letter, value):
                found.append(f"{tool} {name} is {(letter, value)}, options.txt has {registry[row]}")
            if SECRET.search(name) and value not in ("", "FILE"):
                found.append(f"{tool} {name} takes {value}: a secret as an option value")
        letters = [letter for letter, _, _ in table.values() if letter]
        found += [f"{tool} has two options {letter}" for letter in sorted(set(letters)) if letters.count(letter) > 1]
    return found + [f"options.txt has a row for {name} of {tool or 'all tools'}, which is not used"
                    for name, tool in registry.keys() - used]


class OptionRegistry(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.registry = read_registry((SOURCE / "tests/contract/options.txt").read_text())
        cls.tables = {tool: options(tool) for tool in TOOLS}

    def test_tools_and_registry_agree(self):
        self.assertEqual(differences(self.registry, self.tables), [])

    def test_help_ends_without_a_period(self):
        for tool, table in self.tables.items():
            for name, (_, _, text) in table.items():
                self.assertRegex(text, r"([^.]|\.\.\.)$", f"{tool} {name}")

    def test_each_disagreement_is_found(self):
        tool = TOOLS[0]
        for change, expected in {
            (("--novel", ("", "", "new")),): f"{tool} --novel is not in options.txt",
            (("--quiet", ("", "HOW", "quiet")),): f"{tool} --quiet is ('', 'HOW'), options.txt has ('', '')",
            (("--stop-timeout", ("-h", "TIME", "x")),): f"{tool} has two options -h",
            (("--token-file", ("", "TEXT", "x")),): f"{tool} --token-file takes TEXT: a secret as an option value",
        }.items():
            tables = {**self.tables, tool: {**self.tables[tool], **dict(change)}}
            self.assertIn(expected, differences(self.registry, tables))
        self.assertEqual(differences({**self.registry, ("--gone", None): ("", "")}, self.tables),
                         ["options.txt has a row for --gone of all tools, which is not used"])
        with self.assertRaisesRegex(ValueError, "line 2: --quiet has its row already"):
            read_registry("--quiet . . a\n--quiet . . b\n")
        with self.assertRaisesRegex(ValueError, "line 1: not a row"):
            read_registry("--quiet\n")


if __name__ == "__main__":
    unittest.main()
