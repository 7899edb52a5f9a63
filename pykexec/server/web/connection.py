# SPDX-License-Identifier: Apache-2.0
"""uvicorn's HTTP connection with limits for peers that send or take what they are told slowly."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from pykexec.server import quotas
from pykexec.server.web.gate import Gate, address_of


class LimitedConnection(HttpToolsProtocol):
    """Closes when a head does not come in time or is too large, or nobody takes an answer. gate is
    what counts it, None behind TLS, which is counted as a whole.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        gate: Gate | None,
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._gate = gate
        self._peer: str | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_size = 0
        self._stalled_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A head must follow."""
        super().connection_made(transport)
        if self._gate is not None:
            self._peer = self._gate.enter(address_of(transport))
            if self._peer is None:
                transport.abort()
                return
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._head_is_there()
        self._is_taken()
        if self._gate is not None and self._peer is not None:
            self._gate.leave(self._peer)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of a head that does not end count against its size."""
        super().data_received(data)
        if self._head_timer is not None:
            self._head_size += len(data)
            if self._head_size > quotas.HEADERS_SIZE_MAX:
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

    def pause_writing(self) -> None:
        """The peer does not take what it asked for: some of it must be gone soon."""
        super().pause_writing()
        if self._stalled_timer is None:
            self._stalled_timer = self.loop.call_later(quotas.STALLED_S, self._too_slow)

    def resume_writing(self) -> None:
        """It does."""
        self._is_taken()
        super().resume_writing()

    def _expect_head(self) -> None:
        self._head_size = 0
        self._head_timer = self.loop.call_later(quotas.HEADERS_S, self._too_slow)

    def _head_is_there(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _is_taken(self) -> None:
        if self._stalled_timer is not None:
            self._stalled_timer.cancel()
            self._stalled_timer = None

    def _too_slow(self) -> None:
        # Whatever was begun: a connection that closes waits for its peer, too.
        self.transport.abort()
