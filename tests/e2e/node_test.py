#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command line at its limits, and several nodes on one machine and on one store."""
import os

from harness import ATOLL, MIB, PLACEMENT, E2eTest, main, run
from nbd_client import Client, NbdError

WRONG_USAGE = [
    ["nonsense"],
    ["volume"],
    ["volume", "crate", "a"],
    ["volume", "create"],
    ["volume", "create", "a"],
    ["volume", "create", "a", "b", "--size", "1M"],
    ["volume", "create", "a", "--size", "1M", "--bogus"],
    ["volume", "create", "a", "--size", "many"],
    ["volume", "create", "a", "--size", "-1"],
    ["volume", "create", "a", "--size"],
    ["volume", "resize", "a"],
    ["volume", "rollback", "a"],
    ["volume", "rename", "a"],
    ["volume", "import", "a"],
    ["snapshot", "create", "a"],
    ["node", "init"],
    ["node", "init", "--state", "s", "--placement", "elsewhere"],
    ["node", "stop", "--timeout", "soon"],
    ["volume", "create", "-a", "--size", "1M"],
    ["volume", "create", "a", "--size", ""],
    ["volume", "create", "a", "--size", "1M", "--store", ""],
    ["node", "init", "--state", ""],
    ["--format", "xml", "volume", "list"],
]
VERBS = [
    "node init", "node start", "node stop", "node restart", "node status", "volume create",
    "volume list", "volume show", "volume resize", "volume rename", "volume remove",
    "volume rollback", "volume import", "volume export", "snapshot create", "snapshot list",
    "snapshot show", "snapshot remove", "store list", "store show", "segment report",
    "segment check", "open", "close", "lock", "unlock", "gc", "check", "scrub", "top", "trace",
    "completion",
]


