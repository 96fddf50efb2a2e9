#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each process of a node is killed on its own under load. The node says who died and replaces it,
nothing is left over, and what was acknowledged is there, as are the volumes that nobody was writing
to. Clients of a front end that dies are cut off; whoever else dies costs them a moment.

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
        self.node = self.node_with_two_stores()
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
        self.assertEqual(sockets, ["local.sock", "nbd.sock", "node.sock"], where)
        self.node.ok("segment", "check")

    @staticmethod
    def is_daemon(pid):
        try:
            return os.path.basename(os.readlink(f"/proc/{pid}/exe")) == "atolld"
        except OSError:
            return False

    # --- A peer ----------------------------------------------------------------------------------

    def check_it_is_replaced(self, victim, pid):
        self.wait_until("its successor", lambda: self.peers()[victim]["pid"] != pid and
                        self.peers()[victim]["state"] == "running")
        self.assertEqual(self.peers()[victim]["restarts"], 1)
        self.assertEqual({peer["state"] for peer in self.peers().values()}, {"running"})
        self.assertIn(f"error {victim} (pid {pid}) was killed by signal 9", self.node.log_text())

    def check_nobody_is_in(self, name):
        """What the dead front end had open is closed: an open volume could not shrink."""
        self.node.ok("volume", "resize", name, "--size", 2 * SIZE)
        self.node.ok("volume", "resize", name, "--size", SIZE, "--force")

    def kill_one(self, number, victim):
        writers, pid = self.start_writers(number), self.peers()[victim]["pid"]
        everybody = [w for some in writers.values() for w in some]
        snapshot = threading.Thread(target=self.take_snapshot, args=[f"near@{number}"])
        snapshot.start()
        time.sleep(self.random.uniform(0, 0.05))  # Whatever it is doing then.
        leftovers.kill_and_wait([pid])
        snapshot.join(PATIENCE_S)
        self.assertFalse(snapshot.is_alive(), "a snapshot hangs")
        self.check_it_is_replaced(victim, pid)
        if victim != FRONT_END:
            self.assertTrue(self.snapshots[f"near@{number}"][2], "a snapshot was refused")
            before = [writer.acknowledged for writer in everybody]
            self.wait_until("clients going on", lambda: all(
                w.acknowledged > n + 20 for w, n in zip(everybody, before)))
            for writer in everybody:
                writer.stop.set()
        self.join(everybody)
        self.assertEqual([w.lost for w in everybody], [victim == FRONT_END] * len(everybody))

    def test_attack_s12_a_peer_that_is_killed_under_load_harms_nobody(self):
        for number, victim in enumerate(VICTIMS):
            self.kill_one(number, victim)
            if victim == FRONT_END:
                self.check_nobody_is_in("near")
            self.check_leftovers(victim)
            self.check_content(victim)
            self.check_snapshots(victim)

    def test_what_is_held_open_is_held_over_the_death_of_a_peer(self):
        if not VICTIMS:
            return  # A fused node has no peers.
        self.node.ok("open", "closed")
        for victim in ("composer", "mapper", "composer"):
            pid = self.peers()[victim]["pid"]
            leftovers.kill_and_wait([pid])
            self.wait_until("its successor", lambda v=victim, p=pid: self.peers()[v]["pid"] != p and
                            self.peers()[v]["state"] == "running")
            self.wait_until("the hold", lambda: self.node.json(
                "volume", "show", "closed")["open"], 10)
        self.node.ok("close", "closed")

    def test_a_store_in_memory_outlives_its_process(self):
        node = self.new_node("memory")
        with open(node.config, "w", encoding="utf-8") as file:
            file.write(f"[node]\nplacement = {PLACEMENT}\n[store default]\ndriver = memory\n")
        node.start()
        node.ok("volume", "create", "v", "--size", "1M")
        with Client(node.socket, "v") as client:
            client.write(4096, QUIET)
            if not VICTIMS:
                return  # With a fused node it is gone.
            for victims in ([NEAR], ["atolld"], [NEAR, "atolld"]):
                pids = {p["name"]: p["pid"] for p in node.status()["peers"]} | {"atolld": node.pid}
                leftovers.kill_and_wait([pids[victim] for victim in victims])
                if "atolld" in victims:
                    node.start()
                self.assertEqual(client.read(4096, len(QUIET)), QUIET)
                client.write(0, bytes(4096))
                client.flush()
        node.ok("check")

    def test_a_peer_can_be_replaced_on_purpose(self):
        for victim in VICTIMS:
            writers, pid = self.start_writers(f"restart {victim}"), self.peers()[victim]["pid"]
            everybody = [w for some in writers.values() for w in some]
            self.node.ok("node", "restart", *victim.split())
            self.assertNotEqual(self.peers()[victim]["pid"], pid)
            for writer in everybody:
                writer.stop.set()
            self.join(everybody)
            self.check_content(victim)
        self.assertNotIn(" error ", self.node.log_text())

    # --- The daemon ------------------------------------------------------------------------------

    def test_attack_s12_a_daemon_that_is_killed_under_load_takes_nothing_with_it(self):
        """The peers of an isolated node go on, and the next daemon goes on with them, also if one
        of them has died meanwhile. A fused node ends with its daemon."""
        for number in range(3):
            writers, pids = self.start_writers(f"daemon {number}"), self.node.pids()
            everybody = [w for some in writers.values() for w in some]
            victims = ["composer", "store default"][:number] if VICTIMS else []
            leftovers.kill_and_wait([self.node.pid] + [self.peers()[v]["pid"] for v in victims])
            self.node.pid = None
            if VICTIMS and not victims:
                before = [writer.acknowledged for writer in everybody]
                self.wait_until("clients going on without a daemon", lambda: all(
                    w.acknowledged > n + 20 for w, n in zip(everybody, before)))
                self.refused(self.node, "node", "status", names="atoll node start")
            if VICTIMS:
                self.node.start()
                self.assertEqual(len(set(self.node.pids()) & set(pids)),
                                 len(pids) - 1 - len(victims))
                for writer in everybody:
                    writer.stop.set()
            self.join(everybody)
            if not VICTIMS:
                self.node.start()
            self.assertEqual([w.lost for w in everybody], [not VICTIMS] * len(everybody))
            self.check_leftovers("daemon")
            self.check_content("daemon")

    def test_a_node_whose_daemon_has_died_is_stopped_in_order(self):
        if not VICTIMS:
            return  # A fused node has no peers.
        pids = self.node.pids()
        leftovers.kill_and_wait([self.node.pid])
        self.node.pid = None
        self.node.ok("node", "stop")
        self.assertEqual([pid for pid in pids if leftovers.is_alive(pid)], [])
        self.node.start()
        self.check_content("after the stop")

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
