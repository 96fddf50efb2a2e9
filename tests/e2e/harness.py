# SPDX-License-Identifier: Apache-2.0
"""A real node in a folder of its own, and what tests need around it.

ATOLL_BIN is the folder of the programs (default: build/bin), ATOLL_PLACEMENT is fused (default) or
isolated, ATOLL_SEED repeats a randomised test.
"""
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

import leftovers

SOURCES = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.abspath(os.environ.get("ATOLL_BIN") or os.path.join(SOURCES, "build", "bin"))
ATOLL = os.path.join(BIN, "atoll")
PLACEMENT = os.environ.get("ATOLL_PLACEMENT", "fused")
SEED = int(os.environ.get("ATOLL_SEED") or random.SystemRandom().randrange(1 << 32))
COMMAND_TIMEOUT_S = 60
# How much of a log is shown when a test has failed.
LOG_TAIL = int(os.environ.get("ATOLL_LOG_TAIL") or 3000)
SKIPPED = 77
# Where mkfs and losetup are, for users whose path leaves it out.
os.environ["PATH"] += ":/usr/sbin:/sbin"
KIB, MIB, GIB, TIB, PIB = (1 << shift for shift in (10, 20, 30, 40, 50))


class CommandFailed(AssertionError):
    pass


def run(*command, timeout=COMMAND_TIMEOUT_S, **options):
    """Runs a command to its end; the caller looks at returncode, stdout and stderr (text)."""
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          timeout=timeout, check=False, **options)


