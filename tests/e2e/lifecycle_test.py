#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The life of volumes, snapshots and clones through the CLI, with the bytes read over NBD."""
import json
import os

from harness import (GIB, KIB, MIB, PIB, TIB, E2eTest, disk_usage, has_tools, main, must, run)
from nbd_client import Client, NbdError

LONGEST_NAME = 200


class LifecycleTest(E2eTest):
    def setUp(self):
        super().setUp()
        self.node = self.started_node()

    def create(self, name, size=64 * MIB, *more):
        self.node.ok("volume", "create", name, "--size", size, *more)

    def clone(self, name, snapshot, *more):
        self.node.ok("volume", "create", name, "--from", snapshot, *more)

    def snapshot(self, volume, name):
        self.node.ok("snapshot", "create", volume, name)

    def client(self, name, node=None):
        client = Client((node or self.node).socket, name)
        self.addCleanup(client.close)
        return client

    def write(self, name, offset, data):
        with Client(self.node.socket, name) as client:
            client.write(offset, data)

    def read(self, name, offset, length):
        with Client(self.node.socket, name) as client:
            return client.read(offset, length)

    def names(self, kind):
        return sorted(found["name"] for found in self.node.json(kind, "list"))

    def show(self, name, kind="volume"):
        return self.node.json(kind, "show", name)


