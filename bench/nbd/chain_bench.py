#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast a volume with 500 snapshots below it reads, over NBD, against one that has none.

    chain_bench.py FOLDER [--rounds N] [--seconds S] [--depth D ...]

Two volumes get the same writes: 64 MiB, then 500 times 64 random 4 KiB ones among them. One of them
is snapshotted before each of the 500. Then fio's nbd engine reads 4 KiB at random, one volume after
the other, round by round; the medians of the rates and of the ratios are printed. The node runs on
the first CPU and fio on the second, where there are two. FOLDER is made, used and removed.
"""
import argparse
import json
import os
import random
import shutil
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests",
                                "e2e"))
from harness import MIB, Node, must  # noqa: E402
from nbd_client import WRITE, Client  # noqa: E402

SPAN = 64 * MIB
BLOCK = 4096
SNAPSHOTS = 500
WRITES = 64


def fill(node, name, chain):
    chance = random.Random(7)
    with Client(node.socket, name) as client:
        for offset in range(0, SPAN, MIB):
            client.write(offset, chance.randbytes(MIB))
        for step in range(SNAPSHOTS):
            if chain:
                node.ok("snapshot", "create", name, f"{name}@{step}")
            for _ in range(WRITES):
                offset = chance.randrange(SPAN // BLOCK) * BLOCK
                client.submit(WRITE, offset=offset, data=chance.randbytes(BLOCK))
            while client.in_flight:
                client.wait()
        client.flush()


def reads_per_second(node, name, depth, seconds):
    pinned = ["taskset", "-c", "1"] if os.cpu_count() > 1 else []
    said = must(*pinned, "fio", "--name=r", "--ioengine=nbd", f"--uri={node.uri(name)}",
                "--rw=randread", "--bs=4k", f"--size={SPAN}", f"--iodepth={depth}", "--time_based",
                f"--runtime={seconds}", "--norandommap", "--output-format=json")
    return json.loads(said[said.index("{"):])["jobs"][0]["read"]["iops"]


def compare(node, depth, rounds, seconds):
    rates = {"flat": [], "chain": []}
    for _ in range(rounds):  # Interleaved: machines are noisy.
        for name, list_ in rates.items():
            list_.append(reads_per_second(node, name, depth, seconds))
    ratios = [chain / flat for flat, chain in zip(rates["flat"], rates["chain"])]
    print(f"depth {depth:>2}: flat {statistics.median(rates['flat']):>8.0f}/s, "
          f"chain {statistics.median(rates['chain']):>8.0f}/s, ratio "
          f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--depth", type=int, nargs="+", default=[1, 32])
    options = parser.parse_args()
    os.makedirs(options.folder)
    try:
        node = Node(options.folder).start()
        try:
            if os.cpu_count() > 1:
                must("taskset", "-a", "-p", "-c", "0", node.pid)
            for name in ("flat", "chain"):
                node.ok("volume", "create", name, "--size", "1G")
                fill(node, name, chain=name == "chain")
            for depth in options.depth:
                compare(node, depth, options.rounds, options.seconds)
        finally:
            node.stop()
    finally:
        shutil.rmtree(options.folder)


if __name__ == "__main__":
    main()
