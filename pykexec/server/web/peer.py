# SPDX-License-Identifier: Apache-2.0
"""Who is at the other end: the connection's address, or what a trusted proxy says of it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

from starlette.types import Scope

from pykexec.errors import UsageError
from pykexec.server import quotas

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Addresses or networks in CIDR notation; UsageError names the wrong one."""
    found = []
    for text in texts:
        try:
            found.append(ipaddress.ip_network(text))
        except ValueError as error:
            raise UsageError(f"{text}: {error}") from None
    return tuple(found)


def peer_of(scope: Scope, proxies: tuple[Network, ...]) -> str:
    """The peer's address; "unknown" behind a UNIX socket.

    X-Forwarded-For counts only from a proxy that is trusted, and only back to the first address
    that is none: what stands before that, anybody can have written.
    """
    client = scope.get("client")
    peer = _plain(str(client[0])) if client else "unknown"
    if not proxies or not is_among(peer, proxies):
        return peer
    forwarded = [
        part.strip()
        for name, value in scope["headers"]
        if name == b"x-forwarded-for"
        for part in value.decode("latin-1").split(",")
    ]
    for address in reversed(forwarded):
        try:
            peer = _plain(str(ipaddress.ip_address(address)))
        except ValueError:
            return peer
        if not is_among(peer, proxies):
            return peer
    return peer


def is_among(address: str, networks: tuple[Network, ...]) -> bool:
    """Whether an address, as text, is of one of the networks."""
    try:
        parsed = ipaddress.ip_address(_plain(address))
    except ValueError:
        return False
    return any(parsed in network for network in networks)


@lru_cache(quotas.PEERS_KNOWN)
def _plain(address: str) -> str:
    """::ffff:192.0.2.1 is 192.0.2.1."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    mapped = getattr(parsed, "ipv4_mapped", None)
    return str(mapped or parsed)
