# SPDX-License-Identifier: Apache-2.0
"""The supervisor's clients: requests are taken in as they come, and nobody is waited for."""

from __future__ import annotations

import json
import os
import select
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pykexec.config.bridges import KINDS

REQUEST_MAX = 4096
REQUEST_S = 2.0
"""How long a request may take to come, all of it."""
ANSWER_S = 0.5
NR_CLIENTS = 16
_WAIT_MAX_S = 3600.0


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks: do is ensure, stop, release or status."""

    do: str
    kinds: tuple[str, ...] = ()
    handle: int = 0
    wait_s: float = 0.0


def parse_request(line: bytes) -> Request:
    """ValueError for what no client of ours says."""
    try:
        value = json.loads(line)
    except RecursionError:
        raise ValueError("too deep") from None
    if not isinstance(value, dict):
        raise ValueError("no object")
    do, kinds = value.get("do"), value.get("kinds", [])
    handle, wait_s = value.get("handle", 0), value.get("wait_s", 0)
    if do not in ("ensure", "stop", "release", "status"):
        raise ValueError("no such request")
    if not isinstance(kinds, list) or any(kind not in KINDS for kind in kinds):
        raise ValueError("no such kinds")
    if not isinstance(handle, int) or not isinstance(wait_s, int | float):
        raise ValueError("no number")
    if not 0 <= wait_s <= _WAIT_MAX_S:
        raise ValueError("no time")
    return Request(do, tuple(kinds), handle, float(wait_s))


Asked = tuple[socket.socket, Request]
"""A request, and where its answer goes."""


@dataclass(slots=True)
class _Partial:
    """A client whose request has not come whole."""

    connection: socket.socket
    deadline: float
    data: bytes = b""


@dataclass(slots=True)
class Clients:
    """Those who have connected to listener and not said what they want yet."""

    listener: socket.socket
    partial: list[_Partial] = field(default_factory=list)

    def register(self, poll: select.poll) -> None:
        """Have poll wake up when take() has something to do."""
        poll.register(self.listener, select.POLLIN)
        for client in self.partial:
            poll.register(client.connection, select.POLLIN)

    def close(self) -> None:
        """Nobody finds the way here any more; who comes now starts another supervisor."""
        with suppress(OSError):
            os.unlink(self.listener.getsockname())
        self.listener.close()

    @property
    def deadline(self) -> float:
        """When take() is to be called at the latest."""
        return min((client.deadline for client in self.partial), default=float("inf"))

    def accept(self) -> None:
        """Take in who has connected; with too many of them, the first ones have waited enough."""
        connection, _ = self.listener.accept()
        connection.setblocking(False)
        self.partial.append(_Partial(connection, time.monotonic() + REQUEST_S))
        while len(self.partial) > NR_CLIENTS:
            self.partial.pop(0).connection.close()

    def take(self) -> list[Asked]:
        """The requests that have come whole; who sends something else, or too slowly, is left."""
        found: list[Asked] = []
        for client in list(self.partial):
            try:
                request = _read(client)
            except Exception:  # Whatever is wrong with one is none of the others' business.
                self.partial.remove(client)
                client.connection.close()
                continue
            if request:
                self.partial.remove(client)
                found.append((client.connection, request))
        return found


def _read(client: _Partial) -> Request | None:
    """None as long as it has not come whole; OSError or ValueError when it never will."""
    try:
        part = client.connection.recv(REQUEST_MAX)
    except BlockingIOError:
        if time.monotonic() > client.deadline:
            raise
        return None
    client.data += part
    line, end, _ = client.data.partition(b"\n")
    if end:
        return parse_request(line)
    if not part or len(client.data) >= REQUEST_MAX or time.monotonic() > client.deadline:
        raise ValueError("cut off, too long or too slow")
    return None


def answer(connection: socket.socket, rows: list[dict[str, Any]]) -> None:
    """Answer and close; who does not listen gets no answer."""
    with connection:
        connection.settimeout(ANSWER_S)
        try:
            connection.sendall(json.dumps(rows).encode() + b"\n")
        except OSError:
            pass
