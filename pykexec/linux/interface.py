# SPDX-License-Identifier: Apache-2.0
"""Network interfaces of Linux: up and down, addresses, routes, carrier."""

from __future__ import annotations

import ipaddress
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pykexec._native import ffi, lib
from pykexec.errors import NetworkError

if TYPE_CHECKING:
    from pykexec._native import CData

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
InterfaceAddress = ipaddress.IPv4Interface | ipaddress.IPv6Interface
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_ADDRESSES_MAX = 64


@dataclass(frozen=True, slots=True)
class Assigned:
    """An address that an interface has; a tentative one cannot be used yet."""

    address: InterfaceAddress
    tentative: bool
    link_local: bool


@dataclass(frozen=True, slots=True)
class Advertised:
    """What routers have said on a link: DHCPv6 gives addresses (managed) or other things."""

    router: bool
    managed: bool
    other: bool


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface by name. Methods raise NetworkError, which names it, when Linux refuses."""

    name: str

    @property
    def index(self) -> int:
        """Linux' number for it."""
        try:
            return socket.if_nametoindex(self.name)
        except OSError:
            raise NetworkError(f"{self.name}: there is no such network interface") from None

    @property
    def mac(self) -> bytes:
        """Its hardware address."""
        return bytes.fromhex(self._attribute("address").replace(":", ""))

    @property
    def carrier(self) -> bool:
        """Is it up with a link?"""
        try:
            return self._attribute("carrier") == "1"
        except OSError:
            return False  # EINVAL: it is down.

    def _attribute(self, name: str) -> str:
        with open(f"/sys/class/net/{self.name}/{name}", encoding="ascii") as file:
            return file.read().strip()

    def set_up(self, up: bool) -> None:
        """Bring it up or down."""
        self._check(lib.pk_interface_up(self.name.encode(), up), "up" if up else "down")

    def rename(self, name: str) -> Interface:
        """Give it another name, while it is down; the interface by that name."""
        self._check(lib.pk_interface_rename(self.name.encode(), name.encode()), f"name {name}")
        return Interface(name)

    @property
    def mtu(self) -> int:
        """The largest packet, in bytes."""
        return int(self._attribute("mtu"))

    def set_mtu(self, mtu: int) -> None:
        """Set the largest packet, in bytes."""
        try:
            with open(f"/sys/class/net/{self.name}/mtu", "w", encoding="ascii") as file:
                file.write(str(mtu))
        except OSError as error:
            raise NetworkError(f"{self.name}: MTU {mtu}: {error.strerror}") from None

    def addresses(self) -> list[Assigned]:
        """All that it has."""
        found = ffi.new("struct pk_interface_address[]", _ADDRESSES_MAX)
        number = lib.pk_address_list(self.index, found, _ADDRESSES_MAX)
        self._check(min(number, 0), "addresses")
        return [_assigned(found[i]) for i in range(number)]

    def add_address(self, address: InterfaceAddress) -> None:
        """Add an address with the route to its network; having it already is no error."""
        raw = _raw(address.ip, address.network.prefixlen)
        self._check(lib.pk_address_change(self.index, True, raw), f"address {address}")

    def remove_address(self, address: InterfaceAddress) -> None:
        """Take an address away."""
        raw = _raw(address.ip, address.network.prefixlen)
        self._check(lib.pk_address_change(self.index, False, raw), f"address {address}")

    def add_route(self, destination: Network, gateway: Address | None = None) -> None:
        """Route destination over gateway, or directly to the link."""
        raw = _raw(destination.network_address, destination.prefixlen)
        over = ffi.NULL if gateway is None else gateway.packed
        result = lib.pk_route_add(self.index, raw, over)
        self._check(result, f"route to {destination} over {gateway}")

    def advertised(self) -> Advertised:
        """What routers have advertised since it came up."""
        found = ffi.new("struct pk_advertised *")
        self._check(lib.pk_router_advertised(self.index, found), "router advertisements")
        return Advertised(bool(found.router), bool(found.managed), bool(found.other))

    def _check(self, result: int, what: str) -> None:
        if result < 0:
            raise NetworkError(f"{self.name}: {what}: {os.strerror(-result)}")


def _raw(address: Address, prefix_length: int) -> CData:
    raw = ffi.new("struct pk_interface_address *")
    raw.ipv6 = address.version == 6
    raw.prefix_length = prefix_length
    ffi.memmove(raw.address, address.packed, len(address.packed))
    return raw


def _assigned(raw: CData) -> Assigned:
    data = bytes(raw.address)[: 16 if raw.ipv6 else 4]
    address = ipaddress.ip_interface((data, int(raw.prefix_length)))
    return Assigned(address, bool(raw.tentative), bool(raw.link_local))
