# SPDX-License-Identifier: MIT
"""./run says what it can do, and refuses the rest before it does anything."""

import re
import unittest

from tools import SOURCE, run


class Run(unittest.TestCase):
    def test_help_lists_every_command_and_argument(self):
        result = run(SOURCE / "run", "help")
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        script, text = (SOURCE / "run").read_text(), result.stdout.decode()
        commands = re.findall(r"^run_(\w+)\(\)", script, re.MULTILINE)
        self.assertEqual(re.findall(r"^  (\w+) ", text, re.MULTILINE), commands)
        for argument in re.findall(r"^ +(-[-\w]+)\)", script, re.MULTILINE):
            self.assertRegex(text, rf"{argument}\b")

    def test_what_it_does_not_know_is_usage(self):
        for words, said in (((), b"Usage: ./run "), (("tests",), b"Usage: ./run "), (("test", "--fast"), b"run: test: --fast: unknown argument\n")):
            result = run(SOURCE / "run", *words)
            self.assertEqual((result.returncode, result.stdout), (64, b""))
            self.assertTrue(result.stderr.startswith(said), result.stderr)


if __name__ == "__main__":
    unittest.main()
