# SPDX-License-Identifier: Apache-2.0
"""Who may be connected: peers are counted from accept() on, before TLS takes anything of them."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys

import uvicorn
from uvloop.loop import SSLProtocol  # type: ignore[attr-defined]

from pykexec.server import quotas
from pykexec.server.web.connection import LimitedConnection
from pykexec.server.web.gate import Gate, address_of

_STARTUP_FAILURE = 3  # uvicorn's


class Secured(SSLProtocol):  # type: ignore[misc]
    """uvloop's TLS of a connection, as its own servers make it, counted before it begins."""

    def __init__(self, gate: Gate, tls: ssl.SSLContext, protocol: asyncio.Protocol) -> None:
        loop = asyncio.get_running_loop()
        # Who waits for the handshake: nobody, but a failure has to go somewhere.
        waiter = loop.create_future()
        waiter.add_done_callback(_heard)
        super().__init__(
            loop,
            protocol,
            tls,
            waiter,
            server_side=True,
            ssl_handshake_timeout=quotas.HANDSHAKE_S,
            ssl_shutdown_timeout=quotas.HANDSHAKE_S,
        )
        self._gate = gate
        self._peer: str | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Accepted: let go at once, or begin."""
        self._peer = self._gate.enter(address_of(transport))
        if self._peer is None:
            transport.abort()
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """However far it came."""
        if self._peer is not None:
            self._gate.leave(self._peer)
        super().connection_lost(exc)


def _heard(waiter: asyncio.Future[None]) -> None:
    if not waiter.cancelled():
        waiter.exception()


class LimitedServer(uvicorn.Server):
    """uvicorn's, whose connections pass a gate, on sockets that were bound before."""

    def __init__(self, config: uvicorn.Config, gate: Gate) -> None:
        super().__init__(config)
        self._gate = gate

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, then accept."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(_STARTUP_FAILURE)
        loop = asyncio.get_running_loop()
        self.servers = []
        for bound in sockets or []:
            server = await loop.create_server(self._make, sock=bound, backlog=self.config.backlog)
            self.servers.append(server)
        self.started = True

    def _make(self) -> asyncio.BaseProtocol:
        config, tls = self.config, self.config.ssl
        gate = None if tls else self._gate
        protocol = LimitedConnection(config, self.server_state, self.lifespan.state, gate)
        return Secured(self._gate, tls, protocol) if tls else protocol
