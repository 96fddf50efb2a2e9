#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ends and removes all that a test has started and made.

Every test has a work folder of its own, and every process that descends from the test carries that
folder in its environment; so what is left over can be found without a list: processes by their
environment, mounts and loop devices by their paths. A guard, a process apart, does the same when
the test itself was killed.
"""
import os
import shutil
import signal
import subprocess
import sys
import time

MARK = "ATOLL_E2E_WORK"
KILL_WAIT_S = 10
UMOUNT_ROUNDS = 5


def processes_of(work):
    """The pids of all processes that were started for this work folder, but for the caller."""
    mark = f"{MARK}={work}".encode()
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        if int(name) in (os.getpid(), os.getppid()):
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                marked = mark in file.read().split(b"\0")
            with open(f"/proc/{name}/stat", encoding="utf-8") as file:
                is_dead = file.read().rpartition(")")[2].split()[0] in "ZX"
        except OSError:
            continue
        if marked and not is_dead:
            found.append(int(name))
    return found


def is_alive(pid):
    """False for a zombie as well: not every first process reaps its orphans."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def kill_and_wait(pids):
    """SIGKILL to processes that this test has started; returns when they are gone."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    deadline = time.monotonic() + KILL_WAIT_S
    while any(is_alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            raise RuntimeError(f"processes {pids} do not end")
        time.sleep(0.002)


def mounts_under(work):
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        points = [line.split()[4] for line in file]
    return sorted((p for p in points if p.startswith(work + "/")), reverse=True)


def loops_under(work):
    """Loop devices over files of the work folder."""
    found = []
    for name in os.listdir("/sys/block"):
        try:
            with open(f"/sys/block/{name}/loop/backing_file", encoding="utf-8") as file:
                if file.read().startswith(work + "/"):
                    found.append("/dev/" + name)
        except OSError:
            continue
    return found


def quietly(*command):
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          check=False).returncode == 0


def undo_mounts(work):
    """File systems, then the loop devices below them, then the FUSE mounts below those. Lazily
    only at last: a loop device over a file that is detached cannot be found any more."""
    for round_ in range(UMOUNT_ROUNDS):
        for point in mounts_under(work):
            quietly("umount", *(["-l"] if round_ == UMOUNT_ROUNDS - 1 else []), point)
        loops = loops_under(work)
        for loop in loops:
            quietly("losetup", "-d", loop)
        if not loops and not mounts_under(work):
            return
        time.sleep(0.02 * round_)


def remove_all(work):
    undo_mounts(work)
    kill_and_wait(processes_of(work))
    undo_mounts(work)
    # A sealed blob is immutable, which keeps even root from removing it.
    shutil.rmtree(work, ignore_errors=True)
    if os.path.exists(work):
        quietly("chattr", "-R", "-i", work)
        shutil.rmtree(work, ignore_errors=True)


def start_guard(work):
    """A process that removes all once the caller has ended, however that came about. Ended by
    closing the returned descriptor after the folder is gone."""
    read_end, write_end = os.pipe()
    subprocess.run(["setsid", "--fork", sys.executable, os.path.abspath(__file__), work],
                   stdin=read_end, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   env={"PATH": os.environ.get("PATH", "")}, check=True)
    os.close(read_end)
    return write_end


if __name__ == "__main__":
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, signal.SIG_IGN)
    sys.stdin.read()
    if os.path.exists(sys.argv[1]):
        remove_all(sys.argv[1])
