# SPDX-License-Identifier: Apache-2.0
"""The machine that is measured on: where processes run, and what they cost."""
import contextlib
import os
import platform
import subprocess

SERVER_CPU, CLIENT_CPU = (0, 1) if (os.cpu_count() or 1) > 1 else (0, 0)


@contextlib.contextmanager
def on_cpu(cpu):
    """What is started within runs there, and so do its children."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_ns(pids):
    """CPU time of these processes, with that of threads and children that have ended, to 10 ms."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), \
                open(f"/proc/{pid}/stat", encoding="ascii") as file:
            ticks += sum(map(int, file.read().rpartition(")")[2].split()[11:15]))
    return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def resident_bytes(pids):
    """Memory of these processes that is no other's: proportional set size."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    return total * 1024


def version_of(*command):
    """The first line that a program says of itself; empty if it is not installed."""
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except FileNotFoundError:
        return ""
    return (said.stdout or said.stderr).strip().split("\n", maxsplit=1)[0]


def facts(folder):
    """For the head of a report."""
    cpu = ""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                cpu = line.split(":", 1)[1].strip()
                break
    kind = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True,
                          check=True).stdout.strip()
    return {"cpus": os.cpu_count(), "cpu": cpu, "kernel": platform.release(), "file_system": kind,
            "load": os.getloadavg()[0]}
