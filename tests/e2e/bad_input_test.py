#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Damage on disk while the node is down: what it hit is refused with an error that names it, all
else goes on, and the node never dies of it."""
import glob
import os
import shutil

from harness import MIB, E2eTest, main
from nbd_client import Client, NbdError

SIZE = 8 * MIB
STEPS = 12
STRIDE = 8192


def flip(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        assert byte, f"{path} has no byte {offset}"
        file.seek(offset)
        file.write(bytes([byte[0] ^ 0x55]))


class DamageTest(E2eTest):
    """Volume 'hurt' has snapshots hurt@0 to hurt@11, with one write each, which makes a map with
    journals, nodes and blobs; volume 'other' shall never notice."""

    def setUp(self):
        super().setUp()
        self.node = self.started_node()
        self.node.ok("volume", "create", "other", "--size", SIZE)
        with Client(self.node.socket, "other") as client:
            client.write(0, b"o" * 4096)
        self.node.ok("snapshot", "create", "other", "other@1")
        self.node.ok("volume", "create", "hurt", "--size", SIZE)
        with Client(self.node.socket, "hurt") as client:
            for step in range(STEPS):
                client.write(step * STRIDE, b"h" * 4096)
                self.node.ok("snapshot", "create", "hurt", f"hurt@{step}")
            client.write(STEPS * STRIDE, b"h" * 4096)
            client.flush()
        shown = self.node.json("volume", "show", "hurt")
        self.uuid, self.epoch = shown["uuid"], shown["epoch"]
        self.key = self.uuid.replace("-", "")

    def stored(self, pattern):
        found = sorted(glob.glob(os.path.join(self.node.store, pattern)))
        self.assertTrue(found, f"nothing in the store is called {pattern}")
        return found

    def journals(self):
        """By age; the last is the current one."""
        return sorted(self.stored(f"logs/j.{self.key}.*"),
                      key=lambda path: int(path.rsplit(".", 1)[1]))

    def blob(self, epoch):
        return self.stored(f"blobs/{self.key}.{epoch}")[0]

    def header(self, key=None):
        return self.stored(f"records/header/{key or self.key}/*")[-1]

    def read(self, name, offset=0, length=SIZE):
        with Client(self.node.socket, name) as client:
            return client.read(offset, length)

    def assert_cannot_be_read(self, name, offset=0, length=SIZE):
        with self.assertRaises(NbdError, msg=f"{name} was served"):
            self.read(name, offset, length)

    def assert_others_work(self):
        """Every verb on what was not hurt."""
        self.assertTrue(self.node.is_running(), "atolld has ended")
        self.assertEqual(self.read("other", 0, 8192), b"o" * 4096 + bytes(4096))
        with Client(self.node.socket, "other") as client:
            client.write(MIB, b"more")
            client.flush()
        self.node.ok("snapshot", "create", "other", "other@2")
        self.node.ok("volume", "create", "clone", "--from", "other@1")
        self.assertEqual(self.read("clone", 0, 4096), b"o" * 4096)
        self.node.ok("volume", "rename", "clone", "clone2")
        self.node.ok("volume", "remove", "clone2")
        self.node.ok("snapshot", "remove", "other@2")

    def assert_lists_and_shows_work(self):
        """What was not hurt is listed and shown, whatever is said of the rest."""
        for words, names in ((["volume", "list", "--quiet"], ["other"]),
                             (["snapshot", "list", "--quiet"], ["other@1"])):
            listed = self.node.run(*words)
            for name in names:
                self.assertIn(name, listed.stdout.split(), f"{words}: {listed.stderr}")
        self.assertEqual(self.node.json("volume", "show", "other")["size"], SIZE)
        self.assertEqual(self.node.json("snapshot", "show", "other@1")["size"], SIZE)

    def assert_export_names(self, name, *words):
        self.refused(self.node, "volume", "export", "--force", name, self.path("out"),
                     names=[name, *words])

    def kept(self):
        """What lies in the store's blobs and logs."""
        return sorted(os.listdir(f"{self.node.store}/blobs") + os.listdir(f"{self.node.store}/logs"))


