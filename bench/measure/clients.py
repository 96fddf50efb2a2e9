# SPDX-License-Identifier: Apache-2.0
"""Clients on the client's CPU, and one sample of a server under each of them."""
import json
import os
import subprocess

from harness import BIN  # Of the end-to-end tests.

from measure import machine

NBDBLAST = os.path.join(BIN, "nbdblast")


class Work:
    """What is asked of a server. mode: randread, randwrite, read, write."""

    def __init__(self, mode, depth=32, block=4096, fua=False, flush_every=0):
        self.mode, self.depth, self.block = mode, depth, block
        self.fua, self.flush_every = fua, flush_every


def _run(command):
    with machine.on_cpu(machine.CLIENT_CPU):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                              check=False, timeout=600)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stdout[-2000:]}{done.stderr}")
    return json.loads(done.stdout[done.stdout.index("{"):])


def fio(server, work, seconds, seed, span):
    """fio's nbd engine, which is libnbd."""
    command = ["fio", "--name=b", "--ioengine=nbd", f"--uri={server.uri}", f"--rw={work.mode}",
               f"--bs={work.block}", f"--iodepth={work.depth}", f"--size={span}",
               "--time_based", f"--runtime={seconds}", "--norandommap", f"--randseed={seed}",
               "--refill_buffers=0", "--output-format=json"]
    if work.flush_every:
        command.append(f"--fsync={work.flush_every}")
    job = _run(command)["jobs"][0]
    side = job["write" if work.mode.endswith("write") else "read"]
    return {"iops": side["iops"], "bytes_per_second": side["bw_bytes"],
            "latency_us": side["clat_ns"]["mean"] / 1000,
            "p99_us": side["clat_ns"]["percentile"]["99.000000"] / 1000,
            "requests": side["total_ios"]}


def nbdblast(server, work, seconds, seed, span):
    """Our own, which is hardly there."""
    command = [NBDBLAST, "--socket", server.socket, "--export", server.export, "--mode", work.mode,
               "--block", work.block, "--depth", work.depth, "--span", span, "--seconds",
               seconds, "--seed", seed]
    if work.fua:
        command.append("--fua")
    if work.flush_every:
        command += ["--flush-every", work.flush_every]
    said = _run(command)
    return {"iops": (said["requests"] - said["flushes"]) / said["seconds"],
            "bytes_per_second": said["bytes_per_second"],
            "latency_us": said["latency_ns"]["mean"] / 1000,
            "p99_us": said["latency_ns"]["p99"] / 1000, "requests": said["requests"]}


CLIENTS = {"fio": fio, "nbdblast": nbdblast}


def sample(server, client, work, seconds, seed, span=None):
    """With the server's CPU time for each request. span: only so many bytes of the image."""
    before = machine.cpu_ns(server.pids())
    out = CLIENTS[client](server, work, seconds, seed, span or server.size)
    used = machine.cpu_ns(server.pids()) - before
    out["cpu_us"] = used / 1000 / max(out["requests"], 1)
    return out


def warm(server):
    """Every block is read once, so that whatever is done at a first touch has been done."""
    blocks = server.size // 4096
    _run([NBDBLAST, "--socket", server.socket, "--export", server.export, "--mode", "read",
          "--block", 4096, "--depth", 32, "--requests", blocks, "--seconds", 600])


def fill(server):
    """Every byte once, in a row, by the same client for all, so that all images are alike."""
    blocks = server.size // (1 << 20)
    _run([NBDBLAST, "--socket", server.socket, "--export", server.export, "--mode", "write",
          "--block", 1 << 20, "--depth", 4, "--requests", blocks, "--seconds", 600])
    _run([NBDBLAST, "--socket", server.socket, "--export", server.export, "--mode", "write",
          "--block", 4096, "--depth", 1, "--requests", 1, "--flush-every", 1, "--seconds", 60])
