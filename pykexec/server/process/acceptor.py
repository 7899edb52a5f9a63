# SPDX-License-Identifier: Apache-2.0
"""Who may be connected: peers are counted from accept() on, before TLS takes anything of them."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
import sys
from collections import Counter
from collections.abc import Callable
from typing import cast

import uvicorn

from pykexec.server import quotas
from pykexec.server.web.connection import LimitedConnection
from pykexec.server.web.limits import peer_key
from pykexec.server.web.peer import Network, is_among

log = logging.getLogger(__name__)

_AT_ONCE = 64
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_PAUSE_S = 0.5


class Gate:
    """Counts connections by peer; those of a trusted proxy are of many peers."""

    def __init__(
        self,
        proxies: tuple[Network, ...] = (),
        per_peer: int = quotas.CONNECTIONS_PER_PEER,
        in_all: int = quotas.CONNECTIONS_MAX,
    ) -> None:
        self._proxies = proxies
        self._per_peer, self._in_all = per_peer, in_all
        self._held: Counter[str] = Counter()
        self.total = 0

    def enter(self, address: str) -> str | None:
        """The key to leave by, None when the peer, or everybody, has too many."""
        peer = peer_key(address)
        if self.total >= self._in_all:
            return None
        if self._held[peer] >= self._per_peer and not is_among(address, self._proxies):
            return None
        self._held[peer] += 1
        self.total += 1
        return peer

    def leave(self, peer: str) -> None:
        """It is closed."""
        self.total -= 1
        self._held[peer] -= 1
        if self._held[peer] <= 0:
            del self._held[peer]


Make = Callable[[Callable[[], None]], asyncio.Protocol]
"""A connection's protocol, which calls back when it is over."""
_STARTUP_FAILURE = 3  # uvicorn's


class Acceptor:
    """Accepts on one socket, in place of loop.create_server()."""

    def __init__(
        self, bound: socket.socket, make: Make, tls: ssl.SSLContext | None, gate: Gate
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._bound, self._make, self._tls, self._gate = bound, make, tls, gate
        self._starting: set[asyncio.Task[None]] = set()
        self._resume: asyncio.TimerHandle | None = None
        self._loop.add_reader(bound, self._accept)

    def close(self) -> None:
        """Accept no more; what is connected stays."""
        self._loop.remove_reader(self._bound)
        if self._resume is not None:
            self._resume.cancel()
        for task in self._starting:
            task.cancel()

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, address = self._bound.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    # Who waits in the backlog waits until somebody has gone.
                    log.error("cannot accept: %s", error.strerror)
                    self._loop.remove_reader(self._bound)
                    self._resume = self._loop.call_later(_PAUSE_S, self._accept_again)
                    return
                raise
            peer = self._gate.enter(str(address[0]))
            if peer is None:
                connection.close()
                continue
            connection.setblocking(False)
            task = self._loop.create_task(self._start(connection, peer))
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)

    def _accept_again(self) -> None:
        self._loop.add_reader(self._bound, self._accept)

    async def _start(self, connection: socket.socket, peer: str) -> None:
        """TLS; from then on the protocol says when it is over."""
        patience = quotas.HANDSHAKE_S if self._tls else None
        held = True

        def leave() -> None:
            nonlocal held
            if held:
                held = False
                self._gate.leave(peer)

        protocol = self._make(leave)
        try:
            await self._loop.connect_accepted_socket(
                lambda: protocol,
                connection,
                ssl=self._tls,
                ssl_handshake_timeout=patience,
                ssl_shutdown_timeout=patience,
            )
        except BaseException as error:
            connection.close()
            leave()
            if not isinstance(error, OSError):
                raise


class LimitedServer(uvicorn.Server):
    """uvicorn's, with acceptors for sockets that were bound before."""

    def __init__(self, config: uvicorn.Config, gate: Gate) -> None:
        super().__init__(config)
        self._gate = gate

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, then accept."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(_STARTUP_FAILURE)
        config, state = self.config, self.server_state

        def make(over: Callable[[], None]) -> asyncio.Protocol:
            return LimitedConnection(config, state, self.lifespan.state, over)

        acceptors = [Acceptor(bound, make, config.ssl, self._gate) for bound in sockets or []]
        # All that is asked of them is close().
        self.servers = cast(list[asyncio.Server], acceptors)
        self.started = True
