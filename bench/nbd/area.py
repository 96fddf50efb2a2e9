# SPDX-License-Identifier: Apache-2.0
"""NBD servers side by side, over Unix sockets, one connection, images in the page cache, which all
of them have written and read once before.

Two clients: fio, which is what people use, and nbdblast, which costs so little that it is the server
that is measured. What this machine allows at all is shown by a bare server, which does nothing but
that (nbdbare), and for a hop between two processes by one that does nothing else but hop.
"""
import os

from measure import clients, compare, servers
from measure.clients import Work

MIB = 1 << 20
SIZE = 1024 * MIB

PEERS = (servers.QemuRaw, servers.QemuQcow2, servers.NbdkitFile, servers.NbdkitMemory,
         servers.NbdServer)
DIRECT = (servers.QemuRawDirect, servers.QemuQcow2Direct)
EMPTY = (servers.NbdkitNull, servers.AtollNull)  # Nothing is stored.
ALL = (servers.AtollServer, servers.AtollIsolated, *PEERS, *DIRECT, *EMPTY, servers.Bare,
       servers.BareHop)


RAW, QCOW2, FILE, NULL = "qemu-nbd raw", "qemu-nbd qcow2", "nbdkit file", "nbdkit null"
MEMORY, FUSED, ISOLATED, UNWRITTEN = "nbdkit memory", "atoll", "atoll isolated", "atoll null"
BARE, BARE_HOP = servers.Bare.name, servers.BareHop.name
STORED = (MEMORY, NULL)  # Who keeps nothing on a disk is no match where something must be durable.


class Case:
    """Some work by one client, and what is looked at: metric -> (contender -> what is wanted)."""

    def __init__(self, name, client, work, wanted, isolated=None, skip=(), size=SIZE):
        self.name, self.client, self.work, self.wanted = f"{name}, {client}", client, work, wanted
        self.isolated, self.size = isolated, size
        self.skip = (*skip, UNWRITTEN) if work.mode.endswith("write") else skip
        if work.fua or work.flush_every:
            self.skip = (*self.skip, BARE)  # It has no write log.
        if not isolated:
            self.skip = (*self.skip, BARE_HOP)


def both(goal):
    return {RAW: goal, QCOW2: goal}


CASES = (
    Case("4 KiB random read, depth 32", "fio", Work("randread"),
         {"iops": {**both(3.4), NULL: 1.4}, "cpu_us": both(0.25)}, isolated=0.85),
    Case("4 KiB random read, depth 32", "nbdblast", Work("randread"),
         {"iops": {**both(8), FILE: 4}, "cpu_us": both(0.13)}, isolated=0.6),
    Case("4 KiB random read of 256 MiB, depth 32", "nbdblast", Work("randread"),
         {"iops": {**both(8), FILE: 4}}, size=256 * MIB),
    Case("4 KiB random write, depth 32", "fio", Work("randwrite"), {"iops": both(3.3)}),
    Case("4 KiB random write, depth 32", "nbdblast", Work("randwrite"), {"iops": both(4.5)}),
    Case("4 KiB random read, depth 1", "fio", Work("randread", depth=1),
         {"latency_us": {NULL: 0.6, **both(0.4)}}),
    Case("4 KiB random write, depth 1", "fio", Work("randwrite", depth=1), {"latency_us": {}}),
    Case("4 KiB random FUA write, depth 32", "nbdblast", Work("randwrite", fua=True),
         {"iops": {QCOW2: 8}}, skip=STORED),
    Case("4 KiB random write, a flush after each 32", "nbdblast",
         Work("randwrite", flush_every=32), {"iops": {QCOW2: 2.5}}, skip=STORED),
    Case("1 MiB sequential read, depth 4", "nbdblast", Work("read", 4, MIB),
         {"bytes_per_second": {**both(3.5), FILE: 1.3}}),
    Case("1 MiB sequential write, depth 4", "nbdblast", Work("write", 4, MIB),
         {"bytes_per_second": {**both(3.5), FILE: 1.3}}),
    Case("128 KiB sequential read, depth 8", "nbdblast", Work("read", 8, 128 << 10),
         {"bytes_per_second": {}}),
    Case("128 KiB sequential write, depth 8", "nbdblast", Work("write", 8, 128 << 10),
         {"bytes_per_second": {}}),
)
WHAT = {"cpu_us": ": server CPU for each", "latency_us": ": latency"}


def run(options, report):
    wanted = [kind for kind in ALL if not options.peers or kind.name in options.peers or
              kind.name == FUSED]
    started = []
    try:
        for kind in wanted:
            if kind.missing():
                print(f"not installed, so not measured: {kind.name}")
                continue
            compare.progress(f"starting {kind.name}")
            server = kind(os.path.join(options.folder, kind.name.replace(" ", "-")), SIZE)
            server.start()
            started.append(server)
            if kind not in EMPTY:
                clients.fill(server)
                clients.warm(server)
        for case in CASES:
            if options.match in case.name:
                _run_case(case, started, options, report)
    finally:
        for server in started:
            server.stop()


def _run_case(case, started, options, report):
    by_name = {server.name: server for server in started if server.name not in case.skip}
    seeds = iter(range(1, 1 << 30))

    def measure(name):
        seconds = max(options.seconds, 30) if case.work.fua and options.long else options.seconds
        return clients.sample(by_name[name], case.client, case.work, seconds, next(seeds),
                              case.size)

    samples = compare.interleave(by_name, measure, options.rounds, case.name)
    for metric, goals in case.wanted.items():
        report.add(case.name + WHAT.get(metric, ""), samples, metric, goals, ceilings=(BARE,))
    if case.isolated and ISOLATED in samples:
        report.add(case.name + ": isolated and fused",
                   {name: samples[name] for name in (ISOLATED, FUSED)}, "iops",
                   {FUSED: case.isolated}, ours=ISOLATED)
    if case.isolated and BARE in samples and BARE_HOP in samples:
        report.add(case.name + ": a hop and none, bare",
                   {name: samples[name] for name in (BARE_HOP, BARE)}, "iops", ours=BARE_HOP,
                   ceilings=(BARE,))
