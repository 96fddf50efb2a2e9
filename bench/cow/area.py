# SPDX-License-Identifier: Apache-2.0
"""What copy on write costs: first writes after a snapshot, reads over chains of snapshots, opening
them, and the operations themselves; beside qcow2, whose snapshots are overlays here.

An overlay (qemu-img create -b) costs a write what an internal snapshot (qemu-img snapshot -c) does,
and leaves the base as it is, so that each round has the same.
"""
from cow import chains, first_writes, operations


def run(options, report):
    for part in (first_writes, chains, operations):
        part.run(options, report)
