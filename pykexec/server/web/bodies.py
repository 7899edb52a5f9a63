# SPDX-License-Identifier: Apache-2.0
"""Request bodies: charged to the worker and to their peer as they arrive, and hurried along."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager

from starlette.types import Receive, Scope

from pykexec.server import quotas
from pykexec.server.web.limits import peer_key
from pykexec.server.web.problems import Problem

Look = Callable[[bytes], None]
"""Raises if what a large body begins with shows that the rest is not worth having."""


class Bodies:
    """Reads bodies; all that are being read or worked on share one budget of memory.

    Nothing is reserved by announcing it: who sends nothing holds nothing.
    """

    def __init__(
        self, budget: int = quotas.BODIES_MAX, patience_s: float = quotas.BODY_PATIENCE_S
    ) -> None:
        self._budget = budget
        self._patience_s = patience_s
        self._held: Counter[str] = Counter()
        self._total = 0

    @contextmanager
    def charging(self, scope: Scope) -> Generator[Reader, None, None]:
        """What is read within is given back at the end."""
        reader = Reader(self, peer_key(scope["pykexec.peer"]), self._patience_s)
        try:
            yield reader
        finally:
            self._total -= reader.size
            self._held[reader.peer] -= reader.size
            if self._held[reader.peer] <= 0:
                del self._held[reader.peer]

    def charge(self, peer: str, size: int) -> None:
        """503 or 429 as Problem when there is no more, for anybody or for this peer."""
        self._total += size
        self._held[peer] += size
        if self._total > self._budget:
            raise Problem(503, "busy; again later", _AGAIN)
        if self._held[peer] > self._budget * quotas.BODIES_PER_PEER:
            raise Problem(429, "too much at a time from this address; again later", _AGAIN)


class Reader:
    """Reads one body; size is what was charged for it."""

    def __init__(self, bodies: Bodies, peer: str, patience_s: float) -> None:
        self.peer = peer
        self.size = 0
        self._bodies = bodies
        self._patience_s = patience_s

    async def read(
        self, scope: Scope, receive: Receive, size_max: int, look: Look | None = None
    ) -> bytes:
        """The whole body; 408, 411, 413, 429 or 503 as Problem."""
        size = _content_length(scope)
        if size is None:
            raise Problem(411, "Content-Length is needed")
        if size > size_max:
            raise Problem(413, f"{size} bytes; at most {size_max} are taken", _CLOSE)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience_s
        body = bytearray()
        more = True
        while more:
            try:
                # What has come buys time for the rest.
                async with asyncio.timeout_at(deadline + len(body) / quotas.BODY_RATE):
                    message = await receive()
            except TimeoutError:
                raise Problem(408, "the body comes too slowly", _CLOSE) from None
            if message["type"] != "http.request":
                raise Problem(400, "the connection ended before the body did", _CLOSE)
            chunk, more = message.get("body", b""), message.get("more_body", False)
            if len(body) + len(chunk) > size:
                raise Problem(400, "the body is longer than its Content-Length", _CLOSE)
            self.size += len(chunk)
            self._bodies.charge(self.peer, len(chunk))
            body += chunk
            if look is not None and len(body) > quotas.BODY_FREE:
                look(bytes(body[: quotas.BODY_FREE]))
                look = None
        if len(body) != size:
            raise Problem(400, "the body is shorter than its Content-Length", _CLOSE)
        return bytes(body)


_CLOSE = {"Connection": "close"}
_AGAIN = {"Retry-After": "2", **_CLOSE}


def _content_length(scope: Scope) -> int | None:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() and len(value) < 16 else None
        if name == b"transfer-encoding":
            return None
    return 0
