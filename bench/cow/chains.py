# SPDX-License-Identifier: Apache-2.0
"""Reads of volumes with many snapshots below, and opening them, against a volume with none.

All get the same writes: 64 MiB, then 64 random ones of 4 KiB after each snapshot. qcow2 has an
overlay where Atoll has a snapshot.
"""
import contextlib
import os
import random
import time

# Of the end-to-end tests.
from harness import CommandFailed, Node, must
from nbd_client import WRITE, Client, Lost

from cow import overlays
from measure import clients, compare, machine, servers
from measure.clients import Work

MIB = 1 << 20
BLOCK = 4096
SPAN = 64 * MIB
WRITES = 64
DEPTHS = (1, 10, 100, 500)
OURS, FLAT, QCOW2 = servers.AtollServer.name, "atoll without snapshots", "qemu-nbd qcow2"
QCOW2_OPEN = "qemu-nbd qcow2, its start included"
CLIENTS = ("nbdblast", "fio")
READ_GOALS = {500: {FLAT: 0.97}}


def _read_name(depth, client):
    return f"4 KiB random read, depth 32, {depth} snapshots below, {client}"


def _open_name(depth):
    return f"open with {depth} snapshots below, connect to first reply"


class _Writer:
    """The same sequence of writes for everybody."""

    def __init__(self):
        self._chance = random.Random(7)

    def fill(self, path, export):
        with Client(path, export) as client:
            for offset in range(0, SPAN, MIB):
                client.write(offset, self._chance.randbytes(MIB))
            client.flush()

    def step(self, path, export):
        with Client(path, export) as client:
            for _ in range(WRITES):
                offset = self._chance.randrange(SPAN // BLOCK) * BLOCK
                client.submit(WRITE, offset=offset, data=self._chance.randbytes(BLOCK))
            while client.in_flight:
                client.wait()
            client.flush()


class Volume(servers.Server):
    """A volume of the one node that has them all."""

    def __init__(self, node, name, snapshots):
        super().__init__(node.state, SPAN)
        self.node, self.export, self.socket = node, name, node.socket
        node.ok("volume", "create", name, "--size", SPAN)
        writer = _Writer()
        writer.fill(self.socket, name)
        for step in range(max(DEPTHS)):
            compare.progress(f"{name}: step {step}")
            if step < snapshots:
                node.ok("snapshot", "create", name, f"{name}@{step}")
            elif snapshots:
                break
            writer.step(self.socket, name)

    def pids(self):
        return self.node.pids()

    @contextlib.contextmanager
    def held_open(self):
        """As images are open that a server has, and with all done that is done at a first touch."""
        self.node.ok("open", self.export)
        clients.warm(self)
        yield
        self.node.ok("close", self.export)

    def open_ms(self):
        """Of a node that has just been started."""
        self.node.stop()
        with machine.on_cpu(machine.SERVER_CPU):
            self.node.start()
        return {"ms": _first_reply_ms(self, time.perf_counter())}


def _first_reply_ms(server, began):
    with machine.on_cpu(machine.CLIENT_CPU):
        with Client(server.socket, server.export) as client:
            client.read(0, BLOCK)
            return (time.perf_counter() - began) * 1000


class Qcow2Chain:
    """Images, each over the one before; any of them can be read."""

    def __init__(self, folder):
        self._folder, self._images, self._writer = folder, [], _Writer()
        os.makedirs(folder)
        server = servers.QemuQcow2(self._path("0"), SPAN)
        self._add(server, self._writer.fill)

    def _path(self, name):
        return os.path.join(self._folder, name)

    def _add(self, server, write):
        server.start()
        try:
            write(server.socket, server.export)
        finally:
            server.stop()
        self._images.append(server.image)

    def grow(self, depth):
        while len(self._images) <= depth:
            number = len(self._images)
            compare.progress(f"overlay {number}")
            self._add(overlays.Overlay(self._path(str(number)), SPAN, self._images[-1]),
                      self._writer.step)

    def reader(self, depth):
        return overlays.Reader(self._path(f"reader{depth}-{time.monotonic_ns()}"), SPAN,
                               self._images[depth])

    def open_ms(self, depth):
        server = self.reader(depth)
        began = time.perf_counter()
        server.start()
        try:
            return {"ms": _first_reply_ms(server, began)}
        finally:
            server.stop()


def run(options, report):
    names = [_open_name(depth) for depth in DEPTHS]
    names += [_read_name(depth, client) for depth in DEPTHS for client in CLIENTS]
    if not any(options.match in name for name in names):
        return
    with machine.on_cpu(machine.SERVER_CPU):
        node = Node(os.path.join(options.folder, "chains")).start()
    try:
        flat = Volume(node, "flat", 0)
        chain = _qcow2_chain(options)
        for depth in DEPTHS:
            volume = Volume(node, f"chain{depth}", depth)
            theirs = chain if chain and _can_grow(chain, depth) else None
            _run_depth(depth, volume, flat, theirs, options, report)
    finally:
        node.stop()


def _qcow2_chain(options):
    if options.peers and QCOW2 not in options.peers:
        return None
    if servers.QemuQcow2.missing():
        print(f"not installed, so not measured: {QCOW2}")
        return None
    return Qcow2Chain(os.path.join(options.folder, "overlays"))


def _can_grow(chain, depth):
    """How long a chain QEMU can open is a result as well."""
    try:
        chain.grow(depth)
        chain.open_ms(depth)
        return True
    except (CommandFailed, Lost, RuntimeError) as error:
        print(f"{QCOW2} has no chain of {depth}: {error}")
        return False


def _run_depth(depth, volume, flat, chain, options, report):
    for client in CLIENTS:
        if options.match in _read_name(depth, client):
            _run_reads(depth, client, {OURS: volume, FLAT: flat}, chain, options, report)
    name = _open_name(depth)
    if options.match not in name:
        return
    measures = {OURS: volume.open_ms, FLAT: flat.open_ms}
    if chain:
        measures[QCOW2_OPEN] = lambda: chain.open_ms(depth)
    report.add(name, compare.interleave(measures, lambda who: measures[who](), options.rounds, name),
               "ms")


def _run_reads(depth, client, contenders, chain, options, report):
    name = _read_name(depth, client)
    seeds = iter(range(1, 1 << 30))
    with contextlib.ExitStack() as stack:
        for volume in contenders.values():
            stack.enter_context(volume.held_open())
        if chain:
            reader = chain.reader(depth)
            reader.start()
            stack.callback(reader.stop)
            clients.warm(reader)
            contenders = {**contenders, QCOW2: reader}
        samples = compare.interleave(
            contenders, lambda who: clients.sample(contenders[who], client, Work("randread"),
                                                   options.seconds, next(seeds)),
            options.rounds, name)
    report.add(name, samples, goals=READ_GOALS.get(depth))
