#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A disk that refuses to write back what was acknowledged and not flushed. The next flush says so,
whatever happens in between: also if the kernel has told somebody else by then, and the process of
the store that would have been told has died (attack S13)."""
import glob
import os

import leftovers
from harness import MIB, PLACEMENT, E2eTest, has_tools, main, must
from nbd_client import Client, NbdError

STORE = "store refusing"


@has_tools("mkfs.ext4", "mount", "losetup")
class FailingDisk(E2eTest):
    def setUp(self):
        super().setUp()
        self.below, mounted = self.path("below"), self.path("mounted")
        os.mkdir(self.below)
        os.mkdir(mounted)
        must("mount", "-t", "tmpfs", "-o", "size=32M", "tmpfs", self.below)
        image = os.path.join(self.below, "image")
        with open(image, "wb") as file:
            file.truncate(128 * MIB)
        must("mkfs.ext4", "-q", "-F", "-O", "^has_journal", image)
        must("mount", "-o", "loop", image, mounted)
        self.store = os.path.join(mounted, "store")
        self.node = self.new_node()
        with open(self.node.config, "a", encoding="utf-8") as file:
            file.write(f"[store refusing]\ndriver = file\npath = {self.store}\n"
                       "option.reserve = 1M\n")
        self.node.start()
        self.node.ok("volume", "create", "v", "--size", "64M", "--store", "refusing")

    def tearDown(self):
        try:
            super().tearDown()
        finally:
            must("umount", "-l", self.path("mounted"))
            must("umount", "-l", self.below)

    def refuse(self):
        """From now on the disk takes no block that it had not before."""
        try:
            with open(os.path.join(self.below, "filler"), "wb", buffering=0) as file:
                while True:
                    file.write(bytes(64 * 1024))
        except OSError:
            pass

    def hear_everything(self):
        """Somebody else syncs the files of the store, and is told what is lost; then the kernel has
        nothing left to tell to who opens them now."""
        told = 0
        for path in glob.glob(self.store + "/blobs/*/0"):
            descriptor = os.open(path, os.O_RDONLY)
            while True:
                try:
                    os.fsync(descriptor)
                    break
                except OSError:
                    told += 1
            os.close(descriptor)
        self.assertGreater(told, 0, "the disk has not refused")

    def test_attack_s13_a_flush_fails_that_lost_bytes_were_written_before(self):
        durable = self.random.randbytes(MIB)
        with Client(self.node.socket, "v") as client:
            client.write(0, durable)
            client.flush()
            client.write(8 * MIB, bytes(4096))
            client.flush()
            self.refuse()
            for step in range(8):
                client.write((8 + step) * MIB, b"lost" * (MIB // 4))
            self.hear_everything()
            if PLACEMENT == "isolated":
                pid = next(p["pid"] for p in self.node.status()["peers"] if p["name"] == STORE)
                leftovers.kill_and_wait([pid])
            for attempt in range(3):
                with self.assertRaises(NbdError, msg=f"flush {attempt}"):
                    client.flush()
            with self.assertRaises(NbdError):
                client.write(0, b"x" * 4096)
            self.assertEqual(client.read(0, MIB), durable)


if __name__ == "__main__":
    main()
