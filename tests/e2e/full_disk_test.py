#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A store whose file system is full: writes fail with the right error, nothing that was
acknowledged is lost, and room can be made by the verbs of the node."""
import errno
import os

from harness import KIB, MIB, E2eTest, has_tools, main, must
from nbd_client import Client, NbdError

FILE_SYSTEM = 256 * MIB


@has_tools("mkfs.ext4", "mount", "losetup")
class FullDisk(E2eTest):
    def setUp(self):
        super().setUp()
        self.node = self.node_on_own_disk(FILE_SYSTEM)
        self.node.ok("volume", "create", "kept", "--size", "64M")
        self.node.ok("volume", "create", "filler", "--size", "1G")
        self.kept = self.random.randbytes(MIB)
        with Client(self.node.socket, "kept") as client:
            client.write(0, self.kept)
            client.flush()

    def fill(self):
        """Writes until the store refuses; returns how much was acknowledged."""
        with Client(self.node.socket, "filler") as client:
            for step in range(FILE_SYSTEM // MIB + 1):
                try:
                    client.write(step * MIB, bytes([1 + step % 250]) * MIB)
                except NbdError as error:
                    self.assertEqual(error.code, errno.ENOSPC)
                    # Smaller pieces until not even a block fits.
                    for piece in range(MIB // (64 * KIB)):
                        try:
                            client.write(step * MIB + piece * 64 * KIB, b"p" * (64 * KIB))
                        except NbdError as refused:
                            self.assertEqual(refused.code, errno.ENOSPC)
                            return step
        self.fail("the store never became full")

    def assert_intact(self, steps):
        with Client(self.node.socket, "filler") as client:
            for step in range(steps):
                self.assertEqual(client.read(step * MIB, MIB), bytes([1 + step % 250]) * MIB, step)
        with Client(self.node.socket, "kept") as client:
            self.assertEqual(client.read(0, MIB), self.kept)

    def test_a_full_store_refuses_data_and_keeps_what_it_has(self):
        steps = self.fill()
        self.assertGreater(steps, 100)
        self.assert_intact(steps)
        with Client(self.node.socket, "filler") as client:
            # In place, and a flush, need no room.
            client.write(0, bytes([1]) * MIB)
            client.flush()
        self.node.stop()
        self.node.start()
        self.assert_intact(steps)

    def test_metadata_goes_on_out_of_the_reserve(self):
        steps = self.fill()
        self.node.ok("snapshot", "create", "kept", "kept@1")
        self.node.ok("volume", "create", "clone", "--from", "kept@1")
        self.node.ok("volume", "rename", "clone", "renamed")
        self.node.ok("volume", "remove", "renamed")
        self.node.ok("snapshot", "remove", "kept@1")
        self.assert_intact(steps)

    def test_room_is_made_by_removing_and_collecting(self):
        self.fill()
        self.node.ok("close", "filler")
        self.node.ok("volume", "remove", "filler")
        self.node.ok("gc")
        with Client(self.node.socket, "kept") as client:
            client.write(8 * MIB, b"n" * (32 * MIB))
            client.flush()
            self.assertEqual(client.read(0, MIB), self.kept)
            self.assertEqual(client.read(8 * MIB, 32 * MIB), b"n" * (32 * MIB))

    def test_room_is_made_by_trimming(self):
        steps = self.fill()
        with Client(self.node.socket, "filler") as client:
            client.trim(0, steps * MIB)
            client.flush()
            client.write(0, b"n" * (32 * MIB))
            self.assertEqual(client.read(0, 32 * MIB), b"n" * (32 * MIB))
            self.assertEqual(client.read(32 * MIB, MIB), bytes(MIB))

    def test_a_killed_node_starts_on_a_full_store(self):
        steps = self.fill()
        self.node.kill()
        self.node.start()
        self.assert_intact(steps)

    def test_a_node_restarts_on_a_disk_without_a_free_byte_and_makes_room(self):
        self.fill()
        self.node.ok("close", "filler")
        ballast = os.path.join(os.path.dirname(self.node.state), "ballast")
        with open(ballast, "wb", buffering=0) as file:
            for piece in (b"b" * MIB, b"b" * 512):
                try:
                    while True:
                        file.write(piece)
                except OSError as error:
                    self.assertEqual(error.errno, errno.ENOSPC)
        self.node.pid = self.node.json("node", "restart")["pid"]
        self.node.ok("volume", "remove", "filler")
        self.node.ok("gc")
        with Client(self.node.socket, "kept") as client:
            client.write(8 * MIB, b"n" * (32 * MIB))
            self.assertEqual(client.read(0, MIB), self.kept)

    def test_an_import_that_does_not_fit_is_refused_and_leaves_nothing(self):
        image = self.path("big")
        must("dd", "if=/dev/urandom", f"of={image}", "bs=1M", f"count={FILE_SYSTEM // MIB}")
        self.refused(self.node, "volume", "import", image, "big", names="big")
        self.assertEqual(self.node.ok("volume", "list", "--quiet").split(), ["filler", "kept"])
        self.node.ok("gc")
        with Client(self.node.socket, "kept") as client:
            client.write(0, self.kept[::-1])
            self.assertEqual(client.read(0, MIB), self.kept[::-1])


if __name__ == "__main__":
    main()
