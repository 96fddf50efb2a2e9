# SPDX-License-Identifier: Apache-2.0
"""Random writes to what is not in the current epoch, against overwrites and against qcow2.

Each sample is some requests on a fresh snapshot or overlay of a volume that is full, few enough
that most hit a sub-grain for the first time. Overwrites are the same requests once more. What is
dirty is written back before each sample, so that nobody pays for another.
"""
import itertools
import json
import math
import os
import shutil

from harness import must  # Of the end-to-end tests.

from cow import overlays
from measure import clients, compare, machine, servers
from measure.clients import Work

BLOCK = 4096
SIZE = 1 << 30
LONGEST_S = 600  # Of a sample.
AGAIN = "atoll overwrites"


class Case:
    """Some requests on a fresh snapshot; goals as of a report."""

    def __init__(self, flush_every, writes, goals):
        self.work = Work("randwrite", flush_every=flush_every)
        self.writes, self.goals = writes, goals
        # Offsets are drawn with repetition, so of all writes these are the first to their place.
        tries = writes / (SIZE // BLOCK)
        share = (1 - math.exp(-tries)) / tries
        flushes = f"flush after each {flush_every}" if flush_every else "no flush"
        self.name = (f"4 KiB random writes after a snapshot, {share:.0%} first ones, depth 32, "
                     f"{flushes}, nbdblast")


CASES = (
    Case(32, 32768, {"qemu-nbd qcow2": 10, "qemu-nbd qcow2 extended_l2": 3, AGAIN: 0.85}),
    Case(0, 32768, {AGAIN: 0.85}),
)


def _sample(server, case, seed):
    """As clients.sample, but so many requests instead of so many seconds."""
    work = case.work
    requests = case.writes + (case.writes // work.flush_every if work.flush_every else 0)
    must("sync", "-f", server.folder, timeout=600)
    before = machine.cpu_ns(server.pids())
    with machine.on_cpu(machine.CLIENT_CPU):
        said = json.loads(must(
            clients.NBDBLAST, "--socket", server.socket, "--export", server.export, "--mode",
            work.mode, "--depth", work.depth, "--flush-every", work.flush_every, "--requests",
            requests, "--seconds", LONGEST_S, "--seed", seed, timeout=LONGEST_S + 60))
    used = machine.cpu_ns(server.pids()) - before
    if said["requests"] < requests:
        raise RuntimeError(f"{server.name}: {said['requests']} of {requests} in {LONGEST_S} s")
    return {"iops": case.writes / said["seconds"], "seconds": said["seconds"],
            "p99_us": said["latency_ns"]["p99"] / 1000, "cpu_us": used / 1000 / said["requests"]}


class Atoll:
    """One volume, with one more snapshot below for each sample of first writes."""

    def __init__(self, folder):
        self.server = servers.AtollServer(folder, SIZE)
        self.server.start()
        clients.fill(self.server)
        self._snapshots = itertools.count()
        self._seed = None  # Of the last first writes.

    def first(self, case, seed):
        self._seed = seed
        self.server.node.ok("snapshot", "create", self.server.export,
                            f"{self.server.export}@{next(self._snapshots)}")
        return _sample(self.server, case, seed)

    def again(self, case, _):
        return _sample(self.server, case, self._seed)

    def stop(self):
        self.server.stop()


class Qcow2:
    """A base that is full, and an overlay for each sample."""

    def __init__(self, folder, kind, overlay):
        self._folder, self._overlay = folder, overlay
        base = kind(folder + "-base", SIZE)
        base.start()
        try:
            clients.fill(base)
        finally:
            base.stop()
        self._base = base.image

    def first(self, case, seed):
        server = self._overlay(self._folder, SIZE, self._base)
        server.start()
        try:
            return _sample(server, case, seed)
        finally:
            server.stop()
            shutil.rmtree(self._folder)


def run(options, report):
    cases = [case for case in CASES if options.match in case.name]
    if not cases:
        return
    ours = Atoll(os.path.join(options.folder, "first"))
    try:
        measures = {servers.AtollServer.name: ours.first, AGAIN: ours.again}
        for kind, overlay in ((servers.QemuQcow2, overlays.Overlay),
                              (servers.QemuQcow2Extended, overlays.OverlayExtended)):
            if options.peers and kind.name not in options.peers:
                continue
            if kind.missing():
                print(f"not installed, so not measured: {kind.name}")
                continue
            folder = os.path.join(options.folder, kind.name.replace(" ", "-"))
            measures[kind.name] = Qcow2(folder, kind, overlay).first
        for case in cases:
            _run_case(case, measures, options, report)
    finally:
        ours.stop()


def _run_case(case, measures, options, report):
    seeds = itertools.count(1)

    def measure(name):
        return measures[name](case, next(seeds))

    samples = compare.interleave(measures, measure, options.rounds, case.name)
    report.add(case.name, samples, goals=case.goals)
