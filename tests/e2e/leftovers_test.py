#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A test that is killed leaves no process, no mount, no loop device and no folder behind."""
import os
import subprocess
import sys
import time
import unittest

import leftovers
from harness import E2eTest, has_tools, main, must

VICTIM = "run-as-victim"


class Victim(E2eTest):
    """Started by the test below, and killed while it has everything that can be left over."""

    def test_waits_to_be_killed(self):
        node = self.started_node()
        node.ok("volume", "create", "disk", "--size", "64M")
        image, mounted = self.path("image"), self.path("mounted")
        with open(image, "wb") as file:
            file.truncate(16 << 20)
        os.mkdir(mounted)
        must("mkfs.ext4", "-q", "-F", image)
        must("mount", "-o", "loop", image, mounted)
        fuse = self.path("fuse")
        os.mkdir(fuse)
        self.fuse = subprocess.Popen(  # pylint: disable=consider-using-with
            ["nbdfuse", fuse, node.uri("disk")], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        self.wait_until("the FUSE mount", lambda: len(leftovers.mounts_under(self.work)) == 2)
        print(self.work, node.pid, flush=True)
        time.sleep(120)


@has_tools("nbdfuse", "mkfs.ext4", "mount", "losetup", "setsid")
class Leftovers(unittest.TestCase):
    def test_a_killed_test_leaves_nothing(self):
        with subprocess.Popen([sys.executable, "-B", os.path.abspath(__file__), VICTIM],
                              stdout=subprocess.PIPE, text=True) as victim:
            work, pid = victim.stdout.readline().split()
            self.assertTrue(leftovers.is_alive(int(pid)))
            self.assertEqual(len(leftovers.loops_under(work)), 1)
            victim.kill()
        deadline = time.monotonic() + 30
        while os.path.exists(work) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertFalse(os.path.exists(work))
        self.assertFalse(leftovers.is_alive(int(pid)))
        self.assertEqual(leftovers.processes_of(work), [])
        self.assertEqual(leftovers.mounts_under(work), [])
        self.assertEqual(leftovers.loops_under(work), [])


if __name__ == "__main__":
    if VICTIM in sys.argv:
        unittest.main(argv=[sys.argv[0], "Victim"])
    del Victim
    main()
