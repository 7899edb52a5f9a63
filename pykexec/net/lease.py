# SPDX-License-Identifier: Apache-2.0
"""What a network tells a host: addresses, routers, name servers, where to boot from."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

from pykexec.linux.interface import Address, InterfaceAddress, Network

# Letters, digits, hyphens (RFC 1123, 2.1), and the underscore that names of services have.
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_NAME_MAX = 253


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


def domain_names(words: Iterable[str]) -> tuple[str, ...]:
    """Of words those that are names of domains: they become lines of resolv.conf."""
    names = (word.removesuffix(".") for word in words)
    return tuple(name for name in names if len(name) <= _NAME_MAX and _is_name(name))


def _is_name(name: str) -> bool:
    return all(_LABEL.fullmatch(label) for label in name.split("."))


def default_route(gateway: Address) -> Route:
    """All that nothing else leads to."""
    return Route(ipaddress.ip_network("::/0" if gateway.version == 6 else "0.0.0.0/0"), gateway)