class Volumes(LifecycleTest):
    def test_a_new_volume_is_listed_shown_and_reads_as_zeros(self):
        self.create("a", GIB)
        shown = self.show("a")
        self.assertEqual((shown["name"], shown["kind"], shown["size"]), ("a", "volume", GIB))
        self.assertEqual(shown["nbd_uri"], self.node.uri("a"))
        self.assertEqual(self.names("volume"), ["a"])
        self.assertEqual(self.node.ok("volume", "list", "--quiet").split(), ["a"])
        self.assertEqual(self.read("a", GIB - MIB, MIB), bytes(MIB))
        self.assertEqual(self.show("uuid:" + shown["uuid"])["name"], "a")

    def test_a_grown_volume_ends_in_zeros_and_keeps_what_it_had(self):
        self.create("a", 10 * MIB)
        self.write("a", 10 * MIB - 4096, b"x" * 4096)
        self.node.ok("volume", "resize", "a", "--size", "20M")
        self.assertEqual(self.show("a")["size"], 20 * MIB)
        self.assertEqual(self.read("a", 10 * MIB - 4096, 8192), b"x" * 4096 + bytes(4096))
        self.write("a", 20 * MIB - 512, b"y" * 512)

    def test_a_shrink_needs_force_and_what_is_cut_off_does_not_come_back(self):
        self.create("a", 20 * MIB)
        with Client(self.node.socket, "a") as client:
            client.write(0, b"x" * (20 * MIB))
        self.refused(self.node, "volume", "resize", "a", "--size", "5M", names=["a", "--force"])
        self.assertEqual(self.show("a")["size"], 20 * MIB)
        cut = 5 * MIB + 1536
        self.node.ok("close", "a")
        self.node.ok("volume", "resize", "a", "--size", cut, "--force")
        self.assertEqual(self.show("a")["size"], cut)
        self.node.ok("volume", "resize", "a", "--size", "20M")
        self.assertEqual(self.read("a", 0, cut), b"x" * cut)
        self.assertEqual(self.read("a", cut, 10 * MIB), bytes(10 * MIB))

    def test_a_shrink_keeps_a_snapshot_whole(self):
        self.create("a", 8 * MIB)
        self.write("a", 0, b"x" * (8 * MIB))
        self.snapshot("a", "a@1")
        self.node.ok("close", "a")
        self.node.ok("volume", "resize", "a", "--size", "1M", "--force")
        self.assertEqual(self.read("a@1", 0, 8 * MIB), b"x" * (8 * MIB))

    def test_a_renamed_volume_is_the_same_volume_under_its_new_name_only(self):
        self.create("a")
        self.write("a", 0, b"x" * 4096)
        uuid = self.show("a")["uuid"]
        self.create("taken")
        self.refused(self.node, "volume", "rename", "a", "taken", names="taken")
        self.node.ok("volume", "rename", "a", "b/c")
        self.assertEqual(self.show("b/c")["uuid"], uuid)
        self.assertEqual(self.read("b/c", 0, 4096), b"x" * 4096)
        self.refused(self.node, "volume", "show", "a", names="a")
        self.create("a")
        self.assertEqual(self.read("a", 0, 4096), bytes(4096))

    def test_a_removed_volume_is_gone_and_its_name_free(self):
        self.create("a")
        self.write("a", 0, b"x" * 4096)
        self.node.ok("volume", "remove", "a")
        self.assertEqual(self.names("volume"), [])
        self.refused(self.node, "volume", "show", "a", names="a")
        with self.assertRaises(NbdError):
            Client(self.node.socket, "a")
        self.create("a")
        self.assertEqual(self.read("a", 0, 4096), bytes(4096))

    def test_a_volume_of_a_pebibyte_is_written_at_both_ends(self):
        self.create("huge", "1P")
        self.assertEqual(self.show("huge")["size"], PIB)
        client = self.client("huge")
        self.assertEqual(client.size, PIB)
        client.write(0, b"first" * 1000)
        client.write(PIB - 5000, b"laste" * 1000)
        client.write(PIB // 2 - 7, b"middle of it")
        client.flush()
        self.snapshot("huge", "huge@1")
        client.write(PIB - 10, b"0123456789")
        client.close()
        self.node.stop()
        self.node.start()
        self.assertEqual(self.read("huge", 0, 5001), b"first" * 1000 + b"\0")
        self.assertEqual(self.read("huge", PIB // 2 - 7, 12), b"middle of it")
        self.assertEqual(self.read("huge", PIB - 5001, 5001),
                         b"\0" + b"laste" * 998 + b"0123456789")
        self.assertEqual(self.read("huge@1", PIB - 5001, 5001), b"\0" + b"laste" * 1000)
        self.assertLess(disk_usage(self.node.store), 80 * MIB)
        self.refused(self.node, "volume", "create", "more", "--size", PIB + 512, names="more")

    def test_the_last_sector_of_an_odd_size_is_there_and_nothing_behind_it(self):
        self.create("odd", 10 * MIB + 512)
        client = self.client("odd")
        client.write(10 * MIB, b"z" * 512)
        self.assertEqual(client.read(10 * MIB - 512, 1024), bytes(512) + b"z" * 512)
        with self.assertRaises(NbdError):
            client.write(10 * MIB + 512, b"z" * 512)
        with self.assertRaises(NbdError):
            client.read(10 * MIB, 1024)
        self.assertEqual(client.read(10 * MIB, 512), b"z" * 512)


class Snapshots(LifecycleTest):
    def test_a_snapshot_keeps_its_bytes_and_lists_under_its_volume(self):
        self.create("a")
        self.create("b")
        client = self.client("a")
        for version in range(1, 9):
            client.write(version * 4096 - 1000, bytes([version]) * 5000)
            self.snapshot("a", f"a@{version}")
        self.snapshot("b", "b@1")
        self.assertEqual(len(self.node.json("snapshot", "list", "a")), 8)
        self.assertEqual(len(self.node.json("snapshot", "list")), 9)
        self.assertEqual(self.show("a@3", "snapshot")["parent"], "a")
        wanted = bytearray(64 * KIB)
        for version in range(1, 9):
            start = version * 4096 - 1000
            wanted[start:start + 5000] = bytes([version]) * 5000
            self.assertEqual(self.read(f"a@{version}", 0, 64 * KIB), bytes(wanted), version)

    def test_clones_of_snapshots_of_clones_read_through_all_of_them(self):
        self.create("a")
        self.write("a", 0, b"1" * 16384)
        self.snapshot("a", "a@1")
        self.clone("b", "a@1")
        self.write("b", 4096, b"2" * 4096)
        self.snapshot("b", "b@1")
        self.clone("c", "b@1")
        self.write("c", 8192, b"3" * 4096)
        for name in ("a", "a@1", "b"):
            wanted = {"b": b"1" * 4096 + b"2" * 4096 + b"1" * 8192}.get(name, b"1" * 16384)
            self.assertEqual(self.read(name, 0, 16384), wanted, name)
        self.node.ok("volume", "remove", "a")
        self.node.ok("snapshot", "remove", "a@1")
        self.node.ok("volume", "remove", "b")
        self.node.ok("snapshot", "remove", "b@1")
        self.node.ok("gc")
        self.node.stop()
        self.node.start()
        self.assertEqual(self.read("c", 0, 20480),
                         b"1" * 4096 + b"2" * 4096 + b"3" * 4096 + b"1" * 4096 + bytes(4096))

    def test_a_clone_may_be_larger_and_not_smaller(self):
        self.create("a", 16 * MIB)
        self.write("a", 16 * MIB - 4096, b"x" * 4096)
        self.snapshot("a", "a@1")
        self.clone("big", "a@1", "--size", "1T")
        self.assertEqual(self.show("big")["size"], TIB)
        self.assertEqual(self.read("big", 16 * MIB - 4096, 8192), b"x" * 4096 + bytes(4096))
        self.write("big", TIB - 4096, b"y" * 4096)
        self.refused(self.node, "volume", "create", "small", "--from", "a@1", "--size", "8M",
                     names=["small", "a@1"])

    def test_a_rollback_restores_bytes_and_size(self):
        self.create("a", 16 * MIB)
        self.write("a", 0, b"1" * MIB)
        self.snapshot("a", "a@1")
        self.write("a", 4096, b"2" * MIB)
        self.node.ok("close", "a")
        self.node.ok("volume", "resize", "a", "--size", "32M")
        self.write("a", 20 * MIB, b"3" * MIB)
        self.snapshot("a", "a@2")
        self.node.ok("close", "a")
        self.node.ok("volume", "rollback", "a", "--to", "a@1")
        self.assertEqual(self.show("a")["size"], 16 * MIB)
        self.assertEqual(self.read("a", 0, 2 * MIB), b"1" * MIB + bytes(MIB))
        self.write("a", 0, b"4" * 512)
        self.node.ok("close", "a")
        self.node.ok("volume", "rollback", "a", "--to", "a@2")
        self.assertEqual(self.read("a", 0, 2 * MIB),
                         b"1" * 4096 + b"2" * MIB + bytes(MIB - 4096))
        self.assertEqual(self.read("a", 20 * MIB, MIB), b"3" * MIB)
        self.assertEqual(self.read("a@1", 0, 2 * MIB), b"1" * MIB + bytes(MIB))

    def test_a_rollback_to_what_is_no_snapshot_of_the_volume_is_refused(self):
        self.create("a")
        self.create("b")
        self.snapshot("b", "b@1")
        self.refused(self.node, "volume", "rollback", "a", "--to", "b@1", names=["a", "b@1"])
        self.refused(self.node, "volume", "rollback", "a", "--to", "none", names="none")
        self.refused(self.node, "volume", "rollback", "a", "--to", "b", names="b")

    def test_each_kind_is_named_when_it_is_mistaken(self):
        self.create("a")
        self.snapshot("a", "a@1")
        self.refused(self.node, "snapshot", "remove", "a", names="a")
        self.refused(self.node, "volume", "remove", "a@1", names="a@1")
        self.refused(self.node, "volume", "create", "c", "--from", "a", names="a")
        self.refused(self.node, "snapshot", "create", "a@1", "a@2", names="a@1")
        self.refused(self.node, "snapshot", "create", "a", "a@1", names="a@1")
        self.refused(self.node, "volume", "resize", "a@1", "--size", "1G", names="a@1")


class Images(LifecycleTest):
    def image(self):
        path = self.path("image")
        with open(path, "wb") as file:
            file.truncate(300 * MIB)
            for offset in (0, 64 * MIB, 200 * MIB - 3000, 300 * MIB - 512):
                file.seek(offset)
                file.write(self.random.randbytes(min(2 * MIB, 300 * MIB - offset)))
        return path

    def test_an_image_comes_back_as_it_was_and_as_sparse(self):
        image, back = self.image(), self.path("back")
        before = disk_usage(self.node.store)
        self.node.ok("volume", "import", image, "disk")
        self.assertLess(disk_usage(self.node.store) - before, 12 * MIB)
        self.assertEqual(self.show("disk")["size"], 300 * MIB)
        self.node.ok("volume", "export", "disk", back)
        must("cmp", image, back)
        self.assertLess(os.stat(back).st_blocks * 512, 12 * MIB)
        self.refused(self.node, "volume", "export", "disk", back, names=[back, "--force"])
        self.write("disk", 100 * MIB, b"changed")
        self.node.ok("volume", "export", "disk", back, "--force")
        self.assertEqual(run("cmp", "-s", image, back).returncode, 1)

    def test_a_snapshot_is_exported_while_its_volume_goes_on(self):
        image, back = self.image(), self.path("back")
        self.node.ok("volume", "import", image, "disk")
        self.snapshot("disk", "disk@1")
        self.write("disk", 0, b"x" * MIB)
        self.node.ok("volume", "export", "disk@1", back)
        must("cmp", image, back)

    def test_import_names_what_is_wrong(self):
        missing, empty = self.path("missing"), self.path("empty")
        self.refused(self.node, "volume", "import", missing, "disk", names=missing)
        with open(empty, "wb"):
            pass
        self.refused(self.node, "volume", "import", empty, "disk", names="empty")
        self.refused(self.node, "volume", "import", self.work, "disk", names=self.work)
        image = self.image()
        self.create("taken")
        self.refused(self.node, "volume", "import", image, "taken", names="taken")
        self.refused(self.node, "volume", "import", image, "a b", names="a b")
        self.assertEqual(self.names("volume"), ["taken"])
        self.refused(self.node, "volume", "export", "taken", "/nonexistent/file",
                     names="/nonexistent/file")

    @has_tools("qemu-img")
    def test_what_was_imported_is_what_qemu_reads(self):
        image = self.image()
        self.node.ok("volume", "import", image, "disk")
        said = must("qemu-img", "compare", "-f", "raw", "-F", "raw", image, self.node.uri("disk"))
        self.assertIn("identical", said)
        extents = json.loads(must("qemu-img", "map", "-f", "raw", "--output=json",
                                  self.node.uri("disk")))
        self.assertLess(sum(e["length"] for e in extents if e["data"]), 12 * MIB)


class Space(LifecycleTest):
    def test_gc_gives_back_what_removed_volumes_held_and_nothing_else(self):
        # One more volume than is removed, so that what they share stays.
        noise = self.random.randbytes(MIB)
        self.create("kept")
        self.create("a")
        for offset in range(0, 32 * MIB, MIB):
            self.write("a", offset, noise)
        self.write("kept", 0, noise)
        self.snapshot("a", "a@1")
        self.clone("c", "a@1")
        self.write("c", 0, b"x" * MIB)
        full = disk_usage(self.node.store)
        self.node.ok("volume", "remove", "a")
        self.node.ok("snapshot", "remove", "a@1")
        self.node.ok("gc")
        self.assertGreater(disk_usage(self.node.store), full - 2 * MIB)
        self.assertEqual(self.read("c", 0, 2 * MIB), b"x" * MIB + noise)
        self.node.ok("volume", "remove", "c")
        told = self.node.json("gc", "--dry-run")
        self.assertTrue(told["dry_run"])
        self.assertGreater(told["freed_bytes"], 32 * MIB)
        self.assertGreater(disk_usage(self.node.store), full - 2 * MIB)
        done = self.node.json("gc")
        self.assertGreater(done["freed_bytes"], 32 * MIB)
        self.assertLess(disk_usage(self.node.store), full - 32 * MIB)
        self.assertEqual(self.read("kept", 0, 2 * MIB), noise + bytes(MIB))
        again = self.node.json("gc")
        self.assertEqual((again["blobs"], again["freed_bytes"]), (0, 0))

    def test_space_is_told_true_exclusive_and_shared(self):
        self.create("a")
        self.write("a", 0, b"x" * (8 * MIB))
        self.snapshot("a", "a@1")
        self.write("a", 0, b"y" * (2 * MIB))
        volume, snapshot = self.show("a")["space"], self.show("a@1", "snapshot")["space"]
        for space in (volume, snapshot):
            self.assertEqual(space["true"], space["exclusive"] + space["shared"])
        self.assertGreaterEqual(volume["shared"], 6 * MIB)
        self.assertGreaterEqual(volume["exclusive"], 2 * MIB)
        self.assertLess(volume["exclusive"], 4 * MIB)

    def test_a_trimmed_range_gives_its_space_back(self):
        self.create("a")
        before = disk_usage(self.node.store)
        client = self.client("a")
        client.write(0, b"x" * (16 * MIB))
        self.assertGreaterEqual(disk_usage(self.node.store) - before, 16 * MIB)
        client.trim(0, 16 * MIB)
        client.flush()
        self.assertLess(disk_usage(self.node.store) - before, MIB)


if __name__ == "__main__":
    main()
