# SPDX-License-Identifier: Apache-2.0
"""What a volume through shared memory is worth: fio with our engine on a node, fused and isolated.

Against the ceiling, fio's io_uring engine on a raw file of the same size in the same file system,
and against fio's nbd engine on the same nodes. All is in the page cache, but for what says direct,
which is past it on both sides and waits for the disk. Latency is from the moment before a request
is submitted.
"""
import contextlib
import json
import os
import subprocess

from harness import BIN, SOURCES  # Of the end-to-end tests.

from measure import clients, compare, machine, servers
from measure.clients import Work

MIB = 1 << 20
SIZE = 512 * MIB

BUILD = os.path.dirname(BIN)
ENGINE = os.path.join(BUILD, "lib", "fio-atoll.so")

RAW = "raw file, io_uring"
WORK = (
    ("4 KiB random read, depth 1: latency", Work("randread", depth=1), "latency_us"),
    ("4 KiB random read, depth 32", Work("randread"), "iops"),
    ("4 KiB random write, depth 1: latency", Work("randwrite", depth=1), "latency_us"),
    ("4 KiB random write, depth 32", Work("randwrite"), "iops"),
)
# Past the page cache, at depth 32.
FUSED_GOAL, ISOLATED_GOAL = 0.95, 0.88


def fio(engine, work, seconds, seed):
    """On the client's CPU. Latency is `lat`, for some engines do all the work as they submit."""
    command = ["fio", "--name=b", *engine, f"--rw={work.mode}", f"--bs={work.block}",
               f"--iodepth={work.depth}", f"--size={SIZE}", "--time_based",
               f"--runtime={seconds}", "--norandommap", f"--randseed={seed}",
               "--refill_buffers=0", "--lat_percentiles=1", "--output-format=json"]
    with machine.on_cpu(machine.CLIENT_CPU):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    job = json.loads(done.stdout[done.stdout.index("{"):])["jobs"][0]
    side = job["write" if work.mode.endswith("write") else "read"]
    return {"iops": side["iops"], "latency_us": side["lat_ns"]["mean"] / 1000,
            "p99_us": side["lat_ns"]["percentile"]["99.000000"] / 1000,
            "requests": side["total_ios"]}


class Contender:
    """fio with some engine. What is asked of the node costs it CPU time; of a file, fio itself."""

    def __init__(self, name, engine, server=None):
        self.name, self.engine, self.server = name, engine, server

    def sample(self, work, seconds, seed):
        pids = self.server.pids() if self.server else []
        before = machine.cpu_ns(pids)
        out = fio(self.engine, work, seconds, seed)
        if pids:
            out["cpu_us"] = (machine.cpu_ns(pids) - before) / 1000 / max(out["requests"], 1)
        return out


def build_engine():
    """Only for who measures this area: it needs the source of the fio that is installed."""
    compare.progress("fio's headers, and the engine")
    environment = {**os.environ, "ATOLL_BUILD": BUILD}
    for command in ([os.path.join(SOURCES, "tools", "dev", "fio-headers")], ["cmake", BUILD],
                    ["ninja", "-C", BUILD, "fio-atoll"]):
        done = subprocess.run(command, cwd=SOURCES, env=environment, capture_output=True, text=True,
                              check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def through_engine(server):
    socket = os.path.join(server.node.state, "local.sock")
    return [f"--ioengine=external:{ENGINE}", f"--socket={socket}", f"--volume={server.export}"]


def through_nbd(server):
    return ["--ioengine=nbd", f"--uri={server.uri}"]


def raw_file(path, direct):
    # What is in the page cache stays there.
    return ["--ioengine=io_uring", "--fixedbufs", "--registerfiles", f"--filename={path}",
            f"--direct={direct}", "--invalidate=0"]


def can_be_direct(path):
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECT))
    except OSError:
        return False
    return True


def make_raw(path):
    """As clients.fill makes a volume: every byte written, in a row, and durable."""
    with open(path, "wb") as file:
        for _ in range(SIZE // MIB):
            file.write(b"\xa5" * MIB)
        file.flush()
        os.fsync(file.fileno())


def run(options, report):
    build_engine()
    image = os.path.join(options.folder, "raw")
    make_raw(image)
    _run_cached(image, options, report)
    if can_be_direct(image):
        _run_direct(image, options, report)
    else:
        print("this file system has no direct I/O, so that is not measured")


def _run_cached(image, options, report):
    with contextlib.ExitStack() as stack:
        contenders = []
        for kind in (servers.AtollServer, servers.AtollIsolated):
            server = _start(kind, options, stack)
            contenders += [Contender(kind.name, through_engine(server), server),
                           Contender(f"{kind.name}, nbd", through_nbd(server), server)]
        contenders.append(Contender(RAW, raw_file(image, 0)))
        for name, work, metric in WORK:
            samples = _samples(name, work, contenders, options)
            if samples:
                report.add(name, samples, metric)


def _run_direct(image, options, report):
    fused, isolated = servers.AtollDirect.name, servers.AtollDirectIsolated.name
    with contextlib.ExitStack() as stack:
        contenders = [Contender(RAW, raw_file(image, 1))]
        for kind in (servers.AtollDirect, servers.AtollDirectIsolated):
            server = _start(kind, options, stack)
            contenders.append(Contender(kind.name, through_engine(server), server))
        for name, work, metric in WORK:
            name = f"direct: {name}"
            samples = _samples(name, work, contenders, options)
            if not samples:
                continue
            deep = work.depth > 1
            report.add(name, {key: samples[key] for key in (fused, RAW)}, metric,
                       {RAW: FUSED_GOAL} if deep else None, ours=fused)
            report.add(f"{name}, isolated", {key: samples[key] for key in (isolated, RAW)}, metric,
                       {RAW: ISOLATED_GOAL} if deep else None, ours=isolated)


def _start(kind, options, stack):
    compare.progress(f"starting {kind.name}")
    folder = kind.name.replace(" ", "-").replace(",", "")
    server = kind(os.path.join(options.folder, folder), SIZE)
    server.start()
    stack.callback(server.stop)
    clients.fill(server)
    return server


def _samples(name, work, contenders, options):
    """None: not wanted."""
    if options.match not in name:
        return None
    by_name = {one.name: one for one in contenders}
    seeds = iter(range(1, 1 << 30))

    def measure(contender):
        return by_name[contender].sample(work, options.seconds, next(seeds))

    return compare.interleave(by_name, measure, options.rounds, name)
