# SPDX-License-Identifier: Apache-2.0
"""Who may be connected: connections are counted by peer, before TLS takes anything of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from pykexec.server import quotas
from pykexec.server.web.limits import peer_key
from pykexec.server.web.peer import Network, is_among


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


def address_of(transport: asyncio.BaseTransport) -> str:
    """The peer's, as text."""
    found: Any = transport.get_extra_info("peername")
    return str(found[0]) if found else ""
