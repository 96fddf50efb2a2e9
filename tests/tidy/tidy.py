#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The rules of the house that a machine can check: tidy.py ROOT

Prints one line for each breach, "file:line: what", and fails if there is one.
"""
import os
import re
import sys

SOURCES = (".h", ".cc", ".py", ".sh", ".cmake")
MAX_LINES = 450
MAX_COLUMNS = 100
SKIPPED_FOLDERS = {".git", "var", "results", "corpus", "__pycache__"}
LICENCE = "SPDX-License-Identifier: Apache-2.0"
# Written in pieces so that this file does not break its own rule.
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b|not impl" r"emented|place" r"holder", re.I)
# The project speaks of itself only.
ELSEWHERE = re.compile(r"/wo" r"rk/|/tmp" r"/wt|work" r"tree|\bclau" r"de\b|\banthro" r"pic\b|\bLL" r"M\b"
                       r"|sub-?age" r"nt|\bAI age" r"nt|\bprom" r"pt engineering", re.I)
BANNER = re.compile(r"^\s*(//|#)\s*[=*#-]{10,}\s*$")
FORBIDDEN_IN_SOURCES = [
    (re.compile(r"\busing namespace std\b"), "using namespace std"),
    (re.compile(r"\b(DISA" r"BLED_)"), "a disabled test"),
]

# Where a seam to the machine is, nothing goes past it: tests see each call, and can fail it. Closing
# a descriptor is no such call, nor is what does not touch the store (randomness, sleep).
SYSTEM_CALLS = ("access chdir chmod chown copy_file_range creat euidaccess faccessat fallocate fchmod fchmodat fchown"
                " fchownat fcntl fdatasync fgetxattr flock fopen fremovexattr fsetxattr fstat fstatat fstatfs fstatvfs"
                " fsync ftruncate futimens ioctl link linkat lockf lseek lstat mkdir mkdirat mkdtemp mkostemp mkstemp"
                " mmap open open_by_handle_at openat openat2 posix_fadvise posix_fallocate pread preadv preadv2 pwrite"
                " pwritev pwritev2 read readdir readlink readlinkat readv remove rename renameat renameat2 rmdir"
                " sendfile splice stat statfs statvfs statx symlink symlinkat sync sync_file_range syncfs syscall"
                " truncate unlink unlinkat utimensat write writev").split()
SEAM_FOLDER = "peers/store/file/"
SEAM_FILES = ("peers/store/file/sys.h", "peers/store/file/sys.cc")
PAST_SEAM = re.compile(r"(?<![\w.>:])(?:::|std::filesystem::|fs::)?(?:" + "|".join(SYSTEM_CALLS) + r")\s*\("
                       r"|\bring\(\)\s*\.|\bio_uring_|\bstd::[io]?fstream\b|\bstd::filesystem\b")
NO_CODE = re.compile(r'"(?:\\.|[^"\\])*"|//.*')


def is_script(path):
    with open(path, "rb") as file:
        return file.read(2) == b"#!"


def kind_of(path, name):
    """source, text, or None for what is not looked at."""
    if name.endswith(SOURCES) or name == "CMakeLists.txt":
        return "source"
    if name.endswith(".md"):
        return "text"
    return "source" if "." not in name and is_script(path) else None


def check_lines(path, kind, lines):
    for number, line in enumerate(lines, 1):
        if ELSEWHERE.search(line):
            yield number, "speaks of something outside of the project"
        if kind != "source":
            continue
        if UNFINISHED.search(line):
            yield number, "marks something unfinished"
        if BANNER.match(line):
            yield number, "a banner line"
        if len(line) > MAX_COLUMNS and path.endswith((".h", ".cc")):
            yield number, f"more than {MAX_COLUMNS} columns"
        if line != line.rstrip():
            yield number, "blanks at the end"
        for pattern, what in FORBIDDEN_IN_SOURCES:
            if path.endswith((".h", ".cc")) and pattern.search(line):
                yield number, what


def check_file(path, name, kind):
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = file.read().split("\n")
    if kind == "source":
        if not any(LICENCE in line for line in lines[:2]):
            yield 1, "the SPDX line is missing"
        if len(lines) > MAX_LINES:
            yield len(lines), f"more than {MAX_LINES} lines"
        if path.endswith(".h") and "#pragma once" not in lines:
            yield 1, "#pragma once is missing"
    yield from check_lines(path, kind, lines)
    if path.endswith((".h", ".cc")):
        yield from check_seam(name, lines)


def files_of(root):
    for folder, folders, names in os.walk(root):
        folders[:] = [f for f in folders if f not in SKIPPED_FOLDERS and not f.startswith("build")]
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.islink(path) and os.path.isfile(path):
                yield path, name


def check_seam(path, lines):
    if not path.startswith(SEAM_FOLDER) or path in SEAM_FILES:
        return
    for number, line in enumerate(lines, 1):
        if PAST_SEAM.search(NO_CODE.sub("", line)):
            yield number, "a system call that is not made through sys.h"


def check_tree(root):
    breaches = []
    for path, name in files_of(root):
        kind = kind_of(path, name)
        if kind is None:
            continue
        name = os.path.relpath(path, root)
        for number, what in check_file(path, name, kind):
            breaches.append(f"{name}:{number}: {what}")
    return sorted(breaches)


if __name__ == "__main__":
    found = check_tree(sys.argv[1])
    for breach in found:
        print(breach)
    sys.exit(1 if found else 0)
