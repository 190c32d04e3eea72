# SPDX-License-Identifier: MIT
"""The generated documents of the repository: completions/ and the marked part of each page in man/.

With --write they are brought in step with the built tools (./run docs)."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools import SOURCE, TOOLS, generated

BEGIN = '.\\" BEGIN GENERATED OPTIONS\n'
END = '.\\" END GENERATED OPTIONS\n'


def spliced(page, options):
    """The text of a page with `options` between its marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("no marks of the generated part")
    return before + begin + options + end + after


def completion_paths(tool):
    return {"bash": f"completions/bash/{tool}", "zsh": f"completions/zsh/_{tool}", "fish": f"completions/fish/{tool}.fish"}


def expected():
    """The generated documents as they must be: path -> text."""
    texts = {}
    for tool in TOOLS:
        page = f"man/{tool}.1"
        texts[page] = spliced((SOURCE / page).read_text(), generated(tool, "man"))
        texts.update({path: generated(tool, shell) for shell, path in completion_paths(tool).items()})
    return texts


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: docs.py --write")
    for path, text in expected().items():
        target = SOURCE / path
        if not target.exists() or target.read_text() != text:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
            print(path)
