#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Processes of a node are killed with -9 one after the other, at random, under load that is checked.

In an isolated node any peer but the front end may die, and a client sees a pause: no error, nothing
lost, and what concurrent connections see of one place can have happened in one order. A fused node
is one process: it is started again, and clients that reconnect, as QEMU does, go on likewise.

ATOLL_KILLS is how many kills there are, ATOLL_KILL_SECONDS how long they take together, ATOLL_FREEZES
how many processes are frozen for a moment."""
import os
import random
import signal
import statistics
import subprocess
import threading
import time

import leftovers
from harness import MIB, PLACEMENT, SEED, E2eTest, has_tools, main
from history import SECTOR, History, Writer
from nbd_client import FLUSH, READ, WRITE, Client, Lost, NbdError, ReconnectingClient
from register import Register

KILLS = int(os.environ.get("ATOLL_KILLS") or 40)
FIO_SECONDS = int(os.environ.get("ATOLL_FIO_SECONDS") or 8)
FREEZES = int(os.environ.get("ATOLL_FREEZES") or 30)
SECONDS = float(os.environ.get("ATOLL_KILL_SECONDS") or 12)
SIZE = 16 * MIB
SECTORS = SIZE // SECTOR
WRITERS = 3
GRAIN = 4096
REGISTERS = 24
CONNECTIONS = 4
ISOLATED = PLACEMENT == "isolated"
CLIENT = Client if ISOLATED else ReconnectingClient
VICTIMS = (os.environ.get("ATOLL_VICTIMS") or "composer,mapper,store default,store far,atolld").split(",")


class Prober(threading.Thread):
    """Writes one sub-grain after the other, now and then with a flush, and notes how long each
    request took: what a kill costs a client."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self._socket = node.socket
        self.stop = threading.Event()
        self.times, self.problem = [], None

    def run(self):
        number = 0
        try:
            with CLIENT(self._socket, "probe") as client:
                while not self.stop.is_set():
                    began = time.monotonic()
                    if number % 16 == 15:
                        client.call(FLUSH)
                    else:
                        client.write(number % 1024 * GRAIN, number.to_bytes(8, "little") * 512)
                    self.times.append((began, time.monotonic()))
                    number += 1
        except (Lost, NbdError) as error:
            self.problem = error

    def pause_after(self, moment):
        """Of the request that was under way at the moment, or that came next."""
        return next((end - max(began, moment) for began, end in self.times if end > moment), None)


class RegisterClient(threading.Thread):
    """One connection of several that read and write the same places at once.

    Where clients have to send their requests again themselves, each place has one writer: a write
    that nobody has answered may have been made, and its writer cannot know whether somebody has
    changed the place since."""

    def __init__(self, node, number, shared):
        super().__init__(daemon=True)
        self._socket, self._number, self._shared = node.socket, number, shared
        self._random = random.Random(f"{SEED}/register/{number}")
        self.stop = threading.Event()
        self.done, self.problem = 0, None

    def run(self):
        try:
            with CLIENT(self._socket, "registers") as client:
                while not self.stop.is_set():
                    self._step(client)
        except (Lost, NbdError) as error:
            self.problem = error

    def _step(self, client):
        place = self._random.randrange(REGISTERS)
        if self._random.random() < 0.02:
            client.call(FLUSH)
        elif self._random.random() < 0.5 and (ISOLATED or place % CONNECTIONS == self._number):
            value = self.done * 16 + self._number + 1
            with self._shared.lock:
                self._shared.registers[place].writing(value, time.monotonic())
            client.call(WRITE, offset=place * GRAIN, data=value.to_bytes(8, "little") * 512)
            with self._shared.lock:
                self._shared.registers[place].written(value, time.monotonic())
        else:
            began = time.monotonic()
            data = client.call(READ, offset=place * GRAIN, length=GRAIN)
            ended = time.monotonic()
            value = int.from_bytes(data[:8], "little")
            assert data == data[:8] * 512, f"register {place} is torn"
            with self._shared.lock:
                problem = self._shared.registers[place].read(value, began, ended)
            assert problem is None, f"register {place}: {problem}"
        self.done += 1


class Shared:
    def __init__(self):
        self.lock = threading.Lock()
        self.registers = [Register(0) for _ in range(REGISTERS)]


