#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A real block device of this machine over the NBD socket (nbdfuse and losetup) carries ext4: a
volume, its snapshot and a clone."""
import hashlib
import os
import subprocess
import time

from harness import MIB, SOURCES, E2eTest, has_tools, main, must, run

SIZE = 192 * MIB
SKIPPED_FOLDERS = ("build", "var", ".git", "__pycache__")


def sums(folder):
    """Path -> checksum of every file of a tree."""
    found = {}
    for path, folders, names in os.walk(folder):
        folders[:] = [f for f in folders if not f.startswith(SKIPPED_FOLDERS) and f != "lost+found"]
        for name in names:
            full = os.path.join(path, name)
            if not name.startswith(SKIPPED_FOLDERS) and os.path.isfile(full) and not os.path.islink(full):
                with open(full, "rb") as file:
                    found[os.path.relpath(full, folder)] = hashlib.sha256(file.read()).hexdigest()
    return found


class Disk:
    """An export as a loop device; unmade by `detach`, or with the work folder."""

    def __init__(self, test, node, export, read_only=False):
        self.folder = test.path(f"fuse-{export.replace('/', '_')}")
        os.mkdir(self.folder)
        file = os.path.join(self.folder, "disk")
        options = ["-r"] if read_only else []
        self._log = open(f"{self.folder}.log", "wb")  # pylint: disable=consider-using-with
        self._fuse = subprocess.Popen(  # pylint: disable=consider-using-with
            ["nbdfuse", *options, file, node.uri(export)], stdin=subprocess.DEVNULL,
            stdout=self._log, stderr=self._log)
        test.addCleanup(self._reap)
        test.wait_until(f"nbdfuse of {export}", lambda: os.path.exists(file))
        self.device = must("losetup", "--find", "--show", *options, file).strip()

    def _reap(self):
        self._log.close()
        if self._fuse.poll() is None:
            self._fuse.kill()
        self._fuse.wait()

    def detach(self):
        must("losetup", "-d", self.device)
        # The kernel lets go of a loop device a moment later, if somebody else looked at it.
        deadline = time.monotonic() + 20
        while run("umount", self.folder).returncode != 0:
            if time.monotonic() > deadline:
                must("umount", self.folder)
            time.sleep(0.1)
        self._fuse.wait(30)
        os.rmdir(self.folder)


@has_tools("nbdfuse", "losetup", "mkfs.ext4", "fsck.ext4", "mount", "blkdiscard")
class BlockDevice(E2eTest):
    def setUp(self):
        super().setUp()
        self.node = self.started_node()
        self.mount_point = self.path("mnt")
        os.mkdir(self.mount_point)

    def mount(self, disk, *options):
        must("mount", *options, disk.device, self.mount_point)

    def umount(self):
        must("umount", self.mount_point)

    def check(self, disk):
        checked = run("fsck.ext4", "-fn", disk.device)
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)

    def copy_sources(self):
        """Returns the checksums of what was copied, as it is at the source."""
        tree = os.path.join(self.mount_point, "tree")
        os.mkdir(tree)
        excluded = [f"--exclude={name}*" for name in SKIPPED_FOLDERS]
        must("bash", "-c", 'from=$1 to=$2; shift 2; tar -C "$from" "$@" -cf - . | tar -C "$to" -xf -',
             "copy", SOURCES, tree, *excluded)
        wanted = sums(SOURCES)
        self.assertGreater(len(wanted), 100)
        return wanted

    def made_volume(self):
        """The volume 'disk' with ext4 and the sources on it, unmounted; returns the checksums."""
        self.node.ok("volume", "create", "disk", "--size", SIZE)
        disk = Disk(self, self.node, "disk")
        self.assertEqual(int(must("blockdev", "--getsize64", disk.device)), SIZE)
        must("mkfs.ext4", "-q", "-F", disk.device)
        self.mount(disk)
        wanted = self.copy_sources()
        self.umount()
        self.check(disk)
        disk.detach()
        return wanted

    def assert_tree(self, disk, wanted, *options):
        self.mount(disk, *options)
        found = sums(os.path.join(self.mount_point, "tree"))
        different = sorted(p for p in wanted.keys() | found.keys() if wanted.get(p) != found.get(p))
        self.assertEqual(different, [])
        self.umount()

    def test_a_volume_keeps_a_tree_over_a_remount_and_a_restart(self):
        wanted = self.made_volume()
        disk = Disk(self, self.node, "disk")
        self.assert_tree(disk, wanted)
        self.check(disk)
        disk.detach()
        self.node.stop()
        self.node.start()
        disk = Disk(self, self.node, "disk")
        self.check(disk)
        self.assert_tree(disk, wanted)
        disk.detach()

    def test_a_snapshot_is_read_only_and_stays_what_it_was(self):
        wanted = self.made_volume()
        self.node.ok("snapshot", "create", "disk", "disk@clean")
        disk = Disk(self, self.node, "disk")
        self.mount(disk)
        must("rm", "-r", os.path.join(self.mount_point, "tree", "docs"))
        must("dd", "if=/dev/urandom", f"of={self.mount_point}/noise", "bs=1M", "count=24")
        self.umount()
        self.check(disk)
        disk.detach()
        snapshot = Disk(self, self.node, "disk@clean", read_only=True)
        self.check(snapshot)
        self.assert_tree(snapshot, wanted, "-o", "ro,noload")
        self.assertEqual(must("blockdev", "--getro", snapshot.device).strip(), "1")
        self.assertNotEqual(run("dd", "if=/dev/zero", f"of={snapshot.device}", "bs=4k", "count=1",
                                "oflag=direct").returncode, 0)
        snapshot.detach()

    def test_a_snapshot_of_a_mounted_file_system_mounts_without_its_log(self):
        self.node.ok("volume", "create", "disk", "--size", SIZE)
        disk = Disk(self, self.node, "disk")
        must("mkfs.ext4", "-q", "-F", disk.device)
        self.mount(disk)
        wanted = self.copy_sources()
        must("sync", "-f", self.mount_point)
        self.node.ok("snapshot", "create", "disk", "disk@live")
        must("dd", "if=/dev/urandom", f"of={self.mount_point}/noise", "bs=1M", "count=16")
        self.umount()
        self.check(disk)
        disk.detach()
        # What a person does with it: a clone recovers by the file system's log.
        self.node.ok("volume", "create", "recovered", "--from", "disk@live")
        recovered = Disk(self, self.node, "recovered")
        self.assert_tree(recovered, wanted)
        self.check(recovered)
        recovered.detach()

    def test_a_clone_is_written_to_and_its_origin_stays(self):
        wanted = self.made_volume()
        self.node.ok("snapshot", "create", "disk", "disk@1")
        self.node.ok("volume", "create", "clone", "--from", "disk@1")
        clone = Disk(self, self.node, "clone")
        self.assert_tree(clone, wanted)
        self.mount(clone)
        with open(os.path.join(self.mount_point, "tree", "note-of-the-clone"), "wb") as note:
            note.write(b"only here\n")
        os.remove(os.path.join(self.mount_point, "tree", "README.md"))
        self.umount()
        self.check(clone)
        changed = {path: total for path, total in wanted.items() if path != "README.md"}
        changed["note-of-the-clone"] = hashlib.sha256(b"only here\n").hexdigest()
        self.assert_tree(clone, changed)
        clone.detach()
        for export, options in (("disk", ()), ("disk@1", ("-o", "ro,noload"))):
            origin = Disk(self, self.node, export, read_only=bool(options))
            self.check(origin)
            self.assert_tree(origin, wanted, *options)
            origin.detach()

    def test_a_grown_volume_lets_its_file_system_grow(self):
        wanted = self.made_volume()
        self.node.ok("volume", "resize", "disk", "--size", 2 * SIZE)
        disk = Disk(self, self.node, "disk")
        self.assertEqual(int(must("blockdev", "--getsize64", disk.device)), 2 * SIZE)
        must("resize2fs", "-f", disk.device)
        self.check(disk)
        self.assert_tree(disk, wanted)
        disk.detach()

    def test_a_discarded_device_is_empty_and_gives_its_space_back(self):
        self.made_volume()
        used = self.node.json("volume", "show", "disk")["space"]["true"]
        disk = Disk(self, self.node, "disk")
        must("blkdiscard", disk.device)
        # A whole mebibyte, for the discard of a loop device ends at what its sectors allow.
        data = must("bash", "-c", f"dd if={disk.device} bs=1M status=none | tr -d '\\0' | wc -c")
        self.assertEqual(int(data), 0)
        disk.detach()
        left = self.node.json("volume", "show", "disk")["space"]["true"]
        self.assertLess(left, used // 10)


if __name__ == "__main__":
    main()
