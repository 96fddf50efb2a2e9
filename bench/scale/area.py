# SPDX-License-Identifier: Apache-2.0
"""What many volumes on one node cost: each I/O, memory, and the start of the node.

"Open" is what `atoll open NAME` does, by many_volumes over one connection. An open volume keeps
three files open and its client a socket, so nodes are started with as many descriptors as the
system gives to anybody who asks for them.
"""
import concurrent.futures
import contextlib
import os
import resource
import time

from harness import BIN, must
from nbd_client import Client

from measure import clients, compare, machine, servers

MANY_VOLUMES = os.path.join(BIN, "many_volumes")
MIB = 1 << 20
SIZE = 256 * MIB
OPEN = (1, 10, 100, 1000)
IDLE, KNOWN = 1000, 10000
IDLE_BYTES = 64 << 10
START_MS = 200
DESCRIPTORS = 6000
AT_ONCE = 32
# Until what an open leaves to be done is done.
SETTLE_SECONDS = 3

COST = "4 KiB random read, depth 32, of one of the open volumes, {}"
MEMORY = "memory of an open volume, {} of them idle"
MEMORY_CLIENTS = "memory of an open volume with a client, {} of them idle"
START = "start of a node"


class Crowd(servers.AtollServer):
    """A node with many volumes, v0 and so on."""
    export = "v0"

    def __init__(self, folder, volumes):
        super().__init__(folder, SIZE)
        self.volumes = volumes

    def start(self):
        with machine.on_cpu(machine.SERVER_CPU):
            self.node.start()
        self.many("create", self.volumes, SIZE)

    def many(self, *words):
        return must(MANY_VOLUMES, os.path.join(self.node.state, "node.sock"), *words, timeout=600)


class CrowdIsolated(Crowd):
    placement = "isolated"


def run(options, report):
    _raise_limit()
    for kind in (Crowd, CrowdIsolated):
        if options.match in COST.format(kind.placement):
            _run_cost(kind, options, report)
    for name, use in ((MEMORY, _open), (MEMORY_CLIENTS, _connect)):
        if options.match in name.format(_shown(IDLE)):
            _run_memory(name.format(_shown(IDLE)), use, options, report)
    if options.match in START:
        _run_start(options, report)


def _shown(count):
    return f"{count:,}"


def _raise_limit():
    """Of this process and so of the nodes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        raise RuntimeError(f"{_shown(IDLE)} volumes need {DESCRIPTORS} descriptors, and the hard "
                           f"limit (ulimit -Hn) is {hard}")
    if soft != resource.RLIM_INFINITY and soft < DESCRIPTORS:
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, hard))


def _run_cost(kind, options, report):
    """A node for each number of open volumes; those that are not asked have nothing to do."""
    work = clients.Work("randread")
    name = COST.format(kind.placement)
    seeds = iter(range(1, 1 << 30))
    with contextlib.ExitStack() as stack:
        nodes = {}
        for count in OPEN:
            compare.progress(f"starting: {_shown(count)} open, {kind.placement}")
            server = kind(os.path.join(options.folder, f"{kind.placement}-{count}"), count)
            server.start()
            stack.callback(server.stop)
            clients.fill(server)
            server.many("open", count)
            nodes[f"{_shown(count)} open"] = server

        def measure(contender):
            return clients.sample(nodes[contender], "nbdblast", work, options.seconds, next(seeds))

        samples = compare.interleave(nodes, measure, options.rounds, name)
    most = f"{_shown(OPEN[-1])} open"
    report.add(name, samples, ours=most)
    report.add(name + ": server CPU", samples, "cpu_us", ours=most)


def _open(server, _):
    server.many("open", IDLE)


def _connect(server, stack):
    """Each volume is opened by a client, which reads once and stays."""
    def one(number):
        client = stack.enter_context(Client(server.socket, f"v{number}"))
        client.read(0, 4096)

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, range(IDLE)))


def _run_memory(name, use, options, report):
    server = Crowd(os.path.join(options.folder, use.__name__), IDLE)
    server.start()
    server.stop()
    samples = []
    for number in range(options.rounds):
        compare.progress(f"{name}: round {number + 1} of {options.rounds}")
        server.node.start()
        try:
            samples.append({"bytes": _bytes_of_each(server, use)})
        finally:
            server.stop()
    compare.progress("")
    report.add(name, {"atoll": samples}, "bytes", limit=IDLE_BYTES)


def _bytes_of_each(server, use):
    before = machine.resident_bytes(server.pids())
    with contextlib.ExitStack() as stack:
        use(server, stack)
        time.sleep(SETTLE_SECONDS)
        return (machine.resident_bytes(server.pids()) - before) / IDLE


def _run_start(options, report):
    """From `atoll node start` until it says that the node serves; it was started before."""
    nodes = {}
    for count in (KNOWN, 1):
        name = f"{_shown(count)} known"
        compare.progress(f"making: {name}")
        nodes[name] = Crowd(os.path.join(options.folder, f"known-{count}"), count)
        nodes[name].start()
        nodes[name].stop()

    def measure(name):
        node = nodes[name].node
        began = time.monotonic_ns()
        node.start()
        took = time.monotonic_ns() - began
        there = int(nodes[name].many("count"))
        node.stop()
        if there != nodes[name].volumes:
            raise RuntimeError(f"{name}: it serves {there} volumes")
        return {"ms": took / 1e6}

    for name in nodes:
        measure(name)
    samples = compare.interleave(nodes, measure, options.rounds, START)
    report.add(START, samples, "ms", ours=f"{_shown(KNOWN)} known", limit=START_MS)
