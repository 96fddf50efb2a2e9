# SPDX-License-Identifier: Apache-2.0
"""NBD servers side by side, over Unix sockets, one connection, images in the page cache, which all
of them have written and read once before.

Two clients: fio, which is what people use, and nbdblast, which costs so little that it is the server
that is measured. What this machine allows at all is shown by a bare server, which does nothing but
that (nbdbare), and for a hop between two processes by one that does nothing else but hop.
"""
import contextlib
import os
import shutil

from measure import clients, compare, servers
from measure.clients import Work

MIB = 1 << 20
SIZE = 1024 * MIB

PEERS = (servers.QemuRaw, servers.QemuQcow2, servers.NbdkitFile, servers.NbdkitMemory,
         servers.NbdServer)
DIRECT = (servers.QemuRawDirect, servers.QemuQcow2Direct)
NULLS = (servers.NbdkitNull, servers.AtollNull)  # Nothing is stored.


RAW, QCOW2, FILE, NULL = "qemu-nbd raw", "qemu-nbd qcow2", "nbdkit file", "nbdkit null"
MEMORY, FUSED, ISOLATED, OUR_NULL = "nbdkit memory", "atoll", "atoll isolated", "atoll null"
BARE, BARE_HOP = servers.Bare.name, servers.BareHop.name
# No match where something must be durable: who keeps nothing on a disk, and what has no write log.
UNSTORED = (MEMORY, NULL, OUR_NULL, BARE)


class Case:
    """Some work by one client, and what is looked at: metric -> (contender -> what is wanted)."""

    def __init__(self, name, client, work, wanted, isolated=None, skip=(), size=SIZE):
        self.name, self.client, self.work, self.wanted = f"{name}, {client}", client, work, wanted
        self.isolated, self.size, self.skip = isolated, size, skip

    def has(self, pair):
        """Whether these two are to be compared by it."""
        ours, theirs = pair
        if ours is servers.AtollServer:
            return theirs.name not in self.skip
        return self.isolated is not None


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
         {"iops": {QCOW2: 8}}, skip=UNSTORED),
    Case("4 KiB random write, a flush after each 32", "nbdblast",
         Work("randwrite", flush_every=32), {"iops": {QCOW2: 2.5}}, skip=UNSTORED),
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


# Our side, and who is beside it, one after the other: many servers at once would disturb each other.
PAIRS = (*((servers.AtollServer, kind) for kind in
           (*PEERS, *DIRECT, *NULLS, servers.Bare)),
         (servers.AtollIsolated, servers.AtollServer), (servers.BareHop, servers.Bare))


def _peer_of(pair):
    """Who has to be wanted for it to be measured."""
    ours, theirs = pair
    return theirs if ours is servers.AtollServer else ours


def run(options, report):
    cases = [case for case in CASES if options.match in case.name]
    samples = {}  # (case, pair) -> name -> samples
    for pair in PAIRS:
        peer = _peer_of(pair)
        its_cases = [case for case in cases if case.has(pair)]
        if not its_cases or (options.peers and peer.name not in options.peers):
            continue
        if peer.missing():
            print(f"not installed, so not measured: {peer.name}")
            continue
        with _started(pair, options) as contenders:
            for case in its_cases:
                samples[case.name, pair] = _measure(case, contenders, options)
    for case in cases:
        of_case = {pair: found for (name, pair), found in samples.items() if name == case.name}
        if of_case:
            _add(case, of_case, report)


@contextlib.contextmanager
def _started(pair, options):
    """name -> server, with images that are full and were read."""
    with contextlib.ExitStack() as stack:
        contenders = {}
        for kind in pair:
            compare.progress(f"starting {kind.name}")
            folder = os.path.join(options.folder, kind.name.replace(" ", "-").replace(",", ""))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            server = kind(folder, SIZE)
            server.start()
            stack.callback(server.stop)
            clients.fill(server)
            clients.warm(server)
            contenders[kind.name] = server
        yield contenders


def _measure(case, contenders, options):
    seeds = iter(range(1, 1 << 30))

    def measure(name):
        seconds = max(options.seconds, 30) if case.work.fua and options.long else options.seconds
        return clients.sample(contenders[name], case.client, case.work, seconds, next(seeds),
                              case.size)

    return compare.interleave(contenders, measure, options.rounds,
                              f"{case.name}, {' and '.join(contenders)}")


def _add(case, of_case, report):
    theirs, beside = {FUSED: []}, {}
    for (ours, kind), found in of_case.items():
        if ours is servers.AtollServer:
            theirs[FUSED] += found[FUSED]
            theirs[kind.name], beside[kind.name] = found[kind.name], found[FUSED]
    for metric, goals in case.wanted.items() if beside else ():
        report.add(case.name + WHAT.get(metric, ""), theirs, metric, goals, beside=beside,
                   ceilings=(BARE, OUR_NULL))
    for (ours, kind), found in of_case.items():
        if ours is servers.AtollIsolated:
            report.add(case.name + ": isolated and fused", found, "iops", {FUSED: case.isolated},
                       ours=ISOLATED)
        elif ours is servers.BareHop:
            report.add(case.name + ": a hop and none, bare", found, "iops", ours=BARE_HOP,
                       ceilings=(BARE,))
