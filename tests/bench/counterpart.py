# SPDX-License-Identifier: Apache-2.0
"""What the network benchmarks talk to on the host: UDP and TCP on one port of the loopback."""

from __future__ import annotations

import socket
import struct
import threading
import time
from types import TracebackType
from typing import Self

from tests.bench.facts import number

_HEAD = struct.Struct("<III")
_STOP = 0
_BUFFER = 4 << 20
_CHUNK = 1 << 18
_REQUEST = {b"out\0": "take", b"in\0\0": "give"}


class Counterpart:
    """Serves while the `with` block lasts; port is what guests reach at 10.0.2.2."""

    def __enter__(self) -> Self:
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._tcp.getsockname()[1]
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._udp.bind(("127.0.0.1", self.port))
        self._threads = [threading.Thread(target=run) for run in (self._datagrams, self._streams)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._udp.sendto(_HEAD.pack(_STOP, 0, 0), ("127.0.0.1", self.port))
        self._tcp.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._udp.close()
        self._tcp.close()

    def _datagrams(self) -> None:
        start, data, count, want = (
            number(f"BENCH_{name}") for name in ("START", "DATA", "COUNT", "WANT")
        )
        frame = _HEAD.pack(data, 0, 0).ljust(number("BENCH_UDP_SIZE"), b"\0")
        came = 0
        buffer = bytearray(2048)
        while True:
            _, sender = self._udp.recvfrom_into(buffer)
            op, sequence, value = _HEAD.unpack_from(buffer)
            if op == data:
                came += 1
            elif op == want:
                for _ in range(value):
                    self._udp.sendto(frame, sender)
            elif op in (start, count):
                came = 0 if op == start else came
                self._udp.sendto(_HEAD.pack(op, sequence, came), sender)
            else:
                return

    def _streams(self) -> None:
        while True:
            try:
                connection, _ = self._tcp.accept()
            except OSError:
                return  # Shut down.
            with connection:
                try:
                    self._stream(connection)
                except OSError:
                    pass  # The guest has gone.

    def _stream(self, connection: socket.socket) -> None:
        request = connection.recv(4, socket.MSG_WAITALL)
        if _REQUEST.get(request) == "take":
            buffer = bytearray(_CHUNK)
            came = 0
            while size := connection.recv_into(buffer):
                came += size
            connection.sendall(struct.pack("<Q", came))
        elif _REQUEST.get(request) == "give":
            until = time.monotonic() + number("BENCH_TCP_MS") / 1000
            chunk = bytes(_CHUNK)
            while time.monotonic() < until:
                connection.sendall(chunk)
