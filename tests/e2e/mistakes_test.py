#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What goes wrong around a node: a store that is not mounted, a configuration that is wrong, a user
who may not, a peer that has died. Each is told, and nothing is lost or stopped by it."""
import os
import shutil
import signal
import unittest

from harness import ATOLL, E2eTest, main, run

NOBODY = 65534


class Stores(E2eTest):
    def setUp(self):
        super().setUp()
        self.node = self.started_node()
        self.node.ok("volume", "create", "kept", "--size", "1M")
        self.uuid = self.node.json("store", "show", "default")["uuid"]
        self.known = os.path.join(self.node.state, "stores", "default.known")
        self.node.stop()
        self.away = self.path("away")
        os.rename(self.node.store, self.away)

    def assert_refused(self):
        said = self.refused(self.node, "node", "start",
                            names=[self.node.store, self.uuid, "mounted", self.known])
        self.assertEqual(said.count("store default"), 1, said)

    def test_a_store_that_is_not_mounted_is_not_replaced_by_an_empty_one(self):
        self.assert_refused()
        self.assertFalse(os.path.exists(self.node.store))
        os.mkdir(self.node.store)
        self.assert_refused()
        self.assertEqual(os.listdir(self.node.store), [])
        os.rmdir(self.node.store)
        os.rename(self.away, self.node.store)
        self.node.start()
        self.assertEqual(self.node.ok("volume", "list", "--quiet"), "kept\n")

    def test_another_store_in_its_place_is_refused(self):
        other = self.started_node("other")
        other.stop()
        os.rename(other.store, self.node.store)
        self.assert_refused()

    def test_an_empty_store_is_made_on_purpose(self):
        os.remove(self.known)
        self.node.start()
        self.assertEqual(self.node.ok("volume", "list", "--quiet"), "")
        self.node.stop()
        shutil.rmtree(self.node.store)
        self.uuid = ""
        self.assert_refused()


class Running(E2eTest):
    def test_a_restart_that_could_not_start_leaves_the_node_running(self):
        node = self.started_node()
        with open(node.config, encoding="utf-8") as file:
            good = file.read()
        for line in ("option.bogus = 1", "driver = tape", "filters = sieve", "option.reserve = much"):
            with self.subTest(line):
                key = line.split(" ")[0]
                with open(node.config, "w", encoding="utf-8") as file:
                    file.write("".join(old for old in good.splitlines(keepends=True)
                                       if not old.startswith(f"{key} ")) + f"\n{line}\n")
                self.refused(node, "node", "restart", names="store default")
                self.assertTrue(node.is_running())
                node.ok("volume", "list")
        with open(node.config, "w", encoding="utf-8") as file:
            file.write(good)
        node.pid = node.json("node", "restart")["pid"]

    @unittest.skipIf(os.getuid() != 0, "needs to become another user")
    def test_a_user_who_may_not_is_told_so(self):
        node = self.started_node()
        for folder in (self.work, node.state):
            os.chmod(folder, 0o755)
        for words in (["node", "status"], ["node", "stop"], ["volume", "list"]):
            done = run(ATOLL, "--config", node.config, *words, user=NOBODY, group=NOBODY,
                       extra_groups=[])
            self.assertEqual(done.returncode, 1)
            self.assertIn("permission denied; root and user root may", done.stderr)

    def test_a_peer_that_cannot_be_started_again_is_seen_and_named(self):
        # Peers of a fused node are one process.
        node = self.new_node(settings={("node", "placement"): "isolated"}).start()
        for words in (["default"], ["store/default"], ["store", "default"]):
            node.ok("node", "restart", *words)
        self.refused(node, "node", "restart", "nobody", names="nobody")
        os.rename(node.store, node.store + ".away")
        pids = {peer["name"]: peer["pid"] for peer in node.json("node", "status")["peers"]}
        os.kill(pids["store default"], signal.SIGKILL)
        self.wait_until("its end is seen", lambda: "holds no store" in
                        node.run("node", "status").stdout)
        status = node.run("node", "status")
        self.assertEqual(status.returncode, 1)
        self.assertIn("degraded", status.stdout)
        self.assertIn("store default", status.stderr)
        self.assertIn(node.log, status.stderr)
        self.refused(node, "volume", "list", names="store default")
        os.rename(node.store + ".away", node.store)
        self.wait_until("its successor", lambda: node.run("node", "status").returncode == 0, 30)
        node.ok("volume", "list")


if __name__ == "__main__":
    main()
