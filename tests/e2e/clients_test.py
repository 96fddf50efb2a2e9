#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The NBD clients that people use: libnbd's tools, QEMU's tools and fio."""
import json
import os

from harness import KIB, MIB, SEED, E2eTest, has_tools, main, must, run
from nbd_client import Client

SIZE = 96 * MIB
DATA, HOLE, ZERO, HOLE_AND_ZERO = 0, 1, 2, 3


class ClientTest(E2eTest):
    def setUp(self):
        super().setUp()
        self.node = self.started_node()
        self.node.ok("volume", "create", "disk", "--size", SIZE)
        self.uri = self.node.uri("disk")

    def sparse_image(self, name="image"):
        """A file of the volume's size: runs of random bytes, not aligned to anything, and holes."""
        path = self.path(name)
        with open(path, "wb") as file:
            file.truncate(SIZE)
            for _ in range(40):
                length = self.random.randrange(1, 400 * KIB)
                file.seek(self.random.randrange(SIZE - length))
                file.write(self.random.randbytes(length))
        return path

    def assert_same_files(self, one, two):
        must("cmp", one, two)

    def node_map(self, name="disk"):
        """(offset, length, type) of all extents, neighbours of one type made one."""
        extents = json.loads(must("nbdinfo", "--json", "--map", self.node.uri(name)))
        merged = []
        for extent in extents:
            if merged and merged[-1][2] == extent["type"]:
                merged[-1][1] += extent["length"]
            else:
                merged.append([extent["offset"], extent["length"], extent["type"]])
        return [tuple(extent) for extent in merged]


@has_tools("nbdinfo", "nbdcopy")
class Libnbd(ClientTest):
    def export(self, name):
        return json.loads(must("nbdinfo", "--json", self.node.uri(name)))["exports"][0]

    def test_nbdinfo_says_what_a_volume_and_a_snapshot_can(self):
        self.node.ok("snapshot", "create", "disk", "disk@1")
        volume, snapshot = self.export("disk"), self.export("disk@1")
        for export in (volume, snapshot):
            self.assertEqual(export["export-size"], SIZE)
            self.assertIn("base:allocation", export["contexts"])
            self.assertTrue(export["can_multi_conn"])
            self.assertTrue(export["can_df"])
            self.assertTrue(export["can_cache"])
        for what in ("can_fua", "can_flush", "can_trim", "can_zero", "can_fast_zero"):
            self.assertTrue(volume[what], what)
        self.assertFalse(volume["is_read_only"])
        self.assertTrue(snapshot["is_read_only"])

    def test_nbdinfo_lists_every_export(self):
        self.node.ok("snapshot", "create", "disk", "disk@1")
        self.node.ok("volume", "create", "a/clone", "--from", "disk@1")
        listed = json.loads(must("nbdinfo", "--json", "--list", self.node.uri("")))
        names = [export["export-name"] for export in listed["exports"]]
        self.assertEqual(sorted(names), ["a/clone", "disk", "disk@1"])

    def test_an_export_that_is_absent_is_refused(self):
        self.assertNotEqual(run("nbdinfo", self.node.uri("nothing")).returncode, 0)

    def test_the_map_tells_holes_from_data(self):
        self.assertEqual(self.node_map(), [(0, SIZE, HOLE_AND_ZERO)])
        with Client(self.node.socket, "disk") as client:
            client.write(8 * MIB, b"d" * MIB)
            client.write(16 * MIB, b"d" * (64 * KIB))
            data = [(0, 8 * MIB, HOLE_AND_ZERO), (8 * MIB, MIB, DATA),
                    (9 * MIB, 7 * MIB, HOLE_AND_ZERO), (16 * MIB, 64 * KIB, DATA),
                    (16 * MIB + 64 * KIB, SIZE - 16 * MIB - 64 * KIB, HOLE_AND_ZERO)]
            self.assertEqual(self.node_map(), data)
            self.node.ok("snapshot", "create", "disk", "disk@1")
            self.assertEqual(self.node_map(), data)
            client.trim(8 * MIB, MIB)
            self.assertEqual(self.node_map(), [(0, 16 * MIB, HOLE_AND_ZERO)] + data[3:])
            self.assertEqual(self.node_map("disk@1"), data)
            client.zero(16 * MIB, 64 * KIB)
            self.assertEqual(self.node_map(), [(0, SIZE, HOLE_AND_ZERO)])

    def test_nbdcopy_with_four_connections_goes_there_and_back(self):
        image, back = self.sparse_image(), self.path("back")
        must("nbdcopy", "--connections=4", "--requests=16", "--flush", image, self.uri)
        must("nbdcopy", "--connections=4", "--requests=16", self.uri, back)
        self.assert_same_files(image, back)
        # Holes come back as holes, up to the blocks of the file system at the edges of the data.
        self.assertLess(os.stat(back).st_blocks, 1.2 * os.stat(image).st_blocks + 2048)
        # Over data that was there before, and from export to export.
        other = self.sparse_image("other")
        must("nbdcopy", "--connections=4", "--request-size=65536", other, self.uri)
        self.node.ok("volume", "create", "copy", "--size", SIZE)
        must("nbdcopy", "--connections=4", self.uri, self.node.uri("copy"))
        must("nbdcopy", self.node.uri("copy"), back)
        self.assert_same_files(other, back)

    def test_a_stream_of_unknown_length_is_copied(self):
        image = self.sparse_image()
        must("bash", "-c", f"nbdcopy - '{self.uri}' < '{image}'")
        must("bash", "-c", f"nbdcopy '{self.uri}' - | cmp - '{image}'")