class CommandLine(E2eTest):
    def setUp(self):
        super().setUp()
        self.node = self.started_node()

    def test_wrong_usage_is_told_in_one_line_with_exit_code_2(self):
        for words in WRONG_USAGE:
            with self.subTest(" ".join(words)):
                self.refused(self.node, *words, code=2)
        self.assertEqual(self.node.json("volume", "list"), [])

    def test_every_verb_has_help(self):
        for verb in VERBS:
            with self.subTest(verb):
                self.assertIn(f"atoll {verb}", self.node.ok(*verb.split(), "--help"))

    def test_names_reach_their_limits(self):
        for name in ("n" * 200, "A-Z_a.z@0/9", ".", "..", "/", "@", "0"):
            self.node.ok("volume", "create", name, "--size", "1M")
            with Client(self.node.socket, name) as client:
                client.write(0, b"here")
        self.assertEqual(len(self.node.json("volume", "list")), 7)
        for name in ("n" * 201, "", "a b", "a\n", "ü", "a:b", "a\\b", "uuid:1"):
            with self.subTest(repr(name)):
                done = self.node.run("volume", "create", name, "--size", "1M")
                self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.node.ok("snapshot", "create", "..", "s" * 200)
        self.assertEqual(len(self.node.json("volume", "list")), 7)

    def test_sizes_out_of_range_are_refused_with_the_volume_s_name(self):
        for size in ("0", "1", "1000", "513", "2P", "1125899906842625", "99999999999999999999999"):
            with self.subTest(size):
                self.refused(self.node, "volume", "create", "vol", "--size", size, names="vol")
        self.assertEqual(self.node.json("volume", "list"), [])

    def test_what_is_absent_is_named(self):
        for words in (["volume", "show"], ["volume", "remove"], ["snapshot", "show"],
                      ["snapshot", "remove"], ["open"], ["close"], ["lock"], ["unlock"],
                      ["trace"], ["store", "show"]):
            with self.subTest(" ".join(words)):
                self.refused(self.node, *words, "missing-one", names="missing-one")
        self.refused(self.node, "volume", "rename", "missing-one", "b", names="missing-one")
        self.refused(self.node, "volume", "resize", "missing-one", "--size", "1G",
                     names="missing-one")
        self.refused(self.node, "snapshot", "create", "missing-one", "b", names="missing-one")
        self.refused(self.node, "volume", "create", "a", "--from", "missing-one",
                     names="missing-one")
        self.refused(self.node, "volume", "create", "a", "--size", "1M", "--store", "missing-one",
                     names="missing-one")

    def test_a_node_is_told_apart_when_it_runs_and_when_it_does_not(self):
        self.refused(self.node, "node", "start", names=self.node.state)
        self.refused(self.node, "node", "init", "--state", self.node.state, names=self.node.config)
        self.assertEqual(self.node.json("node", "status")["placement"], PLACEMENT)
        before = self.node.pid
        self.node.pid = self.node.json("node", "restart")["pid"]
        self.assertNotEqual(self.node.pid, before)
        self.node.stop()
        self.refused(self.node, "node", "stop", names=self.node.config)
        self.refused(self.node, "node", "status", names=self.node.config)
        self.refused(self.node, "volume", "list", names=self.node.config)
        self.assertFalse(os.path.exists(self.node.socket))

    def test_the_configuration_is_found_by_environment_and_by_folder(self):
        self.node.ok("volume", "create", "a", "--size", "1M")
        words = [ATOLL, "volume", "list", "--quiet"]
        found = run(*words, env=dict(os.environ, ATOLL_CONFIG=self.node.config), cwd="/")
        self.assertEqual((found.returncode, found.stdout), (0, "a\n"), found.stderr)
        os.symlink(self.node.state, self.path("var"))
        found = run(*words, cwd=self.work)
        self.assertEqual((found.returncode, found.stdout), (0, "a\n"), found.stderr)
        missing = self.path("no.conf")
        found = run(ATOLL, "--config", missing, "volume", "list")
        self.assertEqual(found.returncode, 1)
        self.assertIn(missing, found.stderr)

    def test_a_wrong_configuration_is_named_with_its_line(self):
        self.node.stop()
        with open(self.node.config, encoding="utf-8") as file:
            good = file.read()
        for bad in ("placement = nowhere", "plaecment = fused", "[[", "lease_seconds = -1"):
            with self.subTest(bad):
                with open(self.node.config, "w", encoding="utf-8") as file:
                    file.write(good.replace("[node]\n", f"[node]\n{bad}\n", 1))
                self.refused(self.node, "node", "start", names=self.node.config)

    def test_the_views_of_the_inside_answer(self):
        self.node.ok("volume", "create", "a", "--size", "1M")
        with Client(self.node.socket, "a") as client:
            client.write(0, b"x" * 4096)
            self.assertIn("HOP", self.node.ok("trace", "a"))
        self.node.ok("segment", "check")
        self.assertNotEqual(self.node.ok("segment", "report"), "")
        self.assertIn("complete", self.node.ok("completion", "bash"))
        stores = self.node.json("store", "list")
        self.assertEqual([store["name"] for store in stores], ["default"])
        self.assertEqual(self.node.json("store", "show", "default")["state"], "ready")


