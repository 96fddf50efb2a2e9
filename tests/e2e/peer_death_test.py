#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each process of a node is killed on its own under load. Clients are answered or cut off in
bounded time, the node says who died, a restart brings all of it back, nothing is left over, and
what was acknowledged is there, as are the volumes that nobody was writing to.

A fused node has one process; then that is the only victim."""
import fcntl
import os
import random
import threading
import time

import leftovers
from harness import KIB, MIB, PLACEMENT, SEED, E2eTest, main
from history import SECTOR, History, Writer
from nbd_client import Client, Lost, NbdError

SIZE = 4 * MIB
SECTORS = SIZE // SECTOR
WRITERS = 2
QUIET = b"quiet" * (64 * KIB // 5)
FRONT_END, NEAR, FAR = "nbd", "store default", "store far"
VICTIMS = [FRONT_END, NEAR, FAR, "mapper", "composer"] if PLACEMENT == "isolated" else []
# The volume whose requests do not pass through the victim.
UNHARMED = {NEAR: "far", FAR: "near"}
# Whoever is told that a process has died is told at once; the rest is a busy machine.
PATIENCE_S = 20


class Survivor(Writer):
    """After the first error it sends nothing more, and takes the answers that are still to come."""

    def _go(self, client):
        try:
            super()._go(client)
        except NbdError:
            while client.in_flight:
                self._take_answer(client)

    def _take_answer(self, client):
        try:
            cookie, _ = client.wait()
        except NbdError:
            return
        operation = self._operations.pop(cookie)
        if operation is not None:
            self._history.acknowledged(operation)


class PeerDeath(E2eTest):
    def setUp(self):
        super().setUp()
        self.node = self.new_node()
        with open(self.node.config, "a", encoding="utf-8") as file:
            file.write("[store far]\ndriver = file\n")
        self.node.start()
        self.histories = {}
        # Name -> (history, point, whether it has to be there): what a snapshot has to show.
        self.snapshots = {}
        for name, store in (("near", "default"), ("far", "far")):
            self.node.ok("volume", "create", name, "--size", SIZE, "--store", store)
            self.histories[name] = History(SECTORS)
        self.node.ok("volume", "create", "closed", "--size", "1M")
        self.node.ok("volume", "create", "quiet", "--size", "1M")
        with Client(self.node.socket, "quiet") as client:
            client.write(12345, QUIET)
        self.node.ok("snapshot", "create", "quiet", "quiet@1")

    def start_writers(self, number):
        """Some for each volume, that have written for a while."""
        share, writers = SECTORS // WRITERS, {}
        for name, history in self.histories.items():
            writers[name] = [
                Survivor(self.node, name, history, range(n * share, (n + 1) * share),
                         random.Random(f"{SEED}/{number}/{name}/{n}")) for n in range(WRITERS)]
        everybody = [writer for some in writers.values() for writer in some]
        for writer in everybody:
            writer.start()
        least = self.random.randrange(20, 200)
        self.wait_until("the load", lambda: all(w.acknowledged >= least for w in everybody))
        return writers

    def peers(self):
        return {peer["name"]: peer for peer in self.node.status()["peers"]}

    def join(self, writers):
        deadline = time.monotonic() + PATIENCE_S
        for writer in writers:
            writer.join(max(0, deadline - time.monotonic()))
            self.assertFalse(writer.is_alive(), "a client hangs")
            self.assertIsNone(writer.problem)

    def read_all(self, name):
        with Client(self.node.socket, name) as client:
            return b"".join(client.read(offset, MIB) for offset in range(0, client.size, MIB))

    def check_content(self, where):
        for name, history in self.histories.items():
            data = self.read_all(name)
            self.assertEqual(history.wrong_sectors(data), [], f"{name}, {where}")
            history.settle(data)
        for name in ("quiet", "quiet@1"):
            data = self.read_all(name)
            self.assertEqual(data[12345:12345 + len(QUIET)], QUIET, f"{name}, {where}")
            self.assertEqual(len(data.strip(b"\0")), len(QUIET), f"{name}, {where}")

    def take_snapshot(self, name):
        point, history = self.histories["near"].now(), self.histories["near"]
        done = self.node.run("snapshot", "create", "near", name, timeout=2 * PATIENCE_S)
        self.snapshots[name] = (history.copy(), point, done.returncode == 0)

    def check_snapshots(self, where):
        """Those that were made are exact; those that failed are exact, or not there and can be
        made again."""
        there = self.node.ok("snapshot", "list", "--quiet").split()
        for name, (history, point, was_made) in self.snapshots.items():
            self.assertTrue(name in there or not was_made, f"{name}, {where}")
            if name in there:
                self.assertEqual(history.wrong_sectors(self.read_all(name), point), [],
                                 f"{name}, {where}")
            else:
                self.take_snapshot(name)
                self.assertTrue(self.snapshots[name][2], f"{name} again, {where}")

    def check_leftovers(self, where):
        """Of the node there are its own processes and sockets, and a segment that is in order."""
        there = [pid for pid in leftovers.processes_of(self.work) if self.is_daemon(pid)]
        self.assertEqual(sorted(there), self.node.pids(), where)
        sockets = sorted(name for name in os.listdir(self.node.state) if name.endswith("sock"))
        self.assertEqual(sockets, ["nbd.sock", "node.sock"], where)
        self.node.ok("segment", "check")

    @staticmethod
    def is_daemon(pid):
        try:
            return os.path.basename(os.readlink(f"/proc/{pid}/exe")) == "atolld"
        except OSError:
            return False

    # --- A peer ----------------------------------------------------------------------------------

    def check_it_is_named(self, victim, pid):
        if victim == FRONT_END:
            self.wait_until("the next front end", lambda: self.peers()[victim]["pid"] != pid and
                            self.peers()[victim]["state"] == "running")
            self.assertEqual(self.peers()[victim]["restarts"], 1)
        else:
            self.wait_until("the word of its death", lambda: self.peers()[victim]["state"] ==
                            "dead: was killed by signal 9")
        others = {name: peer["state"] for name, peer in self.peers().items() if name != victim}
        self.assertEqual(set(others.values()), {"running"}, others)
        self.assertIn(f"error {victim} (pid {pid}) was killed by signal 9", self.node.log_text())

    def answer_of(self, name):
        """Of a new client: None if all went well, else what it was told."""
        try:
            with Client(self.node.socket, name) as client:
                client.write(0, client.read(0, SECTOR))
        except (Lost, NbdError) as error:
            return error
        return None

    def check_it_is_missed(self, victim):
        """By those who need it, at once; each verb ends, too."""
        began = time.monotonic()
        self.assertIsNotNone(self.answer_of("far" if victim == FAR else "near"))
        if victim == FAR:
            self.assertIsNone(self.answer_of("near"), "a volume that does not need it is harmed")
            self.refused(self.node, "snapshot", "create", "far", "s", names=victim)
            self.node.ok("snapshot", "create", "near", "more")
            self.node.ok("snapshot", "remove", "more")
        else:
            self.refused(self.node, "open", "closed", names=["closed", victim])
            self.refused(self.node, "snapshot", "create", "near", "s", names=victim)
        for words in (["volume", "list"], ["gc"], ["store", "list"], ["close", "near"]):
            self.node.run(*words, timeout=PATIENCE_S)
        self.assertLess(time.monotonic() - began, PATIENCE_S)

    def check_nobody_is_in(self, name):
        """What the dead front end had open is closed: an open volume could not shrink."""
        self.node.ok("volume", "resize", name, "--size", 2 * SIZE)
        self.node.ok("volume", "resize", name, "--size", SIZE, "--force")

    def kill_one(self, number, victim):
        writers, pid = self.start_writers(number), self.peers()[victim]["pid"]
        snapshot = threading.Thread(target=self.take_snapshot, args=[f"near@{number}"])
        snapshot.start()
        time.sleep(self.random.uniform(0, 0.05))  # Whatever it is doing then.
        leftovers.kill_and_wait([pid])
        snapshot.join(PATIENCE_S)
        self.assertFalse(snapshot.is_alive(), "a snapshot hangs")
        unharmed = writers.get(UNHARMED.get(victim), [])
        self.join([w for some in writers.values() for w in some if w not in unharmed])
        self.check_it_is_named(victim, pid)
        before = [writer.acknowledged for writer in unharmed]
        self.wait_until("others going on", lambda: all(
            w.acknowledged > n + 20 for w, n in zip(unharmed, before)))
        for writer in unharmed:
            writer.stop.set()
        self.join(unharmed)

    def test_attack_s12_a_peer_that_is_killed_under_load_harms_nobody_for_long(self):
        for number, victim in enumerate(VICTIMS):
            self.kill_one(number, victim)
            if victim == FRONT_END:
                self.check_nobody_is_in("near")
            else:
                self.check_it_is_missed(victim)
                self.node.pid = self.node.json("node", "restart")["pid"]
            self.check_leftovers(victim)
            self.check_content(victim)
            self.check_snapshots(victim)

    # --- The daemon ------------------------------------------------------------------------------

    def test_attack_s12_a_daemon_that_is_killed_under_load_takes_its_peers_with_it(self):
        for number in range(2):
            writers, pids = self.start_writers(f"daemon {number}"), self.node.pids()
            if number == 1 and VICTIMS:
                # And one that cannot end any more by itself.
                leftovers.kill_and_wait([self.peers()["composer"]["pid"]])
            leftovers.kill_and_wait([self.node.pid])
            self.node.pid = None
            self.join([writer for some in writers.values() for writer in some])
            self.node.start()
            self.assertEqual([pid for pid in pids if leftovers.is_alive(pid)], [])
            self.check_leftovers("daemon")
            self.check_content("daemon")

    def holds_the_folder(self, pid):
        fds = f"/proc/{pid}/fd"
        return any(os.path.realpath(os.path.join(fds, fd)) == os.path.realpath(self.node.state)
                   for fd in os.listdir(fds))

    def test_attack_s12_the_next_daemon_waits_for_whoever_outlives_the_last_one(self):
        if not VICTIMS:
            return  # A fused node has no peers.
        old = self.node.pids()
        self.assertEqual([pid for pid in old if not self.holds_the_folder(pid)], [])
        self.node.kill()
        # In place of a peer that the kernel still keeps.
        folder = os.open(self.node.state, os.O_RDONLY | os.O_DIRECTORY)
        self.addCleanup(os.close, folder)
        fcntl.flock(folder, fcntl.LOCK_EX)
        starter = threading.Thread(target=self.node.start)
        starter.start()
        self.wait_until("the next daemon", lambda: any(
            self.is_daemon(p) for p in leftovers.processes_of(self.work)))
        time.sleep(0.5)  # For it to do what it should not: there is no event of that.
        self.assertEqual(self.node.log_text().count(f"[{NEAR}] serving"), 1)
        fcntl.flock(folder, fcntl.LOCK_UN)
        starter.join(PATIENCE_S)
        self.assertFalse(starter.is_alive(), "the next daemon hangs")
        self.assertEqual(self.node.log_text().count(f"[{NEAR}] serving"), 2)
        self.check_leftovers("a peer that outlives its daemon")


if __name__ == "__main__":
    main()
