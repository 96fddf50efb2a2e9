# SPDX-License-Identifier: Apache-2.0
"""How long a snapshot, a clone and their removal take, for a small volume and for a huge one.

Ours in the engine, which is core_bench in one process, with all its syncs, with nothing dirty; and
as `atoll`, a process that asks the node. qemu-img's overlay is both a snapshot and a clone; its time
is that of the process, and it syncs nothing. What durability costs at least is shown by one small file
that is written, synced, given its name, and its directory synced.
"""
import json
import os
import statistics
import time

# Of the end-to-end tests.
from harness import BIN, Node, must
from nbd_client import Client

from cow import overlays
from measure import compare, machine, servers

GIB, TIB = 1 << 30, 1 << 40
SIZES = {"1 GiB": GIB, "64 TiB": 64 * TIB}
ENGINE_ROUNDS = 5  # Of which a sample is the median, and so are these.
PROCESS_ROUNDS = 5
ENGINE, CLI, QEMU_IMG = "atoll", "atoll CLI", "qemu-img create -b"
ONE_FILE = "one durable file"
# At most so many milliseconds, whatever the size.
LIMITS = {"snapshot": 0.5, "clone": 0.5}
# qemu-img makes these two with the same command, and has nothing like the others.
COMPARED = ("snapshot", "clone")
OPERATIONS = (*COMPARED, "remove snapshot", "remove clone")


def _name(operation, size):
    return f"{operation}, {size}"


def _wall_ms(command):
    began = time.perf_counter()
    with machine.on_cpu(machine.CLIENT_CPU):
        command()
    return (time.perf_counter() - began) * 1000


def _engine(folder):
    """(operation, size) -> sample, from one run of core_bench."""
    with machine.on_cpu(machine.SERVER_CPU):
        said = json.loads(must(os.path.join(BIN, "core_bench"), os.path.join(folder, "engine"),
                               "ops", "--json", "--rounds", ENGINE_ROUNDS, timeout=600))
    by_size = {one["size"]: one["operations"] for one in said}
    return {(operation, size): by_size[bytes_][operation]
            for operation in OPERATIONS for size, bytes_ in SIZES.items()}


class _Commands:
    """A node with a volume of each size, and what `atoll` takes for each operation."""

    def __init__(self, folder):
        self.node = Node(folder)
        with machine.on_cpu(machine.SERVER_CPU):
            self.node.start()
        for bytes_ in SIZES.values():
            self.node.ok("volume", "create", self._volume(bytes_), "--size", bytes_)

    @staticmethod
    def _volume(bytes_):
        return f"v{bytes_}"

    def sample(self):
        times = {}
        for _ in range(PROCESS_ROUNDS):
            for size, bytes_ in SIZES.items():
                for operation, ms in self._once(self._volume(bytes_)).items():
                    times.setdefault((operation, size), []).append(ms)
        return {key: {"ms": statistics.median(list_)} for key, list_ in times.items()}

    def _once(self, volume):
        with Client(self.node.socket, volume) as client:
            for block in range(64):
                client.write(block * 65536, os.urandom(4096))
            client.flush()
        ok, snapshot, clone = self.node.ok, volume + "@s", volume + "-clone"
        return {
            "snapshot": _wall_ms(lambda: ok("snapshot", "create", volume, snapshot)),
            "clone": _wall_ms(lambda: ok("volume", "create", clone, "--from", snapshot)),
            "remove clone": _wall_ms(lambda: ok("volume", "remove", clone)),
            "remove snapshot": _wall_ms(lambda: ok("snapshot", "remove", snapshot)),
        }

    def stop(self):
        self.node.stop()


class _Overlays:
    """An image of each size, and what it takes to put an overlay on it."""

    def __init__(self, folder):
        self._folder = folder
        os.makedirs(folder)
        for size in SIZES:
            must("qemu-img", "create", "-q", "-f", "qcow2", self._path(size), SIZES[size])

    def _path(self, name):
        return os.path.join(self._folder, name.replace(" ", "-"))

    def sample(self):
        times = {size: [] for size in SIZES}
        for _ in range(PROCESS_ROUNDS):
            for size, bytes_ in SIZES.items():
                over = self._path(size) + "-over"
                times[size].append(_wall_ms(
                    lambda size=size, bytes_=bytes_, over=over:
                    overlays.create(over, self._path(size), bytes_)))
                os.unlink(over)
        return {(operation, size): {"ms": statistics.median(list_)}
                for size, list_ in times.items() for operation in COMPARED}


def _one_durable_file(folder):
    os.makedirs(folder, exist_ok=True)
    times = []
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for number in range(PROCESS_ROUNDS):
            path = os.path.join(folder, str(number))
            began = time.perf_counter()
            with open(path + ".new", "wb", buffering=0) as file:
                file.write(b"\xa5" * 800)
                os.fsync(file.fileno())
            os.rename(path + ".new", path)
            os.fsync(directory)
            times.append((time.perf_counter() - began) * 1000)
            os.unlink(path)
    finally:
        os.close(directory)
    sample = {"ms": statistics.median(times)}
    return {(operation, size): sample for operation in COMPARED for size in SIZES}


def run(options, report):
    wanted = [(operation, size) for operation in OPERATIONS for size in SIZES
              if options.match in _name(operation, size)]
    if not wanted:
        return
    commands = _Commands(os.path.join(options.folder, "commands"))
    try:
        bare = os.path.join(options.folder, "bare")
        measures = {ENGINE: lambda: _engine(options.folder), CLI: commands.sample,
                    ONE_FILE: lambda: _one_durable_file(bare)}
        if servers.QemuQcow2.missing():
            print(f"not installed, so not measured: {QEMU_IMG}")
        elif not options.peers or servers.QemuQcow2.name in options.peers:
            measures[QEMU_IMG] = _Overlays(os.path.join(options.folder, "images")).sample
        samples = compare.interleave(measures, lambda who: measures[who](), options.rounds,
                                     "operations")
    finally:
        commands.stop()
    for operation, size in wanted:
        _add(operation, size, samples, report)


def _add(operation, size, samples, report):
    of_this = {who: [sample[operation, size] for sample in list_]
               for who, list_ in samples.items() if (operation, size) in list_[0]}
    report.add(_name(operation, size), of_this, "ms", goals={QEMU_IMG: 1 / 20},
               limit=LIMITS.get(operation))
    outside = {ENGINE: [{"ms": sample["outside_ms"]} for sample in of_this[ENGINE]]}
    report.add(f"{_name(operation, size)}, outside of its {of_this[ENGINE][0]['syncs']:.0f} syncs",
               outside, "ms")