class Records(DamageTest):
    def damaged_header(self, damage):
        self.node.stop()
        header = self.header()
        damage(header)
        before = self.kept()
        self.node.start()
        self.assertRaises(NbdError, Client, self.node.socket, "hurt")
        for words in (["volume", "show"], ["open"], ["volume", "remove"]):
            self.refused(self.node, *words, "hurt", names=["hurt", self.key])
        self.refused(self.node, "gc", names=self.key)
        self.assertEqual([name for name in before if name not in self.kept()], [])
        self.assert_others_work()
        # Snapshots have headers of their own.
        self.assertEqual(self.read("hurt@3").count(b"h"), 4 * 4096)

    def test_a_flipped_header_hurts_its_volume_only(self):
        self.damaged_header(lambda header: flip(header, 200))

    def test_a_truncated_header_hurts_its_volume_only(self):
        self.damaged_header(lambda header: os.truncate(header, 100))

    def test_an_emptied_header_hurts_its_volume_only(self):
        self.damaged_header(lambda header: os.truncate(header, 0))

    def test_a_header_without_any_version_hurts_its_volume_only(self):
        self.damaged_header(os.remove)

    def test_a_damaged_header_keeps_nothing_else_from_being_listed_and_shown(self):
        self.node.stop()
        flip(self.header(), 200)
        self.node.start()
        self.assert_lists_and_shows_work()

    def test_a_damaged_name_record_hurts_its_name_only(self):
        self.node.stop()
        for record in self.stored("records/name/*/*"):
            with open(record, "rb") as file:
                text = file.read()
            if text.endswith(b"hurt") or b"hurt\0" in text:
                flip(record, len(text) - 2)
                break
        else:
            self.fail("there is no name record of 'hurt'")
        self.node.start()
        self.refused(self.node, "volume", "show", "hurt", names=["hurt", os.path.dirname(record)])
        self.refused(self.node, "volume", "create", "hurt", "--size", "1M", names="hurt")
        self.assertEqual(self.node.json("volume", "show", f"uuid:{self.uuid}")["uuid"], self.uuid)
        self.assert_others_work()

    def test_a_damaged_lock_record_is_named(self):
        self.node.stop()
        flip(self.stored(f"records/lock/{self.key}/*")[-1], 40)
        self.node.start()
        self.refused(self.node, "open", "hurt", names=["hurt", f"lock/{self.key}"])
        self.assert_others_work()

    def test_a_damaged_lease_of_a_dead_node_costs_at_most_what_that_node_held(self):
        self.node.ok("close", "other")
        self.node.kill()
        lease = self.stored("records/lease/*/*")[-1]
        flip(lease, 40)
        self.node.start()
        self.assert_others_work()
        opened = self.node.run("open", "hurt")
        if opened.returncode != 0:
            self.assertIn(os.path.dirname(lease), opened.stderr)
            self.node.ok("unlock", "--force", "hurt")
            self.node.ok("open", "hurt")
        self.assertEqual(self.read("hurt").count(b"h"), (STEPS + 1) * 4096)

    def test_a_lease_that_is_absent_is_that_of_a_dead_node(self):
        self.node.kill()
        shutil.rmtree(os.path.dirname(self.stored("records/lease/*/*")[-1]))
        self.node.start()
        self.node.ok("open", "hurt")
        self.assertEqual(self.read("hurt").count(b"h"), (STEPS + 1) * 4096)
        self.assert_others_work()

    def test_a_store_with_a_damaged_superblock_is_not_used(self):
        for path in ("ATOLL-STORE", "records/superblock/*/*"):
            with self.subTest(path):
                self.node.stop()
                file = self.stored(path)[-1]
                shutil.copy2(file, self.path("saved"))
                flip(file, os.path.getsize(file) // 2)
                said = self.refused(self.node, "node", "start", names=self.node.store)
                self.assertIn(os.path.basename(os.path.dirname(os.path.dirname(file)))
                              if "*" in path else path, said)
                shutil.copy2(self.path("saved"), file)
                self.node.start()
                self.assertEqual(self.read("hurt").count(b"h"), (STEPS + 1) * 4096)


class Maps(DamageTest):
    def damaged(self, choose, damage, names, hurt):
        """Stops, damages, starts; `hurt` cannot be read, exporting it names the thing."""
        self.node.stop()
        path = choose()
        damage(path)
        self.node.start()
        for name in hurt:
            self.assert_cannot_be_read(name)
            self.assert_export_names(name, *names(path))
        self.assert_others_work()
        self.assert_lists_and_shows_work()

    def test_a_damaged_pinned_journal_is_never_served(self):
        # The journal of hurt@11, which no fold has made needless.
        def choose():
            return [path for path in self.journals() if f"{self.key}.{STEPS}." in path][-1]

        for what, damage in (("flipped", lambda path: flip(path, 70)),
                             ("truncated", lambda path: os.truncate(path, 64)),
                             ("removed", os.remove)):
            with self.subTest(what):
                good = self.path("good")
                self.node.stop()
                shutil.copytree(self.node.store, good)
                self.node.start()
                self.damaged(choose, damage,
                             lambda path: [self.uuid, f"{STEPS}.{path.rsplit('.', 1)[1]}"],
                             [f"hurt@{STEPS - 1}"])
                self.node.stop()
                shutil.rmtree(self.node.store)
                os.rename(good, self.node.store)
                self.node.start()

    def test_a_damaged_node_is_never_served(self):
        self.node.ok("close", "hurt")
        path = self.stored(f"logs/n.{self.key}.*")[0]
        size = os.path.getsize(path)

        def damage(path):
            for offset in range(0, size, 64):
                flip(path, offset)

        self.damaged(lambda: path, damage, lambda path: [self.uuid], [f"hurt@{STEPS - 1}"])

    def test_a_node_blob_that_is_absent_is_named(self):
        self.node.ok("close", "hurt")
        self.damaged(lambda: self.stored(f"logs/n.{self.key}.*")[0], os.remove,
                     lambda path: [self.uuid], [f"hurt@{STEPS - 1}"])

    def test_a_frozen_blob_that_is_absent_is_an_error_and_never_zeros(self):
        self.damaged(lambda: self.blob(1), shutil.rmtree, lambda path: [f"{self.uuid}.1"],
                     ["hurt", "hurt@0", "hurt@7"])
        # What lies in other blobs is served on, and writing goes on.
        self.assertEqual(self.read("hurt", STRIDE, 4096), b"h" * 4096)
        with Client(self.node.socket, "hurt") as client:
            client.write(4 * MIB, b"new" * 512)
            self.assertEqual(client.read(4 * MIB, 1536), b"new" * 512)
            with self.assertRaises(NbdError):
                client.read(0, 512)
            self.assertEqual(client.read(STRIDE, 512), b"h" * 512)

    def test_a_file_of_a_frozen_blob_that_is_absent_is_an_error(self):
        self.damaged(lambda: os.path.join(self.blob(2), "0"), os.remove,
                     lambda path: [f"{self.key}.2"], ["hurt", "hurt@1"])

    def test_a_current_blob_that_is_absent_is_an_error_and_never_zeros(self):
        self.node.stop()
        shutil.rmtree(self.blob(self.epoch))
        self.node.start()
        # Flushed at the end of the preparation, in this blob.
        self.assert_cannot_be_read("hurt", STEPS * STRIDE, 4096)
        self.assertEqual(self.read("hurt@5").count(b"h"), 6 * 4096)
        self.assert_others_work()

    def test_the_file_of_a_current_blob_that_is_absent_is_an_error_and_never_zeros(self):
        self.node.stop()
        os.remove(os.path.join(self.blob(self.epoch), "0"))
        self.node.start()
        self.assert_cannot_be_read("hurt", STEPS * STRIDE, 4096)
        self.assert_export_names("hurt", f"{self.key}.{self.epoch}")
        with Client(self.node.socket, "hurt") as client:
            with self.assertRaises(NbdError):
                client.write(0, b"w" * 4096)
        self.assertEqual(self.read("hurt@5").count(b"h"), 6 * 4096)
        self.assert_others_work()

    def test_an_error_that_a_client_sees_stands_in_the_log_with_its_cause(self):
        self.node.stop()
        shutil.rmtree(self.blob(1))
        self.node.start()
        before = len(self.node.log_text())
        self.assert_cannot_be_read("hurt", 0, 4096)
        said = self.node.log_text()[before:]
        self.assertTrue(self.uuid in said or self.key in said, f"the log says: '{said}'")

    def test_a_hole_in_a_synced_journal_is_found_after_a_kill(self):
        with Client(self.node.socket, "hurt") as client:
            for step in range(8):
                client.write(MIB + step * STRIDE, b"k" * 4096)
                client.flush()
        self.node.kill()
        journal = self.journals()[-1]
        flip(journal, 70)
        self.node.start()
        self.assert_cannot_be_read("hurt")
        self.refused(self.node, "open", "hurt", names=["hurt", self.uuid])
        self.assertEqual(self.read("hurt@5").count(b"h"), 6 * 4096)
        self.assert_others_work()

    def test_a_torn_end_of_a_journal_costs_no_flushed_write(self):
        with Client(self.node.socket, "hurt") as client:
            client.write(2 * MIB, b"k" * 4096)
            client.flush()
        self.node.kill()
        with open(self.journals()[-1], "ab") as file:
            file.write(b"ATJB" + self.random.randbytes(100))
        self.node.start()
        self.assertEqual(self.read("hurt", 2 * MIB, 4096), b"k" * 4096)
        self.assertEqual(self.read("hurt").count(b"h"), (STEPS + 1) * 4096)
        self.assert_others_work()


class Foreign(DamageTest):
    def test_foreign_files_are_left_alone(self):
        self.node.stop()
        placed = []
        folders = [path for path, _, _ in os.walk(self.node.store)]
        for number, folder in enumerate(folders):
            # Among the versions of a record and the files of a blob as well.
            for name in ("lost+found.txt", ".hidden", "README"):
                path = os.path.join(folder, name)
                with open(path, "wb") as file:
                    file.write(b"not ours %d" % number)
                placed.append(path)
        for folder in ("blobs/stranger", "logs/folder", "records/header/stranger"):
            os.mkdir(os.path.join(self.node.store, folder))
        self.node.start()
        self.assertEqual(self.read("hurt").count(b"h"), (STEPS + 1) * 4096)
        self.assert_others_work()
        self.assert_lists_and_shows_work()
        self.node.ok("gc")
        self.assertEqual(self.read("hurt").count(b"h"), (STEPS + 1) * 4096)
        in_use = [path for path in placed if f"{self.key}" not in path and "/tmp/" not in path
                  and os.path.dirname(path) == self.node.store]
        self.assertEqual([path for path in in_use if not os.path.exists(path)], [])

    def test_damaged_files_of_the_state_folder_keep_no_node_from_starting_silently(self):
        for name in ("incarnation", "atolld.pid"):
            with self.subTest(name):
                self.node.stop()
                path = os.path.join(self.node.state, name)
                with open(path, "wb") as file:
                    file.write(b"\xff garbage \0\n" * 100)
                started = self.node.run("node", "start")
                if started.returncode != 0:
                    self.assertIn(path, started.stderr)
                    os.remove(path)
                    self.node.start()
                else:
                    self.node.pid = self.node.json("node", "status")["pid"]
                self.assertEqual(self.read("hurt").count(b"h"), (STEPS + 1) * 4096)

    def test_a_store_that_is_no_folder_is_named(self):
        self.node.stop()
        os.rename(self.node.store, self.path("away"))
        with open(self.node.store, "wb") as file:
            file.write(b"a file")
        self.refused(self.node, "node", "start", names=self.node.store)
        os.remove(self.node.store)
        os.rename(self.path("away"), self.node.store)
        self.node.start()
        self.assert_others_work()


if __name__ == "__main__":
    main()
