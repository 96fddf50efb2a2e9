# SPDX-License-Identifier: Apache-2.0
"""NBD servers on the server's CPU, each over an image of its own in the same file system.

A server is made with a folder that it may use, started, and stopped; `socket` and `export` say
where it is reached. All keep what is written in the page cache until a client asks for more, unless
they are called otherwise.
"""
import os
import shutil
import socket
import subprocess
import time

# Of the end-to-end tests.
import leftovers
from harness import BIN, Node, must

from measure import machine

START_TIMEOUT_S = 30


def _accepts(path):
    """A socket may be there before its server listens."""
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(path)
        return True
    except (FileNotFoundError, ConnectionRefusedError):
        return False


def _with_children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [pid, *map(int, file.read().split())]


class Server:
    name = ""
    export = ""
    needs = ()  # Programs.

    def __init__(self, folder, size):
        self.folder, self.size = folder, size
        self.socket = os.path.join(folder, "nbd.sock")

    @classmethod
    def missing(cls):
        return [program for program in cls.needs if shutil.which(program) is None]

    def start(self):
        raise NotImplementedError

    def stop(self):
        raise NotImplementedError

    def pids(self):
        raise NotImplementedError

    @property
    def uri(self):
        return f"nbd+unix:///{self.export}?socket={self.socket}"


class AtollServer(Server):
    """A node, fused or isolated, with one volume, which is open all the time, as are the images of
    the others."""
    name = "atoll"
    export = "v"
    placement = "fused"
    settings = {}  # Of the node's configuration.
    options = ()  # Of the store's driver.

    def __init__(self, folder, size):
        super().__init__(folder, size)
        self.node = Node(folder, {("node", "placement"): self.placement, **self.settings})
        self.socket = self.node.socket
        with open(self.node.config, "a", encoding="utf-8") as file:
            file.writelines(f"option.{option}\n" for option in self.options)

    def start(self):
        with machine.on_cpu(machine.SERVER_CPU):
            self.node.start()
        self.node.ok("volume", "create", self.export, "--size", str(self.size))
        self.node.ok("open", self.export)

    def stop(self):
        self.node.stop()

    def pids(self):
        return self.node.pids()


class AtollIsolated(AtollServer):
    name = "atoll isolated"
    placement = "isolated"


class AtollNull(AtollServer):
    """Over a store in memory that drops all data."""
    name = "atoll null"
    settings = {("store default", "driver"): "memory", ("store default", "filters"): "null"}


class AtollDirect(AtollServer):
    name = "atoll direct"
    options = ("direct = yes",)


class AtollDirectIsolated(AtollDirect):
    name = "atoll direct, isolated"
    placement = "isolated"


class Process(Server):
    """A server that is one process of ours and stays in the foreground."""
    _process = None

    def command(self):
        raise NotImplementedError

    def prepare(self):
        pass

    def start(self):
        os.makedirs(self.folder)
        self.prepare()
        with open(self._path("log"), "wb") as log, \
                machine.on_cpu(machine.SERVER_CPU):
            self._process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log,
                                             stderr=log)
        self.wait_for(self.socket, _accepts)

    def wait_for(self, path, is_there=os.path.exists):
        deadline = time.monotonic() + START_TIMEOUT_S
        while not is_there(path):
            if time.monotonic() > deadline or (self._process and self._process.poll() is not None):
                raise RuntimeError(f"{self.name} does not start; see {self.folder}")
            time.sleep(0.01)

    def stop(self):
        self._process.terminate()
        try:
            self._process.wait(START_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise

    def pids(self):
        return [self._process.pid]

    @property
    def image(self):
        return self._path("image")

    def _path(self, name):
        return os.path.join(self.folder, name)

    def make_raw(self):
        with open(self.image, "wb") as file:
            file.truncate(self.size)


class QemuRaw(Process):
    name = "qemu-nbd raw"
    needs = ("qemu-nbd", "qemu-img")
    cache = ("--cache=writeback",)
    image_format = "raw"

    def prepare(self):
        options = [] if self.image_format == "raw" else ["-o", self.image_options]
        must("qemu-img", "create", "-q", "-f", self.image_format, *options, self.image, self.size)

    def command(self):
        return ["qemu-nbd", "--persistent", "--shared=16", f"--format={self.image_format}",
                f"--socket={self.socket}", *self.cache, "--discard=unmap", self.image]


class QemuQcow2(QemuRaw):
    name = "qemu-nbd qcow2"
    image_format = "qcow2"
    image_options = "extended_l2=off"


class QemuQcow2Extended(QemuQcow2):
    name = "qemu-nbd qcow2 extended_l2"
    image_options = "extended_l2=on,cluster_size=128k"


class QemuRawDirect(QemuRaw):
    name = "qemu-nbd raw direct"
    cache = ("--cache=none", "--aio=io_uring")


class QemuQcow2Direct(QemuQcow2):
    name = "qemu-nbd qcow2 direct"
    cache = ("--cache=none", "--aio=io_uring")


class Nbdkit(Process):
    needs = ("nbdkit",)

    def command(self):
        return ["nbdkit", "--foreground", "--unix", self.socket, *self.plugin()]

    def plugin(self):
        raise NotImplementedError


class NbdkitFile(Nbdkit):
    name = "nbdkit file"

    def prepare(self):
        self.make_raw()

    def plugin(self):
        return ["file", self.image]


class NbdkitMemory(Nbdkit):
    name = "nbdkit memory"

    def plugin(self):
        return ["memory", str(self.size)]


class NbdkitNull(Nbdkit):
    name = "nbdkit null"

    def plugin(self):
        return ["null", str(self.size)]


class Bare(Process):
    """The least that a server can do over a raw file: bench/nbdbare."""
    name = "bare"

    def prepare(self):
        self.make_raw()

    def command(self):
        return [os.path.join(BIN, "nbdbare"), "--socket", self.socket, "--image", self.image]


class BareHop(Bare):
    """Reads are made by a process of its own, on the same CPU."""
    name = "bare, a hop"

    def command(self):
        return [*super().command(), "--hop"]

    def pids(self):
        return _with_children(self._process.pid)


class NbdServer(Process):
    """It goes to the background, and forks for each client."""
    name = "nbd-server"
    needs = ("nbd-server",)
    export = "v"

    def prepare(self):
        self.make_raw()
        # It listens on TCP whether one wants it or not.
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with open(self._path("config"), "w", encoding="utf-8") as file:
            file.write(f"[generic]\nunixsock = {self.socket}\nlistenaddr = 127.0.0.1\n"
                       f"port = {port}\nallowlist = true\n"
                       f"[{self.export}]\nexportname = {self.image}\nflush = true\nfua = true\n")

    def start(self):
        os.makedirs(self.folder)
        self.prepare()
        with machine.on_cpu(machine.SERVER_CPU):
            must("nbd-server", "-C", self._path("config"), "-p", self._path("pid"))
        self.wait_for(self._path("pid"))
        with open(self._path("pid"), encoding="ascii") as file:
            self._pid = int(file.read())

    def stop(self):
        leftovers.kill_and_wait(self.pids())

    def pids(self):
        return _with_children(self._pid)
