#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each rule of tidy.py finds what it is for, and nothing in a file that is right."""
import os
import sys
import tempfile

sys.dont_write_bytecode = True
import tidy  # noqa: E402

GOOD = "// SPDX-License-Identifier: Apache-2.0\n#pragma once\nint x;\n"
RIGHT = {
    "good.h": GOOD,
    # The seam itself, what goes through it, and what only looks like a call.
    "peers/store/file/sys.cc": GOOD + "int y = openat(1, 0, 0);\n",
    "peers/store/file/through.h": GOOD + "int y = sys::OpenAt(1); // as open(2)\nint z = table.read(\"open(\");\n",
    "peers/store/elsewhere.h": GOOD + "int y = fsync(1);\n",
}
BAD = {
    "no_licence.h": ("#pragma once\n", "SPDX"),
    "no_once.h": ("// SPDX-License-Identifier: Apache-2.0\nint x;\n", "pragma"),
    "unfinished.h": (GOOD + "// TO" + "DO: more\n", "unfinished"),
    "elsewhere.h": (GOOD + "// see /wo" + "rk/notes\n", "outside"),
    "elsewhere.md": ("as in /wo" + "rk/notes\n", "outside"),
    "banner.h": (GOOD + "// ===========\n", "banner"),
    "wide.h": (GOOD + "// " + "x" * 100 + "\n", "columns"),
    "blanks.h": (GOOD + "int y; \n", "blanks"),
    "long.h": (GOOD + "int y;\n" * 450, "lines"),
    "peers/store/file/raw.h": (GOOD + "int y = fsync(1);\n", "sys.h"),
    "peers/store/file/global.h": (GOOD + "int y = ::rename(a, b);\n", "sys.h"),
    "peers/store/file/ring.h": (GOOD + "int y = context.ring().Fsync(1, 0);\n", "sys.h"),
    "peers/store/file/library.h": (GOOD + "auto y = std::filesystem::remove(a);\n", "sys.h"),
    "disabled.cc": (GOOD + "TEST(A, DISA" + "BLED_B) {}\n", "disabled"),
}


def put(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def main():
    failures = 0
    with tempfile.TemporaryDirectory() as root:
        for name, text in RIGHT.items():
            put(os.path.join(root, "right", name), text)
        for breach in tidy.check_tree(os.path.join(root, "right")):
            print(f"found in what is right: {breach}")
            failures += 1
        for number, (name, (text, word)) in enumerate(BAD.items()):
            folder = os.path.join(root, str(number))
            put(os.path.join(folder, name), text)
            found = tidy.check_tree(folder)
            if not any(word in breach for breach in found):
                print(f"{name}: nothing was found about '{word}': {found}")
                failures += 1
    return 1 if failures else 0


sys.exit(main())