class PeerKills(E2eTest):
    def setUp(self):
        super().setUp()
        self.node = self.node_with_two_stores()
        self.histories = {}
        for name, store in (("near", "default"), ("far", "far")):
            self.node.ok("volume", "create", name, "--size", SIZE, "--store", store)
            self.histories[name] = History(SECTORS)
        for name in ("probe", "registers"):
            self.node.ok("volume", "create", name, "--size", SIZE)
        self.snapshots = {}
        self.verbs = {"ok": 0, "failed": 0}

    def start_load(self):
        share, load = SECTORS // WRITERS, []
        for name, history in self.histories.items():
            load += [Writer(self.node, name, history, range(n * share, (n + 1) * share),
                            random.Random(f"{SEED}/{name}/{n}"), client=CLIENT)
                     for n in range(WRITERS)]
        shared = Shared()
        registers = [RegisterClient(self.node, n, shared) for n in range(CONNECTIONS)]
        prober = Prober(self.node)
        for thread in load + registers + [prober]:
            thread.start()
        return load, registers, shared, prober

    def verbs_meanwhile(self, stop):
        """Snapshots and removals: each is done, or is not, whatever is said."""
        number = 0
        while not stop.is_set():
            name = f"near@{number}"
            point = self.histories["near"].now()
            made = self.node.run("snapshot", "create", "near", name).returncode == 0
            self.verbs["ok" if made else "failed"] += 1
            # One that was cut off may be made yet.
            history = self.histories["near"].copy() if made else self.histories["near"]
            self.snapshots[name] = (history, point, made)
            if number % 3 == 2:
                victim = f"near@{number - 2}"
                if self.node.run("snapshot", "remove", victim).returncode == 0:
                    del self.snapshots[victim]
                else:
                    history, point, _ = self.snapshots[victim]
                    self.snapshots[victim] = (history, point, False)
            number += 1
            stop.wait(0.4)

    def pids_of_peers(self):
        """Name -> pid, from the sockets of the peers and the process table, so that it costs the
        node nothing."""
        found = {}
        for name in os.listdir(os.path.join(self.node.state, "peers")):
            pid = int(name.partition(".")[0])
            if not leftovers.is_alive(pid):
                continue
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:
                continue
            if b"--peer" in words:
                found[words[words.index(b"--peer") + 1].decode()] = pid
        return found

    def kill_one(self):
        """The moment of a kill, and who it was."""
        if not ISOLATED:
            moment = time.monotonic()
            self.node.kill([self.node.pid])
            self.node.start()
            return moment, "atolld"
        while True:
            victim = self.random.choice(VICTIMS)
            if victim == "atolld":
                moment = time.monotonic()
                leftovers.kill_and_wait([self.node.pid])
                self.node.start()
                return moment, victim
            pid = self.pids_of_peers().get(victim)
            if pid is None:
                time.sleep(0.005)
                continue
            moment = time.monotonic()
            leftovers.kill_and_wait([pid])
            return moment, victim

    def kill_many(self):
        kills, pause = [], SECONDS / KILLS
        for number in range(KILLS):
            due = number * pause
            kills.append(self.kill_one())
            began = kills[0][0]
            time.sleep(max(0, began + due + self.random.uniform(0.5, 1.5) * pause -
                           time.monotonic()))
        return kills

    def check_clients(self, threads):
        for thread in threads:
            thread.stop.set()
        for thread in threads:
            thread.join(60)
            self.assertFalse(thread.is_alive(), "a client hangs")
            self.assertIsNone(thread.problem)
            self.assertFalse(getattr(thread, "lost", False), "a connection was lost")

    def check_content(self):
        for name, history in self.histories.items():
            with Client(self.node.socket, name) as client:
                data = b"".join(client.read(at, MIB) for at in range(0, SIZE, MIB))
            self.assertEqual(history.wrong_sectors(data), [], name)
        there = self.node.ok("snapshot", "list", "--quiet").split()
        for name, (history, point, made) in self.snapshots.items():
            self.assertTrue(name in there or not made, f"{name} is gone")
            if name not in there:
                continue
            with Client(self.node.socket, name) as client:
                data = b"".join(client.read(at, MIB) for at in range(0, SIZE, MIB))
            self.assertEqual(history.wrong_sectors(data, point), [], name)

    def report(self, kills, prober, load, registers):
        pauses = {}
        for moment, victim in kills:
            pause = prober.pause_after(moment)
            if pause is not None:
                pauses.setdefault(victim, []).append(pause * 1000)
        for victim, some in sorted(pauses.items()):
            print(f"{victim}: {len(some)} kills, pause median {statistics.median(some):.1f} ms, "
                  f"longest {max(some):.1f} ms")
        every = [pause for some in pauses.values() for pause in some]
        print(f"{len(kills)} kills in {kills[-1][0] - kills[0][0]:.1f} s, seed {SEED}: median pause "
              f"{statistics.median(every):.1f} ms; {sum(w.acknowledged for w in load)} writes and "
              f"{sum(c.done for c in registers)} register operations without an error; "
              f"{self.verbs['ok']} snapshots made, {self.verbs['failed']} refused", flush=True)

    def freeze_one(self):
        """A process of the node stands still for a moment; in one of three cases another one is
        killed meanwhile, which has to wait for it, or be waited for."""
        pids = (self.pids_of_peers() if ISOLATED else {}) | {"atolld": self.node.pid}
        name = self.random.choice(sorted(pids))
        try:
            os.kill(pids[name], signal.SIGSTOP)
        except ProcessLookupError:
            return
        time.sleep(self.random.uniform(0.01, 0.25))
        victims = [v for v in VICTIMS if v != name and v != "atolld" and v in pids]
        if ISOLATED and self.random.random() < 0.33:
            leftovers.kill_and_wait([pids[self.random.choice(victims)]])
            time.sleep(self.random.uniform(0, 0.1))
        os.kill(pids[name], signal.SIGCONT)

    def under_load(self, act):
        """What `act` does costs clients some time, and nothing else."""
        load, registers, shared, prober = self.start_load()
        self.wait_until("the load", lambda: all(w.acknowledged > 20 for w in load))
        stop = threading.Event()
        verbs = threading.Thread(target=self.verbs_meanwhile, args=[stop])
        verbs.start()
        kills = act()
        time.sleep(0.3)
        stop.set()
        verbs.join(60)
        self.assertFalse(verbs.is_alive(), "a verb hangs")
        self.check_clients(load + registers + [prober])
        if kills:
            self.report(kills, prober, load, registers)
        for place, register in enumerate(shared.registers):
            self.assertEqual(register.problems(), [], f"register {place}")
        self.check_content()
        self.node.ok("gc")
        self.node.stop()
        self.node.start()
        self.check_content()

    def test_clients_see_a_pause_and_no_error_when_processes_are_killed(self):
        self.under_load(self.kill_many)

    @has_tools("fio")
    def test_fio_verifies_what_it_wrote_while_processes_are_killed_and_frozen(self):
        if not ISOLATED:
            return  # fio does not connect again.
        self.node.ok("volume", "create", "fio", "--size", "64M")
        words = ["--name=job", "--ioengine=nbd", f"--uri={self.node.uri('fio')}", "--size=48M",
                 "--rw=randrw", "--rwmixread=30", "--bsrange=4k-64k", "--bs_unaligned=0",
                 "--iodepth=16", "--fsync=64", "--verify=crc32c", "--verify_fatal=1",
                 "--do_verify=1", "--verify_backlog=256", "--time_based", f"--runtime={FIO_SECONDS}",
                 f"--randseed={SEED}", "--output-format=terse"]
        with subprocess.Popen(["fio", *words], cwd=self.work, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as fio:
            disturbed = 0
            while fio.poll() is None:
                if self.random.random() < 0.5:
                    self.kill_one()
                else:
                    self.freeze_one()
                disturbed += 1
                time.sleep(self.random.uniform(0.05, 0.3))
            out, err = fio.communicate()
        self.assertEqual(fio.returncode, 0, out + err)
        print(f"fio: {disturbed} kills and freezes in {FIO_SECONDS} s, verified", flush=True)
        self.assertGreater(disturbed, 5)

    def test_a_process_that_is_frozen_costs_its_clients_that_while(self):
        def freeze_many():
            for _ in range(FREEZES):
                self.freeze_one()
                time.sleep(self.random.uniform(0, 0.1))
        self.under_load(freeze_many)


if __name__ == "__main__":
    main()
