#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A long chain of snapshots: each of them reads back exactly, also after others went."""
from harness import GIB, MIB, TIB, E2eTest, has_tools, main
from nbd_client import WRITE, Client

LENGTH = 500
WRITES = 64
BLOCK = 4096
BLOCKS = 512
# Not at the beginning, and over the edge of a node of the map.
START = 17 * TIB - MIB


@has_tools("mkfs.ext4", "mount", "losetup")
class Chain(E2eTest):
    def setUp(self):
        super().setUp()
        # Where files of many extents are removed quickly also if the host's disk is slow at that.
        self.node = self.node_on_own_disk(GIB)
        self.node.ok("volume", "create", "disk", "--size", "64T")
        self.now = [bytes(BLOCK)] * BLOCKS
        # Snapshot -> what it holds; blocks are shared, so this is small.
        self.kept = {}

    def write_some(self, client, step):
        chosen = self.random.sample(range(BLOCKS), WRITES)
        for block in chosen:
            data = (b"%08d/%04d." % (step, block)) * (BLOCK // 14) + bytes(BLOCK % 14)
            client.submit(WRITE, offset=START + block * BLOCK, data=data)
            self.now[block] = data
        while client.in_flight:
            client.wait()

    def check(self, names):
        for name in names:
            with Client(self.node.socket, name) as client:
                found = client.read(START, BLOCKS * BLOCK)
            if found != b"".join(self.kept[name]):
                wrong = [block for block in range(BLOCKS)
                         if found[block * BLOCK:(block + 1) * BLOCK] != self.kept[name][block]]
                self.fail(f"{name} differs in {len(wrong)} blocks, the first is {wrong[0]}")

    def remove(self, names):
        for name in names:
            self.node.ok("snapshot", "remove", name)
            del self.kept[name]

    def test_each_of_500_snapshots_reads_back_exactly(self):
        with Client(self.node.socket, "disk") as client:
            for step in range(LENGTH):
                self.write_some(client, step)
                name = f"disk@{step}"
                self.node.ok("snapshot", "create", "disk", name)
                self.kept[name] = list(self.now)
        self.check(self.kept)
        self.node.stop()
        self.node.start()
        # Some of them go, in no order, and with them what only they held; their neighbours stay.
        gone = self.random.sample(range(1, LENGTH - 1), 40) + [0, LENGTH - 1]
        self.remove(sorted({f"disk@{step}" for step in gone}))
        self.assertGreater(self.node.json("gc")["freed_bytes"], 0)
        near = {f"disk@{step + side}" for step in gone for side in (-1, 1)}
        self.check(sorted(near & self.kept.keys()))
        self.kept["disk"] = self.now
        self.check(["disk"])
        self.node.kill()
        self.node.start()
        self.check(["disk"])


if __name__ == "__main__":
    main()
