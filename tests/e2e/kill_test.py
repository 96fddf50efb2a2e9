#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The whole node is killed at random moments under load: what was acknowledged is there, snapshots
are what they were, and those that were being made are either absent or exact."""
import os
import random
import signal
import threading
import time

import leftovers
from harness import KIB, MIB, SEED, E2eTest, main, must
from history import FOREVER, SECTOR, History, Writer
from nbd_client import Client

SIZE = 16 * MIB
SECTORS = SIZE // SECTOR
WRITERS = 4
ROUNDS = 10


class KillTest(E2eTest):
    def setUp(self):
        super().setUp()
        self.node = self.started_node()
        self.node.ok("volume", "create", "disk", "--size", SIZE)
        self.history = History(SECTORS)
        # Name -> (history, point): what a snapshot has to show.
        self.snapshots = {}

    def read_all(self, name):
        with Client(self.node.socket, name) as client:
            return b"".join(client.read(offset, MIB) for offset in range(0, SIZE, MIB))

    def start_writers(self, number):
        share = SECTORS // WRITERS
        writers = [Writer(self.node, "disk", self.history, range(n * share, (n + 1) * share),
                          random.Random(f"{SEED}/{number}/{n}")) for n in range(WRITERS)]
        for writer in writers:
            writer.start()
        return writers

    def join(self, writers):
        for writer in writers:
            writer.join(60)
            self.assertFalse(writer.is_alive(), "a writer hangs")
            self.assertIsNone(writer.problem)
        return sum(writer.acknowledged for writer in writers)

    def check_volume(self, where):
        data = self.read_all("disk")
        self.assertEqual(self.history.wrong_sectors(data), [], where)
        self.history.settle(data)

    def check_snapshots(self, where):
        for name, (history, point) in self.snapshots.items():
            self.assertEqual(history.wrong_sectors(self.read_all(name), point), [],
                             f"{where}, snapshot {name}")

    def names(self, kind):
        return self.node.ok(kind, "list", "--quiet").split()


class Kill(KillTest):
    def test_what_was_acknowledged_survives_kill_9(self):
        total = 0
        for number in range(ROUNDS):
            pids = self.node.pids()
            writers = self.start_writers(number)
            time.sleep(self.random.uniform(0.02, 0.4))
            self.node.kill(pids)
            total += self.join(writers)
            self.node.start()
            self.check_volume(f"round {number}")
            if number % 3 == 1:
                # From here on first writes go to an epoch of their own.
                self.node.ok("snapshot", "create", "disk", f"disk@{number}")
                self.snapshots[f"disk@{number}"] = (self.history.copy(), FOREVER)
            if number % 4 == 3:
                self.node.ok("gc")
        self.assertGreater(total, 100 * ROUNDS)
        self.check_snapshots("at the end")
        self.node.ok("gc")
        self.check_volume("after gc")
        self.check_snapshots("after gc")

    def test_the_check_finds_a_write_that_was_lost(self):
        writers = self.start_writers(0)
        time.sleep(0.2)
        for writer in writers:
            writer.stop.set()
        self.assertGreater(self.join(writers), 20)
        data = self.read_all("disk")
        self.assertEqual(self.history.wrong_sectors(data), [])
        sector = next(n for n in range(SECTORS) if data[n * SECTOR] != 0)
        with Client(self.node.socket, "disk") as client:
            client.zero(sector * SECTOR, SECTOR)
        self.assertEqual(len(self.history.wrong_sectors(self.read_all("disk"))), 1)

    def take_snapshot(self, name):
        """While others write. Registers what it has to show, whether or not the node answered."""
        point = self.history.now()
        done = self.node.run("snapshot", "create", "disk", name)
        self.snapshots[name] = (self.history.copy(), point)
        return done.returncode == 0

    def verbs_until_killed(self, number, killed):
        """Snapshots, removals, clones, gc, one after the other; returns the snapshots that must
        be there afterwards, and the clones."""
        made, clones = [], []
        for step in range(1000):
            if killed.is_set():
                break
            name = f"disk@{number}.{step}"
            if self.take_snapshot(name):
                made.append(name)
            if made and step % 3 == 1:
                clone = f"clone-{number}.{step}"
                if self.node.run("volume", "create", clone, "--from", made[-1]).returncode == 0:
                    clones.append((clone, made[-1]))
            if len(made) > 3:
                # What becomes of this one is open from now on.
                victim = made.pop(0)
                if self.node.run("snapshot", "remove", victim).returncode == 0:
                    del self.snapshots[victim]
            if step % 4 == 2:
                self.node.run("gc")
        return made, clones

    def test_snapshots_made_under_load_are_exact_or_absent_after_kill_9(self):
        for number in range(5):
            pids, killed = self.node.pids(), threading.Event()
            writers = self.start_writers(number)

            def kill_it(pids=pids, killed=killed):
                killed.set()
                self.node.kill(pids)

            timer = threading.Timer(self.random.uniform(0.1, 0.9), kill_it)
            timer.start()
            made, clones = self.verbs_until_killed(number, killed)
            timer.join()
            self.join(writers)
            self.node.start()
            self.check_volume(f"round {number}")
            there = self.names("snapshot")
            self.assertEqual([name for name in made if name not in there], [])
            self.snapshots = {n: s for n, s in self.snapshots.items() if n in there}
            self.assertEqual(sorted(self.snapshots), sorted(there))
            self.node.ok("gc")
            self.check_snapshots(f"round {number}")
            for clone, origin in clones:
                history, point = self.snapshots.get(origin, (None, None))
                if history:
                    self.assertEqual(history.wrong_sectors(self.read_all(clone), point), [], clone)
            # Nothing half made is left: all names can be opened and removed.
            for name in self.names("volume"):
                if name != "disk":
                    self.node.ok("volume", "remove", name)
            for name in list(self.snapshots)[:-1]:
                self.node.ok("snapshot", "remove", name)
                del self.snapshots[name]
            self.node.ok("gc")
            self.check_volume(f"round {number}, cleared")
            self.check_snapshots(f"round {number}, cleared")

    def test_a_term_signal_under_load_ends_the_node_cleanly_and_loses_nothing(self):
        for number in range(3):
            pid = self.node.pid
            writers = self.start_writers(number)
            time.sleep(self.random.uniform(0.05, 0.3))
            self.node.pid = None
            os.kill(pid, signal.SIGTERM)
            self.wait_until("the end of atolld", lambda pid=pid: not leftovers.is_alive(pid), 30)
            for writer in writers:
                writer.join(60)
                self.assertFalse(writer.is_alive(), "a writer hangs")
            self.assertTrue(self.node.log_text().rstrip().endswith("info stopped"))
            self.assertFalse(os.path.exists(self.node.socket))
            self.node.start()
            self.check_volume(f"round {number}")

    def test_a_kill_within_the_start_does_no_harm(self):
        writers = self.start_writers(0)
        time.sleep(0.2)
        self.node.kill()
        self.join(writers)
        for _ in range(8):
            starter = threading.Thread(target=self.node.run, args=("node", "start"))
            starter.start()
            time.sleep(self.random.uniform(0.005, 0.06))
            daemons = [p for p in leftovers.processes_of(self.work) if self.is_daemon(p)]
            leftovers.kill_and_wait(daemons)
            starter.join()
            # The start may have come later than the look.
            leftovers.kill_and_wait(
                [p for p in leftovers.processes_of(self.work) if self.is_daemon(p)])
        self.node.start()
        self.check_volume("after unfinished starts")

    @staticmethod
    def is_daemon(pid):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                return b"atolld" in file.read().split(b"\0")[0]
        except OSError:
            return False

    def test_an_import_that_was_killed_leaves_no_volume_that_looks_whole(self):
        image = self.path("image")
        with open(image, "wb") as file:
            file.write(self.random.randbytes(SIZE))
        for number in range(3):
            name = f"imported-{number}"
            pids = self.node.pids()
            timer = threading.Timer(self.random.uniform(0.005, 0.06), self.node.kill, [pids])
            timer.start()
            imported = self.node.run("volume", "import", image, name)
            timer.join()
            self.node.start()
            if imported.returncode == 0:
                back = self.path("back")
                self.node.ok("volume", "export", "--force", name, back)
                must("cmp", image, back)
            else:
                # The node may have been dead before it was asked.
                self.assertRegex(imported.stderr, f"{name}|no node is running|the node went away")
            if name in self.names("volume"):
                self.node.ok("volume", "remove", name)
        self.node.ok("gc")
        self.check_volume("after imports")

    def test_a_flushed_volume_closed_in_between_is_whole_after_kill_9(self):
        with Client(self.node.socket, "disk") as client:
            client.write(3, b"unaligned")
            client.write(5 * MIB, b"x" * (64 * KIB))
            client.flush()
        self.node.ok("close", "disk")
        with Client(self.node.socket, "disk") as client:
            client.write(6 * MIB, b"y" * 4096)
        self.node.kill()
        self.node.start()
        data = self.read_all("disk")
        self.assertEqual(data[:12], b"\0\0\0unaligned")
        self.assertEqual(data[5 * MIB:5 * MIB + 64 * KIB], b"x" * (64 * KIB))
        self.assertEqual(data[6 * MIB:6 * MIB + 4096], b"y" * 4096)
        self.assertEqual(len(data.strip(b"\0")), 6 * MIB + 4096 - 3)


if __name__ == "__main__":
    main()
