#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Files of a store are damaged behind the back of a node, one change at a time, and a real node is
started on what is left. It refuses, naming the thing; or `atoll check` finds an error; or a volume
cannot be read. Nothing wrong is ever served. What goes unnoticed are bytes that mean nothing.

The unit test volumes_corruption_test makes a thousand of them and knows which bytes mean nothing;
here it is seen that the programs say it. ATOLL_CORRUPTIONS makes more or fewer.
"""
import collections
import os
import shutil
import unittest

from harness import E2eTest, KIB, MIB, main

ROUNDS = int(os.environ.get("ATOLL_CORRUPTIONS") or 24)
VOLUME = 1 * MIB
# Files of which any byte may mean nothing: parts of logs that no map reaches any more, blocks that
# are only kept, and marks that are there or not.
MAY_BE_HARMLESS = ("logs/", "reserve", "floors/", "tmp/", "blobs/")


class CorruptionTest(E2eTest):
    def setUp(self):
        super().setUp()
        self.node = self.started_node()
        self.contents = {}
        self.marks = 0

    def pattern(self):
        """A MiB of which some is new and the rest as it was."""
        image = bytearray(self.image)
        for _ in range(6):
            at = self.random.randrange(VOLUME // (4 * KIB)) * 4 * KIB
            self.marks += 1
            image[at:at + 4 * KIB] = self.marks.to_bytes(8, "little") * 512
        self.image = bytes(image)
        return self.image

    def make_resources(self):
        """Volumes with snapshots and clones of them, each of another content."""
        for number in range(3):
            self.image = bytes(VOLUME)
            name = f"v{number}"
            path = self.path("image")
            with open(path, "wb") as file:
                file.write(self.pattern())
            self.node.ok("volume", "import", path, name)
            self.contents[name] = self.image
            for snapshot in range(2):
                self.node.ok("snapshot", "create", name, f"{name}.{snapshot}")
                self.contents[f"{name}.{snapshot}"] = self.image
            self.node.ok("volume", "create", f"c{number}", "--from", f"{name}.1")
            self.contents[f"c{number}"] = self.image

    def meta_files(self):
        found = []
        for folder, _, names in os.walk(self.node.store):
            for name in names:
                path = os.path.join(folder, name)
                data = "/blobs/" in path and name.isdigit()
                if not data:
                    found.append(os.path.relpath(path, self.node.store))
        return sorted(found)

    def damage(self, file):
        """What was done; None if that has changed nothing."""
        path = os.path.join(self.node.store, file)
        with open(path, "rb") as opened:
            before = opened.read()
        kind = self.random.choice(["flip", "truncate", "zero", "remove", "swap"])
        if kind == "remove":
            os.unlink(path)
            return f"removed {file}"
        if kind == "swap":
            other = os.path.join(self.node.store, self.random.choice(self.meta_files()))
            with open(other, "rb") as opened:
                after = opened.read()
            if after == before:
                return None
            for name, content in ((path, after), (other, before)):
                with open(name, "wb") as opened:
                    opened.write(content)
            return f"swapped {file} and {os.path.relpath(other, self.node.store)}"
        if not before:
            return None
        at = self.random.randrange(len(before))
        after = bytearray(before)
        if kind == "flip":
            after[at] ^= 1 << self.random.randrange(8)
        elif kind == "truncate":
            del after[at:]
        else:
            length = min(len(before) - at, self.random.randrange(1, 512))
            after[at:at + length] = bytes(length)
        if after == before:
            return None
        with open(path, "wb") as opened:
            opened.write(after)
        return f"{kind} {file} at {at}"

    def look(self):
        """How the damage was noticed; None if it was not. Whatever can be read is right."""
        started = self.node.run("node", "start")
        if started.returncode != 0:
            self.assertIn("atoll: ", started.stderr)
            self.assertNotIn("two minutes", started.stderr)
            return "refused"
        self.node.pid = self.node.status()["pid"]
        check = self.node.run("check")
        self.assertIn(check.returncode, (0, 1), check.stderr)
        how = "check" if check.returncode == 1 else None
        if how:
            self.assertIn("error: ", check.stdout)
        out = self.path("out")
        for name, content in self.contents.items():
            if os.path.exists(out):
                os.unlink(out)
            exported = self.node.run("volume", "export", name, out)
            if exported.returncode != 0:
                how = how or "read"
                continue
            with open(out, "rb") as file:
                self.assertEqual(file.read(), content, f"{name} reads as what it never was")
        return how

    def test_damage_is_found_and_never_served(self):
        self.make_resources()
        self.assertIn("found: 0 errors", self.node.ok("check"))
        self.node.stop()
        pristine = self.path("pristine")
        shutil.copytree(self.node.store, pristine)
        outcomes = collections.Counter()
        while sum(outcomes.values()) < ROUNDS:
            shutil.rmtree(self.node.store)
            shutil.copytree(pristine, self.node.store)
            file = self.random.choice(self.meta_files())
            done = self.damage(file)
            if done is None:
                continue
            with self.subTest(done):
                how = self.look()
                if self.node.pid:
                    self.node.kill()
                outcomes[how or "not noticed"] += 1
                if how is None:
                    self.assertTrue(file.startswith(MAY_BE_HARMLESS), done)
        print(f"{ROUNDS} corruptions: {dict(outcomes)}")
        noticed = ROUNDS - outcomes["not noticed"]
        self.assertGreater(noticed * 3, ROUNDS, "most files that there are matter")

    def test_a_repair_and_a_scrub_go_through_the_node(self):
        self.make_resources()
        self.node.ok("volume", "remove", "c0")
        before = self.node.json("check")
        self.assertGreater(before["garbage"]["records"], 0)
        self.assertEqual(before["errors"], 0)
        self.node.ok("check", "--repair")
        self.assertEqual(self.node.json("check")["garbage"]["records"], 0)
        scrub = self.node.json("scrub", "--rate", "512M")
        self.assertEqual(scrub["state"], "done")
        self.assertEqual(scrub["report"]["errors"], 0)
        self.assertGreater(scrub["done_bytes"], 0)
        # The command goes away, the scrub goes on in the node.
        self.node.ok("scrub", "--rate", "64K", "--detach")
        self.assertEqual(self.node.json("scrub", "--status")["state"], "running")
        self.refused(self.node, "scrub", names="a scrub is running")
        self.node.ok("scrub", "--cancel")
        self.wait_until("the scrub ends",
                        lambda: self.node.json("scrub", "--status")["state"] == "cancelled")
        self.node.ok("scrub", "--rate", "64K", "--detach")  # The node stops with it.

    def test_a_missing_name_is_put_back(self):
        self.make_resources()
        self.node.stop()
        uuids = {}
        names = os.path.join(self.node.store, "records", "name")
        victim = os.path.join(names, sorted(os.listdir(names))[0])
        shutil.rmtree(victim)
        self.node.start()
        found = self.node.run("--format", "json", "check")
        self.assertEqual(found.returncode, 1)
        self.assertIn("name record", found.stdout)
        self.assertIn("1 error", found.stderr)
        self.node.ok("check", "--repair")
        self.assertIn("found: 0 errors", self.node.ok("check"))
        for name in self.contents:
            uuids[name] = self.node.json("volume", "export", name, self.path(f"{name}.raw"))
            with open(self.path(f"{name}.raw"), "rb") as file:
                self.assertEqual(file.read(), self.contents[name])


if __name__ == "__main__":
    main()
