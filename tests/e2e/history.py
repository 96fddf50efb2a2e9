# SPDX-License-Identifier: Apache-2.0
"""Knows what every sector of a volume may hold, from what was sent and what was acknowledged.

Each operation has a stamp, taken when it is sent, and is written into every sector that it writes.
Operations in flight at the same time do not overlap, so for each sector stamps are in order.
"""
import itertools
import struct
import threading

import nbd_client
from nbd_client import FUA, TRIM, WRITE, WRITE_ZEROES

SECTOR = 512
SUB_GRAIN_SECTORS = 8
WORDS = SECTOR // 16
MAX_SECTORS = 96
FOREVER = 1 << 62


def content(stamp, sector):
    """What an operation with this stamp writes to this sector; 0 is zeros."""
    return struct.pack("<QQ", stamp, sector) * WORDS if stamp else bytes(SECTOR)


class Operation:
    """One write (written = stamp), or one that makes zeros (written = 0)."""
    __slots__ = ("stamp", "written", "acknowledged", "first", "count")

    def __init__(self, stamp, written, first, count):
        self.stamp, self.written, self.first, self.count = stamp, written, first, count
        self.acknowledged = None

    def counts_at(self, point):
        return self.acknowledged is not None and self.acknowledged <= point


class History:
    def __init__(self, sectors):
        self._clock = itertools.count(1)
        origin = self._settled(0)
        self._of = [[origin] for _ in range(sectors)]

    @staticmethod
    def _settled(stamp):
        operation = Operation(stamp, stamp, 0, 0)
        operation.acknowledged = 0
        return operation

    def now(self):
        return next(self._clock)

    def sent(self, first, count, is_write):
        stamp = self.now()
        operation = Operation(stamp, stamp if is_write else 0, first, count)
        for sector in range(first, first + count):
            self._of[sector].append(operation)
        return operation

    def acknowledged(self, operation):
        operation.acknowledged = self.now()

    def refused(self, operation):
        """An error was answered: it may have happened in part. Nothing to do, it stays open."""

    def copy(self):
        """The history up to now; what is sent later is not in it."""
        copied = History(0)
        copied._of = [list(operations) for operations in self._of]
        return copied

    def _candidates(self, sector, point):
        """The last operation that was acknowledged at this point, and all that came later."""
        operations = self._of[sector]
        for index in range(len(operations) - 1, -1, -1):
            if operations[index].counts_at(point):
                return operations[index:]
        raise AssertionError("every sector begins with an acknowledged operation")

    def wrong_sectors(self, data, point=FOREVER):
        """The sectors that hold what they cannot hold, if all that was acknowledged before `point`
        has to be there; as texts, at most a few."""
        wrong = []
        # If an operation shows, so must all that were acknowledged before it was sent.
        shown = self._latest_shown(data)
        point = max(point, shown)
        for sector in range(len(self._of)):
            found = data[sector * SECTOR:(sector + 1) * SECTOR]
            may = self._candidates(sector, point)
            if not any(found == content(operation.written, sector) for operation in may):
                stamp, place = struct.unpack_from("<QQ", found)
                wrong.append(f"sector {sector} holds stamp {stamp} of sector {place}; it may be "
                             f"{[operation.written for operation in may]}")
                if len(wrong) == 5:
                    break
        return wrong

    def _latest_shown(self, data):
        stamps = [struct.unpack_from("<Q", data, sector * SECTOR)[0]
                  for sector in range(len(self._of))]
        return max((stamp for stamp in stamps if stamp < FOREVER), default=0)

    def settle(self, data):
        """What was read is from now on what has to be there."""
        settled = {0: self._settled(0)}
        for sector in range(len(self._of)):
            stamp = struct.unpack_from("<Q", data, sector * SECTOR)[0]
            self._of[sector] = [settled.setdefault(stamp, self._settled(stamp))]


class Writer(threading.Thread):
    """Writes, zeroes, trims and flushes at random within its own sectors over a connection of its
    own until the connection is lost or `stop` is set."""

    def __init__(self, node, export, history, sectors, random, depth=8,
                 client=nbd_client.Client):
        super().__init__(daemon=True)
        self._client = client
        self._socket, self._export, self._history = node.socket, export, history
        self._sectors, self._random, self._depth = sectors, random, depth
        self._operations = {}
        self.stop = threading.Event()
        self.acknowledged = 0
        self.problem = None
        self.lost = False

    def run(self):
        try:
            with self._client(self._socket, self._export) as client:
                self._go(client)
        except nbd_client.Lost:
            self.lost = True
        except (nbd_client.NbdError, AssertionError) as error:
            self.problem = error

    def _go(self, client):
        while not self.stop.is_set() or client.in_flight:
            while not self.stop.is_set() and len(client.in_flight) < self._depth:
                self._submit(client)
            cookie, _ = client.wait()
            operation = self._operations.pop(cookie)
            if operation is not None:
                self._history.acknowledged(operation)
                self.acknowledged += 1

    def _free_range(self, command):
        """A range that overlaps nothing in flight, not even by sub-grain; None if none was found."""
        unit = SUB_GRAIN_SECTORS if command == TRIM else 1
        low, high = self._sectors.start // unit, self._sectors.stop // unit
        count = self._random.randint(1, MAX_SECTORS // unit)
        first = self._random.randrange(low, high - count) * unit
        last = first + count * unit
        for other in self._operations.values():
            if other and first < other.first + other.count + SUB_GRAIN_SECTORS and \
                    other.first < last + SUB_GRAIN_SECTORS:
                return None
        return first, count * unit

    def _submit(self, client):
        if self._random.random() < 0.02:
            self._operations[client.submit(nbd_client.FLUSH)] = None
            return
        command = self._random.choices([WRITE, WRITE_ZEROES, TRIM], [8, 1, 1])[0]
        place = self._free_range(command)
        if place is None:
            return
        first, count = place
        operation = self._history.sent(first, count, command == WRITE)
        request = {"offset": first * SECTOR, "flags": FUA if self._random.random() < 0.1 else 0}
        if command == WRITE:
            request["data"] = b"".join(content(operation.stamp, first + n) for n in range(count))
        else:
            request["length"] = count * SECTOR
        self._operations[client.submit(command, **request)] = operation
