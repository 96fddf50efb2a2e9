# SPDX-License-Identifier: Apache-2.0
"""qcow2 images over others, and servers of them."""
from harness import must  # Of the end-to-end tests.

from measure import servers


def create(image, below, size, options="extended_l2=off", look=True):
    """look: as one calls it; else what lies below is not opened."""
    must("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, *([] if look else ["-u"]),
         "-F", "qcow2", "-b", below, image, size)


class _Over:
    """Before a server of qcow2 in a list of bases: its image is an overlay that it makes."""

    def __init__(self, folder, size, below):
        super().__init__(folder, size)
        self.below = below

    def prepare(self):
        create(self.image, self.below, self.size, self.image_options, look=False)


class Overlay(_Over, servers.QemuQcow2):
    pass


class OverlayExtended(_Over, servers.QemuQcow2Extended):
    pass


class Reader(servers.QemuQcow2):
    """Of an image that is there already, and may be the base of another."""

    def __init__(self, folder, size, existing):
        super().__init__(folder, size)
        self.existing = existing

    def prepare(self):
        pass

    @property
    def image(self):
        return self.existing

    def command(self):
        return [*super().command(), "--read-only"]