def must(*command, **options):
    """The output of a command that has to succeed."""
    done = run(*command, **options)
    if done.returncode != 0:
        raise CommandFailed(f"{' '.join(map(str, command))}: exit code {done.returncode}\n"
                            f"{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


def has_tools(*names):
    """For the classes that drive clients which may not be installed."""
    missing = [name for name in names if shutil.which(name) is None]
    return unittest.skipIf(missing, f"not installed: {' '.join(missing)}")


def disk_usage(folder):
    """The bytes that a folder's files occupy, holes left out."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(path, name)).st_blocks * 512
            except FileNotFoundError:
                pass  # The node removes what it needs no more.
    return total


class Node:
    """A node and its state folder. Not started by the constructor."""

    def __init__(self, state, settings=None):
        """settings: (section, key) -> value, in place of what `node init` writes."""
        self.state = state
        self.config = os.path.join(state, "atoll.conf")
        self.store = os.path.join(state, "store")
        self.socket = os.path.join(state, "nbd.sock")
        self.log = os.path.join(state, "atolld.log")
        self.pid = None
        must(ATOLL, "node", "init", "--state", state, "--placement", PLACEMENT)
        for (section, key), value in (settings or {}).items():
            self._set(section, key, value)

    def _set(self, section, key, value):
        with open(self.config, encoding="utf-8") as file:
            text = file.read()
        head, found, tail = text.partition(f"[{section}]\n")
        tail, replaced = re.subn(rf"(?m)^#?{re.escape(key)} *=.*$", f"{key} = {value}", tail, 1)
        assert found and replaced, f"the configuration has no {key} in [{section}]"
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(head + found + tail)

    def run(self, *words, **options):
        return run(ATOLL, "--config", self.config, *words, **options)

    def ok(self, *words, **options):
        """The output of a verb that has to succeed."""
        return must(ATOLL, "--config", self.config, *words, **options)

    def json(self, *words, **options):
        return json.loads(self.ok("--format", "json", *words, **options))

    def uri(self, name):
        return f"nbd+unix:///{name}?socket={self.socket}"

    def start(self):
        self.pid = self.json("node", "start")["pid"]
        return self

    def pids(self):
        """Of the daemon and its peers."""
        return sorted({peer["pid"] for peer in self.status()["peers"]} | {self.pid})

    def status(self):
        """Also of a node of which a part is dead, which is no success for 'node status'."""
        return json.loads(self.run("--format", "json", "node", "status").stdout)

    def is_running(self):
        return self.pid is not None and leftovers.is_alive(self.pid)

    def stop(self):
        pid, self.pid = self.pid, None
        self.ok("node", "stop")
        assert not leftovers.is_alive(pid), f"atolld {pid} goes on after 'node stop'"

    def kill(self, pids=None):
        """SIGKILL to the whole node, at once."""
        pids = pids or self.pids()
        self.pid = None
        leftovers.kill_and_wait(pids)

    def log_text(self):
        if not os.path.exists(self.log):
            return ""
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()


class E2eTest(unittest.TestCase):
    """Each test has a work folder of its own; nothing of it is left when the test has ended.

    A node that a test leaves running must still be alive at its end, and stop when told to."""

    def setUp(self):
        self.nodes = []
        self.random = random.Random(SEED)
        self.work = tempfile.mkdtemp(prefix="atoll-e2e-")
        guard = leftovers.start_guard(self.work)
        os.environ[leftovers.MARK] = self.work
        self.addCleanup(os.close, guard)
        self.addCleanup(leftovers.remove_all, self.work)

    def tearDown(self):
        problems = []
        for node in self.nodes:
            if node.pid is None:
                continue
            if not node.is_running():
                problems.append(f"atolld {node.pid} has ended by itself")
                continue
            stopped = node.run("node", "stop")
            if stopped.returncode != 0:
                problems.append(f"node stop: {stopped.stderr}")
        if problems or self._has_failed():
            for node in self.nodes:
                print(f"the end of {node.log}:\n{node.log_text()[-LOG_TAIL:]}", file=sys.stderr)
        self.assertEqual(problems, [])

    def _has_failed(self):
        result = self._outcome.result
        return any(test is self for test, _ in result.errors + result.failures)

    def path(self, name):
        return os.path.join(self.work, name)

    def new_node(self, name="node", settings=None):
        node = Node(self.path(name), settings)
        self.nodes.append(node)
        return node

    def node_with_two_stores(self):
        """A started node; the second store is "far"."""
        node = self.new_node()
        with open(node.config, "a", encoding="utf-8") as file:
            file.write("[store far]\ndriver = file\n")
        return node.start()

    def started_node(self, name="node", settings=None):
        return self.new_node(name, settings).start()

    def node_on_own_disk(self, size):
        """A started node whose state lies in a file system of its own, ext4 of this size."""
        image, mounted = self.path("image"), self.path("mounted")
        with open(image, "wb") as file:
            file.truncate(size)
        os.mkdir(mounted)
        must("mkfs.ext4", "-q", "-F", "-m", "0", image)
        must("mount", "-o", "loop", image, mounted)
        return self.started_node(os.path.join("mounted", "node"))

    def wait_until(self, what, condition, timeout=20):
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                self.fail(f"{what}: not within {timeout} s")
            time.sleep(0.01)

    def refused(self, node, *words, names=(), code=1):
        """The verb fails with this exit code and one line on stderr that has all these words."""
        done = node.run(*words)
        said = f"'{' '.join(map(str, words))}' answered {done.returncode}: {done.stdout}{done.stderr}"
        self.assertEqual(done.returncode, code, said)
        self.assertEqual(done.stdout, "", said)
        self.assertEqual(done.stderr.count("\n"), 1, said)
        self.assertTrue(done.stderr.startswith("atoll: "), said)
        for word in [names] if isinstance(names, str) else names:
            self.assertIn(word, done.stderr, said)
        return done.stderr


def main():
    """Runs the tests of the calling file; the last line says how it went."""
    for program in ("atoll", "atolld"):
        if not os.access(os.path.join(BIN, program), os.X_OK):
            sys.exit(f"{BIN}/{program} is not there; build it, or set ATOLL_BIN")
    print(f"placement {PLACEMENT}, seed {SEED}; repeat with ATOLL_SEED={SEED}", file=sys.stderr)
    os.environ.pop("ATOLL_CONFIG", None)
    began = time.monotonic()
    outcome = unittest.main(module="__main__", verbosity=2, exit=False).result
    # A test with subtests is one test, however many of them have failed.
    bad = len({test.id().split(" ")[0] for test, _ in outcome.failures + outcome.errors})
    for test, why in outcome.skipped:
        print(f"skipped: {test}: {why}")
    print(f"{os.path.basename(sys.argv[0])}, {PLACEMENT}: "
          f"{outcome.testsRun - bad - len(outcome.skipped)} passed, {bad} failed, "
          f"{len(outcome.skipped)} skipped in {time.monotonic() - began:.1f} s")
    sys.exit(1 if bad else SKIPPED if outcome.skipped else 0)