class Nodes(E2eTest):
    def test_nodes_side_by_side_share_nothing(self):
        nodes = [self.started_node(f"node{number}") for number in range(4)]
        for number, node in enumerate(nodes):
            node.ok("volume", "create", "same-name", "--size", "8M")
            with Client(node.socket, "same-name") as client:
                client.write(0, bytes([number + 1]) * 4096)
        nodes[0].stop()
        nodes[1].kill()
        for number, node in enumerate(nodes):
            if node.pid is None:
                node.start()
            with Client(node.socket, "same-name") as client:
                self.assertEqual(client.read(0, 4096), bytes([number + 1]) * 4096)

    def pair(self):
        """Two nodes on one store, and a volume that the first writes to."""
        first = self.started_node("first")
        second = self.started_node("second", {("store default", "path"): first.store})
        first.ok("volume", "create", "shared", "--size", 8 * MIB)
        client = Client(first.socket, "shared")
        self.addCleanup(client.close)
        client.write(0, b"1" * 4096)
        return first, second, client

    def test_a_second_node_that_wants_to_write_is_told_who_holds_the_volume(self):
        first, second, client = self.pair()
        with Client(second.socket, "shared") as other:
            with self.assertRaises(NbdError):
                other.write(0, b"2" * 4096)
        for words in (["open"], ["lock"], ["volume", "remove"], ["unlock"]):
            self.refused(second, *words, "shared", names=["shared", first.state])
        self.refused(second, "snapshot", "create", "shared", "s", names=["shared", first.state])
        self.refused(second, "volume", "resize", "shared", "--size", "16M",
                     names=["shared", first.state])
        holder = second.json("volume", "show", "shared")["holder"]
        self.assertIn(first.state, holder)
        self.assertEqual(client.read(0, 4096), b"1" * 4096)
        client.write(4096, b"1" * 4096)
        self.assertEqual(client.read(0, 8192), b"1" * 8192)

    def test_a_closed_volume_passes_to_the_other_node(self):
        first, second, client = self.pair()
        client.close()
        first.ok("close", "shared")
        with Client(second.socket, "shared") as other:
            self.assertEqual(other.read(0, 4096), b"1" * 4096)
            other.write(0, b"2" * 4096)
        self.refused(first, "open", "shared", names=["shared", second.state])
        second.ok("close", "shared")
        with Client(first.socket, "shared") as again:
            self.assertEqual(again.read(0, 4096), b"2" * 4096)

    def test_the_volume_of_a_killed_node_passes_with_all_that_was_acknowledged(self):
        first, second, client = self.pair()
        client.write(12345, b"last words")
        first.kill()
        with Client(second.socket, "shared") as other:
            other.write(4096, b"2" * 4096)
            self.assertEqual(other.read(0, 8192), b"1" * 4096 + b"2" * 4096)
            self.assertEqual(other.read(12345, 10), b"last words")
        first.start()
        self.refused(first, "open", "shared", names=["shared", second.state])

    def test_a_node_whose_lock_was_forced_serves_nothing_from_the_past(self):
        settings = {("node", "lease_seconds"): 3}
        first = self.started_node("first", settings)
        second = self.started_node("second", {("store default", "path"): first.store, **settings})
        first.ok("volume", "create", "shared", "--size", 8 * MIB)
        first.ok("open", "shared")
        client = Client(first.socket, "shared")
        self.addCleanup(client.close)
        client.write(0, b"1" * 4096)
        client.flush()
        if "cannot seal" in second.run("unlock", "--force", "shared").stderr:
            self.skipTest("this file system has no immutable flag")
        second.ok("open", "shared")
        with Client(second.socket, "shared") as other:
            self.assertEqual(other.read(0, 4096), b"1" * 4096)
            other.write(0, b"2" * 4096)
            other.flush()
        # Who comes now is told at once, the client that was there within a third of the term.
        self.refused(first, "lock", "shared", names=["shared"])
        self.refused(first, "snapshot", "create", "shared", "s", names=["shared"])

        def is_refused():
            try:
                client.read(0, 4096)
            except NbdError:
                return True
            return False
        self.wait_until("the client of the first node is told", is_refused, timeout=5)
        self.assertIn("no longer this node's", first.log_text())
        for row in first.json("volume", "list"):
            self.assertEqual(row["state"], "locked")
        self.refused(first, "open", "shared", names=["shared", "no longer this node's"])
        client.close()
        self.wait_until("the first node has let it go", lambda: second.state in
                        first.run("open", "shared").stderr)
        second.ok("close", "shared")
        with Client(first.socket, "shared") as again:
            self.assertEqual(again.read(0, 4096), b"2" * 4096)

    def test_snapshots_of_one_node_are_cloned_by_another_while_the_volume_is_in_use(self):
        first, second, client = self.pair()
        first.ok("snapshot", "create", "shared", "shared@1")
        client.write(0, b"9" * 4096)
        second.ok("volume", "create", "clone", "--from", "shared@1")
        with Client(second.socket, "clone") as clone:
            self.assertEqual(clone.read(0, 4096), b"1" * 4096)
            clone.write(0, b"2" * 512)
            self.assertEqual(clone.read(0, 4096), b"2" * 512 + b"1" * 3584)
        for node in (first, second):
            node.ok("gc")
        self.assertEqual(client.read(0, 4096), b"9" * 4096)
        with Client(second.socket, "shared@1") as snapshot:
            self.assertEqual(snapshot.read(0, 4096), b"1" * 4096)


if __name__ == "__main__":
    main()
