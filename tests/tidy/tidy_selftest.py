#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each rule of tidy.py finds what it is for, and nothing in a file that is right."""
import os
import sys
import tempfile

sys.dont_write_bytecode = True
import tidy  # noqa: E402

GOOD = "// SPDX-License-Identifier: Apache-2.0\n#pragma once\nint x;\n"
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
    "disabled.cc": (GOOD + "TEST(A, DISA" + "BLED_B) {}\n", "disabled"),
}


def main():
    failures = 0
    with tempfile.TemporaryDirectory() as root:
        os.mkdir(os.path.join(root, "good"))
        with open(os.path.join(root, "good", "good.h"), "w", encoding="utf-8") as file:
            file.write(GOOD)
        failures += len(tidy.check_tree(os.path.join(root, "good")))
        for name, (text, word) in BAD.items():
            folder = os.path.join(root, name + ".d")
            os.mkdir(folder)
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(text)
            found = tidy.check_tree(folder)
            if not any(word in breach for breach in found):
                print(f"{name}: nothing was found about '{word}': {found}")
                failures += 1
    return 1 if failures else 0


sys.exit(main())
