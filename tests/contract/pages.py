# SPDX-License-Identifier: MIT
"""The pages of man/ as their sources have them and as a reader sees them."""

import re
import subprocess


def unescaped(text):
    """A line of mdoc without its escapes."""
    return text.replace("\\(dq", '"').replace("\\e", "\\").replace("\\&", "").replace("\\-", "-")


def displays(page):
    """What stands by itself: each .Dl line, and each .Bd -literal block as one."""
    found = re.findall(r"^\.Dl ([^\n]+)$|^\.Bd -literal[^\n]*\n(.*?)^\.Ed$", page, re.MULTILINE | re.DOTALL)
    return [unescaped(line or block) for line, block in found]


def examples(page):
    """The commands below EXAMPLES, those that go on in further lines as one line."""
    section = re.search(r"^\.Sh EXAMPLES\n(.*?)(?=^\.Sh )", page, re.MULTILINE | re.DOTALL).group(1)
    return [re.sub(r"\\\n *|(?<=\|)\n *", " ", command) for command in displays(section)]


def literals(page):
    """What stands literally in a line of text, as far as it is more than a word."""
    found = re.findall(r"^\.(?:Li|Ql) (.*?)(?: [.,:;)]+)*$", page, re.MULTILINE)
    return [unescaped(text) for text in found if " Ns " not in text]


def rendered(path, width):
    """The text of a page in columns of this width, without bold and underlining."""
    result = subprocess.run(["mandoc", "-T", "utf8", "-O", f"width={width}", path], check=True, capture_output=True, text=True)
    return re.sub(".\b", "", result.stdout)
