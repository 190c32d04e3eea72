# SPDX-License-Identifier: MIT
"""Folders of lib/ include only what lib/README.md lets them."""

import re
import shutil
import tempfile
import unittest
from pathlib import Path

from tools import SOURCE

ROW = re.compile(r"^\| `(\w+)` \| \d (\w+) \|([^|]*)\|([^|]*)\|[^|]+\|$", re.MULTILINE)
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)
ANYWHERE = re.compile(r"[a-z_]+|fmt/\w+\.h|(sys|net|netinet|arpa|linux)/[\w/]+\.h|"
                      r"(dirent|errno|fcntl|grp|limits|netdb|poll|pthread|pty|pwd|signal|stdlib|termios|time|unistd)\.h")
REFUSED = {"util", "utils", "common", "helpers", "misc", "include", "detail"}


def sources(folder):
    return sorted(path for pattern in ("*.h", "*.cpp") for path in folder.rglob(pattern))


def breaches(root):
    """What is wrong with the tree `root`, one line each."""
    table = {name: (floor, words.split(), re.findall(r"`([^`]+)`", headers))
             for name, floor, words, headers in ROW.findall((root / "lib/README.md").read_text())}
    floors = {floor for floor, _, _ in table.values()}
    folders = {path.name for path in (root / "lib").iterdir() if path.is_dir() and sources(path)}
    found = [f"lib/{name}/ has no row in lib/README.md" for name in sorted(folders - table.keys())]
    found += [f"lib/README.md has a row for lib/{name}/, which does not exist" for name in sorted(table.keys() - folders)]
    found += [f"{path.relative_to(root)}/ is no subject" for path in root.glob("lib/**/") if path.name in REFUSED]
    for name, (_, words, _) in table.items():
        found += [f"lib/README.md: {name} may include {word}, which is neither folder nor floor"
                  for word in words if word not in table and word not in floors]

    def may(name, other, is_options):
        floor, words, _ = table[name]
        return other == name or other in words or table[other][0] in words or (is_options and table[other][0] == "process")

    first_user = {}
    for path in sources(root / "lib") + sources(root / "tools"):
        where = path.relative_to(root)
        name = path.parent.name if where.parts[0] == "lib" else None
        if name is not None and name not in table:
            continue
        is_options = name is not None and path.stem == "options"
        for ours, theirs in INCLUDE.findall(path.read_text()):
            if ours:
                other = ours.split("/")[0]
                if not any((root / "lib" / file).exists() for file in (ours, f"{ours}.in")):
                    found.append(f"{where} includes {ours}, which is not below lib/")
                elif name is None:
                    continue
                elif not may(name, other, is_options):
                    found.append(f"{where} includes lib/{ours}: {name} may not include {other}")
                elif ours.endswith("/options.h") and other != name and "adapters" not in table[name][1]:
                    found.append(f"{where} includes lib/{ours}: the options of another folder")
                elif ours.endswith("/options.h") and other == name and not is_options and table[name][0] in ("core", "formats", "domains"):
                    found.append(f"{where} includes lib/{ours}: {name} stands below its options")
            elif not ANYWHERE.fullmatch(theirs):
                user = first_user.setdefault(theirs, path)
                if name is None or theirs not in table[name][2]:
                    found.append(f"{where} includes <{theirs}>, which lib/README.md does not give to it")
                if user.parent != path.parent:
                    found.append(f"{where} includes <{theirs}>, and so does {user.relative_to(root)}")
    return found


class Floors(unittest.TestCase):
    def test_the_tree_keeps_to_the_floors(self):
        self.assertEqual(breaches(SOURCE), [])

    def test_breaches_are_named_with_both_files(self):
        cases = {
            ("lib/core/bad.cpp", '#include "json/reader.h"'): "lib/core/bad.cpp includes lib/json/reader.h: core may not include json",
            ("lib/can/bad.h", '#include "flexconnect/binary.h"'): "lib/can/bad.h includes lib/flexconnect/binary.h: can may not include flexconnect",
            ("lib/mqtt/bad.cpp", '#include "can/frame.h"'): "lib/mqtt/bad.cpp includes lib/can/frame.h: mqtt may not include can",
            ("lib/publisher/bad.cpp", '#include "subscriber/subscriber.h"'): "lib/publisher/bad.cpp includes lib/subscriber/subscriber.h: publisher may not include subscriber",
            ("lib/record/bad.cpp", '#include "cli/report.h"'): "lib/record/bad.cpp includes lib/cli/report.h: record may not include cli",
            ("lib/record/bad.h", '#include "record/options.h"'): "lib/record/bad.h includes lib/record/options.h: record stands below its options",
            ("lib/io/bad.cpp", '#include "record/options.h"'): "lib/io/bad.cpp includes lib/record/options.h: the options of another folder",
            ("lib/can/bad.cpp", "#include <nowhere.h>"): "lib/can/bad.cpp includes <nowhere.h>, which lib/README.md does not give to it",
            ("tools/bad.cpp", "# include <zlib.h>"): "tools/bad.cpp includes <zlib.h>, and so does lib/gzip/inflate.cpp",
            ("tools/bad.cpp", '#include "mqtt-pub.cpp"'): "tools/bad.cpp includes mqtt-pub.cpp, which is not below lib/",
            ("lib/helpers/bad.h", ""): "lib/helpers/ is no subject",
            ("lib/novel/bad.h", ""): "lib/novel/ has no row in lib/README.md",
        }
        with tempfile.TemporaryDirectory() as scratch:
            for folder in ("lib", "tools"):
                shutil.copytree(SOURCE / folder, Path(scratch, folder))
            for (path, line), expected in cases.items():
                with self.subTest(path=path, line=line):
                    bad = Path(scratch, path)
                    bad.parent.mkdir(exist_ok=True)
                    bad.write_text(line + "\n")
                    self.assertIn(expected, breaches(Path(scratch)))
                    bad.unlink()
            shutil.rmtree(Path(scratch, "lib/can"))
            self.assertIn("lib/README.md has a row for lib/can/, which does not exist", breaches(Path(scratch)))


if __name__ == "__main__":
    unittest.main()
