# SPDX-License-Identifier: Apache-2.0
"""uvicorn's HTTP connection with limits for peers that are slow, or come with many of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from pykexec.server.web.limits import peer_key

HEADERS_S = 10.0
"""Seconds for a request's head, from the connection's start or the request's first byte."""
HEADERS_SIZE_MAX = 32 << 10
"""Bytes of one request's head; llhttp itself sets no limit."""
CONNECTIONS_PER_PEER = 256

_connections: Counter[str] = Counter()


class LimitedConnection(HttpToolsProtocol):
    """Closes when a head does not come in time or is too large, or the peer has too many open."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_size = 0
        self._peer = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count it; close at once what is too many."""
        super().connection_made(transport)
        self._peer = peer_key(self.client[0]) if self.client else ""
        _connections[self._peer] += 1
        if self._peer and _connections[self._peer] > CONNECTIONS_PER_PEER:
            transport.abort()
            return
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it no more."""
        self._head_is_there()
        _connections[self._peer] -= 1
        if _connections[self._peer] <= 0:
            del _connections[self._peer]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of a head that does not end count against its size."""
        super().data_received(data)
        if self._head_timer is not None:
            self._head_size += len(data)
            if self._head_size > HEADERS_SIZE_MAX:
                self.transport.abort()

    def on_message_begin(self) -> None:
        """A request starts: its head must follow soon."""
        super().on_message_begin()
        if self._head_timer is None:
            self._expect_head()

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._head_is_there()
        super().on_headers_complete()

    def _expect_head(self) -> None:
        self._head_size = 0
        self._head_timer = self.loop.call_later(HEADERS_S, self._too_slow)

    def _head_is_there(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_slow(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self.transport.abort()
