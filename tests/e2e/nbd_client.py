# SPDX-License-Identifier: Apache-2.0
"""A small NBD client that knows exactly which of its requests were acknowledged.

One connection, fixed newstyle with NBD_OPT_GO, simple replies, any number of requests in flight.
"""
import itertools
import select
import socket
import struct
import time

GREETING = struct.Struct(">QQH")
OPTION = struct.Struct(">QII")
OPTION_REPLY = struct.Struct(">QIII")
REQUEST = struct.Struct(">IHHQQI")
REPLY = struct.Struct(">IIQ")
MAGIC, OPTION_MAGIC = 0x4E42444D41474943, 0x49484156454F5054
OPTION_REPLY_MAGIC, REQUEST_MAGIC, REPLY_MAGIC = 0x3E889045565A9, 0x25609513, 0x67446698
FIXED_NEWSTYLE, NO_ZEROES = 1, 2
OPT_GO, REP_ACK, INFO_EXPORT = 7, 1, 0
READ, WRITE, DISCONNECT, FLUSH, TRIM, WRITE_ZEROES = 0, 1, 2, 3, 4, 6
FUA, NO_HOLE = 1, 2
FLAG_READ_ONLY = 2
REPLY_TIMEOUT_S = 60


class NbdError(Exception):
    """The server answered with an error."""

    def __init__(self, code):
        super().__init__(f"NBD error {code}")
        self.code = code


class Lost(Exception):
    """The connection ended; what was in flight may have happened or not."""


class Client:
    def __init__(self, path, export):
        self.in_flight = {}
        self._cookies = itertools.count(1)
        self._path, self._export = path, export.encode()
        self._connect()

    def _connect(self):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(REPLY_TIMEOUT_S)
        try:
            self._socket.connect(self._path)
            self._negotiate(self._export)
        except OSError as error:
            self._socket.close()
            raise Lost(str(error)) from error
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            self._socket.sendall(REQUEST.pack(REQUEST_MAGIC, 0, DISCONNECT, 0, 0, 0))
        except OSError:
            pass
        self._socket.close()

    def _receive(self, count):
        data = bytearray(count)
        view, got = memoryview(data), 0
        while got < count:
            try:
                more = self._socket.recv_into(view[got:])
            except OSError as error:
                raise Lost(str(error)) from error
            if more == 0:
                raise Lost("the server closed the connection")
            got += more
        return bytes(data)

    def _negotiate(self, export):
        magic, option_magic, _ = GREETING.unpack(self._receive(GREETING.size))
        assert (magic, option_magic) == (MAGIC, OPTION_MAGIC), "this is no NBD server"
        data = struct.pack(">I", len(export)) + export + struct.pack(">H", 0)
        self._socket.sendall(struct.pack(">I", FIXED_NEWSTYLE | NO_ZEROES) +
                             OPTION.pack(OPTION_MAGIC, OPT_GO, len(data)) + data)
        while True:
            _, _, kind, length = OPTION_REPLY.unpack(self._receive(OPTION_REPLY.size))
            body = self._receive(length)
            if kind & 0x80000000:
                raise NbdError(kind)
            if kind == REP_ACK:
                return
            if struct.unpack_from(">H", body)[0] == INFO_EXPORT:
                self.size, self.flags = struct.unpack(">QH", body[2:])

    def submit(self, command, offset=0, length=0, data=b"", flags=0):
        """Sends a request and returns its cookie; `wait` brings the answer."""
        cookie = next(self._cookies)
        self.in_flight[cookie] = (command, offset, length or len(data), data, flags)
        self._send(cookie)
        return cookie

    def _send(self, cookie):
        command, offset, length, data, flags = self.in_flight[cookie]
        head = REQUEST.pack(REQUEST_MAGIC, flags, command, cookie, offset, length)
        try:
            self._socket.sendall(head + data)
        except OSError as error:
            raise Lost(str(error)) from error

    def wait(self):
        """The next answer: (cookie, data that was read). Raises NbdError or Lost."""
        magic, error, cookie = REPLY.unpack(self._receive(REPLY.size))
        assert magic == REPLY_MAGIC, f"a reply begins with {magic:#x}"
        command, _, length, _, _ = self.in_flight[cookie]
        data = self._receive(length) if command == READ and not error else b""
        del self.in_flight[cookie]
        if error:
            raise NbdError(error)
        return cookie, data

    def answers(self):
        """Whether one is there, or begins to be, without waiting for it."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def call(self, command, **request):
        assert not self.in_flight, "call() takes turns with nothing else"
        self.submit(command, **request)
        return self.wait()[1]

    def read(self, offset, length):
        return self.call(READ, offset=offset, length=length)

    def write(self, offset, data, flags=0):
        self.call(WRITE, offset=offset, data=data, flags=flags)

    def flush(self):
        self.call(FLUSH)

    def trim(self, offset, length):
        self.call(TRIM, offset=offset, length=length)

    def zero(self, offset, length, flags=0):
        self.call(WRITE_ZEROES, offset=offset, length=length, flags=flags)


class ReconnectingClient(Client):
    """Connects again when the connection ends, and sends again what was not answered, as QEMU does
    with reconnect-delay."""
    PATIENCE_S = 30

    def __init__(self, path, export):
        self.reconnects = 0
        super().__init__(path, export)

    def _reconnect(self):
        self._socket.close()
        self.reconnects += 1
        deadline = time.monotonic() + self.PATIENCE_S
        while True:
            try:
                self._connect()
                for cookie in self.in_flight:
                    super()._send(cookie)
                return
            except Lost:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.005)

    def _send(self, cookie):
        try:
            super()._send(cookie)
        except Lost:
            self._reconnect()

    def wait(self):
        while True:
            try:
                return super().wait()
            except Lost:
                self._reconnect()
