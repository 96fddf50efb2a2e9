#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The bare server that others are measured against, and the lean client, against each other."""
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))

from harness import BIN, MIB, SEED, must, run  # noqa: E402
from nbd_client import (FLUSH, FUA, READ, REPLY, REPLY_MAGIC, REQUEST, REQUEST_MAGIC,  # noqa: E402
                        WRITE, Client, Lost, NbdError)

SIZE = 4 * MIB
BLOCK = 4096
START_TIMEOUT_S = 30


class Bare(unittest.TestCase):
    options = ()

    def setUp(self):
        self.random = random.Random(SEED)
        folder = tempfile.TemporaryDirectory(prefix="atoll-bare-")
        self.addCleanup(folder.cleanup)
        self.image, self.socket = (os.path.join(folder.name, name) for name in ("image", "sock"))
        self.content = bytearray(self.random.randbytes(SIZE))
        with open(self.image, "wb") as file:
            file.write(self.content)
        self.server = subprocess.Popen(
            [os.path.join(BIN, "nbdbare"), "--socket", self.socket, "--image", self.image,
             *self.options], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(self.server.wait)
        self.addCleanup(self.server.kill)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not os.path.exists(self.socket):
            self.assertIsNone(self.server.poll())
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def blast(self, *words):
        return json.loads(must(os.path.join(BIN, "nbdblast"), "--socket", self.socket, *words))

    def test_it_reads_what_is_in_the_file(self):
        with Client(self.socket, "") as client:
            self.assertEqual(client.size, SIZE)
            for _ in range(50):
                expected = {}
                # No more than the socket takes, for this client sends all before it reads.
                for _ in range(self.random.randrange(1, 40)):
                    length = self.random.choice((1, 512, BLOCK, 70_000))
                    offset = self.random.randrange(SIZE - length)
                    cookie = client.submit(READ, offset=offset, length=length)
                    expected[cookie] = self.content[offset:offset + length]
                while client.in_flight:
                    cookie, data = client.wait()
                    self.assertEqual(data, expected[cookie])

    def test_what_is_written_is_in_the_file(self):
        with Client(self.socket, "") as client:
            for _ in range(100):
                data = self.random.randbytes(self.random.choice((1, BLOCK, 300_000)))
                offset = self.random.randrange(SIZE - len(data))
                client.write(offset, data, flags=self.random.choice((0, FUA)))
                self.content[offset:offset + len(data)] = data
            client.call(FLUSH)
            self.assertEqual(client.read(0, SIZE), self.content)
        with open(self.image, "rb") as file:
            self.assertEqual(file.read(), self.content)

    def test_more_replies_at_once_than_it_keeps(self):
        with Client(self.socket, "") as client:
            # All of them are there before it looks for the first time.
            self.server.send_signal(signal.SIGSTOP)
            client._socket.sendall(b"".join(  # pylint: disable=protected-access
                # A write is answered behind its payload, so that a flush makes it two in a row.
                REQUEST.pack(REQUEST_MAGIC, 0, FLUSH, number, 0, 0) if number % 2 == 0 else
                REQUEST.pack(REQUEST_MAGIC, 0, WRITE, number, number % 20, 1) + b"x"
                for number in range(2401)))
            self.server.send_signal(signal.SIGCONT)
            for cookie in range(2401):
                reply = client._receive(REPLY.size)  # pylint: disable=protected-access
                self.assertEqual(REPLY.unpack(reply), (REPLY_MAGIC, 0, cookie))
            self.assertEqual(client.read(1, 1), b"x")

    def test_what_lies_outside_is_refused(self):
        with Client(self.socket, "") as client:
            for offset, length in ((SIZE, 1), (SIZE - 1, 2), ((1 << 64) - 1, 2)):
                with self.assertRaises(NbdError):
                    client.read(offset, length)
                with self.assertRaises(NbdError):
                    client.write(offset, bytes(length))
            self.assertEqual(client.read(0, BLOCK), self.content[:BLOCK])
        with open(self.image, "rb") as file:
            self.assertEqual(file.read(), self.content)

    def test_nonsense_costs_only_its_own_connection(self):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(self.socket)
            client.sendall(self.random.randbytes(1000))
            with contextlib.suppress(ConnectionResetError):
                while client.recv(4096):
                    pass
        client = Client(self.socket, "")
        client._socket.sendall(self.random.randbytes(1000))  # pylint: disable=protected-access
        with self.assertRaises(Lost):
            client.read(0, 1)
        client.close()
        with Client(self.socket, "") as client:
            self.assertEqual(client.read(0, BLOCK), self.content[:BLOCK])

    def test_the_lean_client_counts_what_it_has_done(self):
        for mode in ("randread", "read", "randwrite", "write"):
            said = self.blast("--mode", mode, "--requests", 500, "--flush-every", 9,
                              "--seconds", 60)
            self.assertEqual((said["requests"], said["flushes"], said["errors"]), (500, 50, 0))
            self.assertAlmostEqual(said["bytes_per_second"] * said["seconds"], 450 * BLOCK, 3)
        with open(self.image, "rb") as file:
            self.assertNotEqual(file.read(), self.content)

    def test_it_says_what_is_wrong(self):
        bare = os.path.join(BIN, "nbdbare")
        for words, code in (((), 2), (("--socket", self.socket), 2),
                            (("--socket", self.socket, "--image", self.image), 1),
                            (("--socket", "x", "--image", "/nowhere"), 1)):
            done = run(bare, *words)
            self.assertEqual(done.returncode, code)
            self.assertIn("nbdbare: ", done.stderr)


class BareHop(Bare):
    options = ("--hop",)


if __name__ == "__main__":
    unittest.main()
