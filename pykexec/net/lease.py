# SPDX-License-Identifier: Apache-2.0
"""What a network tells a host: addresses, routers, name servers, where to boot from."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from pykexec.linux.interface import Address, InterfaceAddress, Network


@dataclass(frozen=True, slots=True)
class BootServer:
    """Where a DHCP server says that files are; uri, if not empty, stands for both others.

    server is an address or a name, file the path on it by TFTP.
    """

    server: str = ""
    file: str = ""
    uri: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """A network that is not on the link, and the router to it; gateway None: it is, after all."""

    destination: Network
    gateway: Address | None


@dataclass(frozen=True, slots=True)
class Lease:
    """The configuration of one interface; source says in words who gave it."""

    source: str
    addresses: tuple[InterfaceAddress, ...] = ()
    routes: tuple[Route, ...] = ()
    name_servers: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    mtu: int | None = None
    seconds: int | None = None


def default_route(gateway: Address) -> Route:
    """All that nothing else leads to."""
    return Route(ipaddress.ip_network("::/0" if gateway.version == 6 else "0.0.0.0/0"), gateway)