@has_tools("qemu-img", "qemu-io")
class Qemu(ClientTest):
    def io(self, *commands, export="disk", flags=()):
        words = [word for command in commands for word in ("-c", command)]
        done = run("qemu-io", *flags, "-f", "raw", *words, self.node.uri(export))
        said = done.stdout + done.stderr
        self.assertEqual(done.returncode, 0, said)
        self.assertNotIn("verification failed", said)
        return said

    def test_qemu_img_converts_compares_and_maps(self):
        image, qcow, back = self.sparse_image(), self.path("image.qcow2"), self.path("back")
        must("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", "-W", "-m", "8", image, self.uri)
        must("qemu-img", "compare", "-f", "raw", "-F", "raw", image, self.uri)
        must("qemu-img", "convert", "-f", "raw", "-O", "qcow2", self.uri, qcow)
        must("qemu-img", "compare", "-f", "qcow2", "-F", "raw", qcow, self.uri)
        self.node.ok("volume", "create", "second", "--size", SIZE)
        second = self.node.uri("second")
        must("qemu-img", "convert", "-n", "-f", "qcow2", "-O", "raw", qcow, second)
        must("qemu-img", "compare", "-f", "raw", "-F", "raw", self.uri, second)
        must("qemu-img", "convert", "-f", "raw", "-O", "raw", second, back)
        self.assert_same_files(image, back)
        extents = json.loads(must("qemu-img", "map", "-f", "raw", "--output=json", self.uri))
        self.assertEqual(sum(extent["length"] for extent in extents), SIZE)
        in_data = sum(extent["length"] for extent in extents if extent["data"])
        self.assertLess(in_data, SIZE // 2)
        with open(image, "rb") as file:
            for extent in extents:
                if extent["zero"]:
                    file.seek(extent["start"])
                    self.assertFalse(file.read(extent["length"]).strip(b"\0"), extent)

    def test_qemu_img_compare_finds_one_byte(self):
        image = self.sparse_image()
        must("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", image, self.uri)
        with Client(self.node.socket, "disk") as client:
            byte = client.read(12345678, 1)
            client.write(12345678, bytes([byte[0] ^ 1]))
        differs = run("qemu-img", "compare", "-f", "raw", "-F", "raw", image, self.uri)
        self.assertEqual(differs.returncode, 1, differs.stdout + differs.stderr)

    def test_patterns_aligned_and_unaligned(self):
        self.io("write -P 1 0 1M", "write -P 2 4096 4096", "write -P 3 1536 512", "write -P 4 700 3",
                "write -f -P 5 2M 64k", "flush")
        self.io("read -P 1 0 700", "read -P 4 700 3", "read -P 1 703 833", "read -P 3 1536 512",
                "read -P 1 2048 2048", "read -P 2 4096 4096", "read -P 1 8192 1040384",
                "read -P 0 1M 1M", "read -P 5 2M 64k", f"read -P 0 {2 * MIB + 64 * KIB} 1M")

    def test_unaligned_writes_complete_from_a_snapshot(self):
        self.io("write -P 1 0 1M")
        self.node.ok("snapshot", "create", "disk", "disk@1")
        self.io("write -P 2 5000 10", "write -P 3 100000 50001", "flush")
        self.io("read -P 1 0 5000", "read -P 2 5000 10", "read -P 1 5010 94990",
                "read -P 3 100000 50001", f"read -P 1 150001 {MIB - 150001}")
        self.io("read -P 1 0 1M", export="disk@1", flags=("-r",))

    def test_discards_and_zeroes_read_as_zeros(self):
        self.io("write -P 7 0 8M", "discard 1M 1M", "write -z 3M 1M", "write -z -u 5M 1M",
                "write -z 7000k 5000", "flush")
        self.io("read -P 7 0 1M", "read -P 0 1M 1M", "read -P 7 2M 1M", "read -P 0 3M 1M",
                "read -P 7 4M 1M", "read -P 0 5M 1M", "read -P 0 7000k 5000",
                f"read -P 7 {7000 * KIB + 5000} 1k")

    def test_requests_in_flight_at_once_keep_to_their_places(self):
        writes = [f"aio_write -P {1 + n % 250} {n * 64 * KIB} 64k" for n in range(256)]
        self.io(*writes, "aio_flush")
        self.io(*[f"read -P {1 + n % 250} {n * 64 * KIB} 64k" for n in range(256)])

    def test_a_snapshot_refuses_writes(self):
        self.node.ok("snapshot", "create", "disk", "disk@1")
        done = run("qemu-io", "-f", "raw", "-c", "write -P 1 0 4k", self.node.uri("disk@1"))
        self.assertNotEqual(done.returncode, 0, done.stdout + done.stderr)
        self.io("read -P 0 0 4k", export="disk@1", flags=("-r",))


@has_tools("fio")
class Fio(ClientTest):
    def fio(self, *options, export="disk", direction="randwrite"):
        words = ["--name=job", "--ioengine=nbd", f"--uri={self.node.uri(export)}",
                 f"--rw={direction}", f"--size={SIZE}", f"--randseed={SEED}", "--output-format=json",
                 "--iodepth=16", "--group_reporting"]
        done = run("fio", *words, *options, timeout=120, cwd=self.work)
        self.assertEqual(done.returncode, 0, done.stdout[-3000:] + done.stderr[-3000:])
        report = json.loads(done.stdout[done.stdout.index("{"):])
        self.assertEqual(sum(job["error"] for job in report["jobs"]), 0)
        return report["jobs"][0]

    def verified(self, *options, **words):
        return self.fio("--verify=crc32c", "--verify_fatal=1", "--do_verify=1", *options, **words)

    def test_random_writes_verify(self):
        done = self.verified("--bs=4k", "--io_size=48M")
        self.assertGreaterEqual(done["write"]["io_bytes"], 40 * MIB)
        self.assertGreaterEqual(done["read"]["io_bytes"], 40 * MIB)

    def test_mixed_sizes_not_aligned_verify(self):
        self.verified("--bsrange=512-192k", "--bs_unaligned=1", "--size=64M")

    def test_several_jobs_verify_side_by_side(self):
        self.verified("--numjobs=4", "--size=20M", "--offset_increment=20M", "--bsrange=1k-64k",
                      "--blockalign=1k", "--fsync=64")

    def test_writes_over_trims_verify(self):
        done = self.verified("--bs=16k", "--io_size=48M", direction="trimwrite")
        self.assertGreater(done["trim"]["io_bytes"], 0)
        self.verified("--bs=4k", "--io_size=16M", direction="randtrimwrite")

    def test_trimmed_blocks_read_as_zeros(self):
        self.fio("--bs=64k", "--size=32M")
        self.fio("--bs=8k", "--size=16M", direction="randtrim")
        self.fio("--bs=8k", "--size=16M", "--verify=pattern", "--verify_pattern=0x00",
                 "--verify_only=1", "--readonly", direction="randread")
        self.assertEqual(self.node_map()[0][2], HOLE_AND_ZERO)
        self.assertEqual(self.node_map()[1][:2], (16 * MIB, 16 * MIB))

    def test_a_snapshot_keeps_what_was_verified_while_the_volume_is_overwritten(self):
        layout = ("--bsrange=2k-48k", "--blockalign=2k", "--size=48M", "--verify_pattern=0xfeedbeef")
        self.fio("--verify=pattern", "--do_verify=0", *layout)
        self.node.ok("snapshot", "create", "disk", "disk@1")
        self.node.ok("volume", "create", "clone", "--from", "disk@1")
        self.verified("--bs=8k", "--io_size=24M")
        self.verified("--bs=8k", "--io_size=24M", export="clone")
        self.fio("--verify=pattern", "--verify_only=1", "--readonly", *layout, export="disk@1",
                 direction="randread")


if __name__ == "__main__":
    main()
