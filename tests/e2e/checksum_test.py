#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A store that keeps checksums of data ("checksum = on"): bits of its blobs flip behind the node's
back. Whatever was summed is found, by a scrub and by whoever reads it, and is never served.

ATOLL_FLIPS is how many there are."""
import os
import struct

from harness import KIB, MIB, E2eTest, main
from nbd_client import Client, NbdError

FLIPS = int(os.environ.get("ATOLL_FLIPS") or 200)
VOLUME = 24 * MIB
BLOCK = 4 * KIB
# docs/FORMAT.md, "Sums".
BLOCKS_OF_PAGE, PAGE_HEAD = 1016, struct.Struct("<IIHHIQQ")


class ChecksumTest(E2eTest):
    def setUp(self):
        super().setUp()
        self.node = self.new_node()
        with open(self.node.config, "a", encoding="utf-8") as file:
            file.write("[store summed]\ndriver = file\nchecksum = on\n")
        self.node.start()
        self.blobs = os.path.join(self.node.state, "store-summed", "blobs")
        self.contents = {}

    def write_some(self, client, name):
        content = bytearray(self.contents.get(name, bytes(VOLUME)))
        for _ in range(40):
            size = self.random.randrange(1, 64) * BLOCK
            at = self.random.randrange((VOLUME - size) // BLOCK) * BLOCK
            data = self.random.randbytes(size)
            client.write(at, data)
            content[at:at + size] = data
        client.flush()
        self.contents[name] = bytes(content)

    def make_resources(self):
        self.node.ok("volume", "create", "v", "--size", VOLUME, "--store", "summed")
        with Client(self.node.socket, "v") as client:
            for number in range(2):
                self.write_some(client, "v")
                self.node.ok("snapshot", "create", "v", f"v@{number}")
                self.contents[f"v@{number}"] = self.contents["v"]
            self.write_some(client, "v")
        self.node.ok("volume", "create", "c", "--from", "v@1")
        self.contents["c"] = self.contents["v@1"]
        with Client(self.node.socket, "c") as client:
            self.write_some(client, "c")

    def data_blocks(self):
        """(path of a blob's file, block) of all that holds data."""
        found = []
        for blob in sorted(os.listdir(self.blobs)):
            path = os.path.join(self.blobs, blob, "0")
            if ".i" in blob or not os.path.exists(path):
                continue
            with open(path, "rb") as file:
                end, at = os.fstat(file.fileno()).st_size, 0
                while at < end:
                    try:
                        at = os.lseek(file.fileno(), at, os.SEEK_DATA)
                    except OSError:
                        break
                    hole = os.lseek(file.fileno(), at, os.SEEK_HOLE)
                    found += [(path, block) for block in range(at // BLOCK, hole // BLOCK)]
                    at = hole
        return found

    def is_summed(self, path, block):
        page = os.path.join(os.path.dirname(path) + ".i32768", "0")
        try:
            with open(page, "rb") as file:
                file.seek(block // BLOCKS_OF_PAGE * BLOCK)
                data = file.read(BLOCK)
        except FileNotFoundError:
            return False
        if len(data) < BLOCK:
            return False
        clean = PAGE_HEAD.unpack_from(data)[3] == 1
        at = PAGE_HEAD.size + block % BLOCKS_OF_PAGE * 4
        return clean and data[at:at + 4] != bytes(4)

    def flip(self, path, offset, mask):
        with open(path, "r+b") as file:
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ mask]))

    def look(self, clients, block):
        """Who cannot read the block; what can be read is right."""
        failed = []
        for name, client in clients.items():
            try:
                data = client.read(block * BLOCK, BLOCK)
            except NbdError:
                failed.append(name)
                continue
            self.assertEqual(data, self.contents[name][block * BLOCK:(block + 1) * BLOCK],
                             f"{name} serves a flipped bit")
        return failed

    def test_flipped_bits_are_found_and_never_served(self):
        self.make_resources()
        self.node.ok("close", "v")
        self.node.ok("close", "c")
        self.node.ok("gc")
        blocks = self.data_blocks()
        self.assertGreater(len(blocks), 2000)
        self.wait_until("all sums", lambda: all(self.is_summed(*at) for at in blocks), 60)
        noticed = 0
        clients = {name: Client(self.node.socket, name) for name in self.contents}
        for number in range(FLIPS):
            path, block = self.random.choice(blocks)
            offset, mask = block * BLOCK + self.random.randrange(BLOCK), 1 << number % 8
            self.flip(path, offset, mask)
            noticed += len(self.look(clients, block)) > 0
            self.flip(path, offset, mask)
            self.assertEqual(self.look(clients, block), [], "nothing is wrong any more")
        # Blocks of an old epoch that somebody has overwritten since are nobody's.
        self.assertGreater(noticed * 2, FLIPS)
        print(f"{FLIPS} flipped bits: {noticed} noticed by readers, the others are not read, "
              f"none served", flush=True)
        for client in clients.values():
            client.close()
        self.scrub_finds(blocks)

    def scrub_finds(self, blocks):
        self.assertEqual(self.node.json("scrub", "--rate", "1G")["report"]["errors"], 0)
        self.assertIn("with checksums", self.node.ok("store", "list"))
        flipped = self.random.sample(blocks, 5)
        for path, block in flipped:
            self.flip(path, block * BLOCK + 17, 0x40)
        scrub = self.node.run("--format", "json", "scrub", "--rate", "1G")
        self.assertEqual(scrub.returncode, 1)
        for path, block in flipped:
            uuid = os.path.basename(os.path.dirname(path)).split(".")[0]
            self.assertIn(uuid, scrub.stdout.replace("-", ""), path)
            self.flip(path, block * BLOCK + 17, 0x40)
        self.assertEqual(self.node.json("scrub", "--rate", "1G")["report"]["errors"], 0)

    def test_what_is_being_written_is_summed_when_it_is_quiet(self):
        self.node.ok("volume", "create", "v", "--size", VOLUME, "--store", "summed")
        client = Client(self.node.socket, "v")
        self.write_some(client, "v")
        blocks = self.data_blocks()
        self.wait_until("all sums", lambda: all(self.is_summed(*at) for at in blocks), 60)
        path, block = self.random.choice(blocks)
        self.flip(path, block * BLOCK, 1)
        self.assertEqual(self.look({"v": client}, block), ["v"])
        data = self.random.randbytes(BLOCK)
        client.write(block * BLOCK, data)
        self.assertEqual(client.read(block * BLOCK, BLOCK), data, "overwriting heals")
        client.close()
        # Nobody runs the store without them, unless they are given up; there are no false alarms
        # when they are kept again.
        with open(self.node.config, encoding="utf-8") as file:
            text = file.read()
        self.node.stop()
        self.configure(text, "off")
        self.refused(self.node, "node", "start", names=["checksum = on", "sums"])
        os.unlink(os.path.join(self.node.state, "store-summed", "sums"))
        self.node.start()
        with Client(self.node.socket, "v") as client:
            self.write_some(client, "v")
            written = b"".join(client.read(at, MIB) for at in range(0, VOLUME, MIB))
        self.node.stop()
        self.configure(text, "on")
        self.node.start()
        with Client(self.node.socket, "v") as client:
            data = b"".join(client.read(at, MIB) for at in range(0, VOLUME, MIB))
        self.assertEqual(data, written)

    def configure(self, text, checksum):
        with open(self.node.config, "w", encoding="utf-8") as file:
            file.write(text.replace("checksum = on", f"checksum = {checksum}"))


if __name__ == "__main__":
    main()
