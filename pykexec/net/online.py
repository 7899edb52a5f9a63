# SPDX-License-Identifier: Apache-2.0
"""Being reachable: the firmware's NIC as Linux' interface, with an address, when it is needed."""

from __future__ import annotations

import ipaddress
import os
import time
from typing import TYPE_CHECKING, Any

from pykexec.errors import NetworkError
from pykexec.net.interface import Interface

if TYPE_CHECKING:
    from pykexec.config import NetworkConfig
    from pykexec.net.lease import Lease

RESOLV_CONF = "/etc/resolv.conf"
_INTERFACES = "/sys/class/net"
_LINK_WAIT_S = 10.0
_DHCP_WAIT_S = 20.0


def go_online(network: NetworkConfig, mac: bytes = b"") -> Interface:
    """Have an interface configured, and say which; NetworkError if that cannot be.

    It is the one that network names, else that with the hardware address mac, else any. What has an
    address already is left alone.
    """
    from pykexec.bridge.supervisor import ensure

    interface = choose(ensure("net"), network.interface, mac)
    if any(not assigned.link_local for assigned in interface.addresses()):
        return interface
    interface.set_up(True)
    _await_link(interface)
    apply(interface, _static(network) if network.address else _dynamic(interface))
    return interface


def choose(rows: list[dict[str, Any]], wanted: str, mac: bytes) -> Interface:
    """The interface to use among those that the bridges have; wanted is a name or an address."""
    faults = [str(row["fault"]) for row in rows if row["kind"] == "net" and row["fault"]]
    found = [Interface(name) for name in sorted(os.listdir(_INTERFACES)) if name != "lo"]
    if not found:
        raise NetworkError(f"network: {'; '.join(faults) or 'this machine has no network device'}")
    if wanted:
        for interface in found:
            if wanted.lower() in (interface.name, interface.mac.hex(":")):
                return interface
        names = ", ".join(f"{each.name} ({each.mac.hex(':')})" for each in found)
        raise NetworkError(f"network.interface {wanted}: there is only {names}")
    return next((each for each in found if each.mac == mac), found[0])


def _await_link(interface: Interface) -> None:
    end = time.monotonic() + _LINK_WAIT_S
    while not interface.carrier:
        if time.monotonic() > end:
            raise NetworkError(f"{interface.name}: no link")
        time.sleep(0.05)


def _static(network: NetworkConfig) -> Lease:
    from pykexec.net.lease import Lease, default_route

    routes = (default_route(ipaddress.ip_address(network.gateway)),) if network.gateway else ()
    return Lease(
        source="configuration",
        addresses=(ipaddress.ip_interface(network.address),),
        routes=routes,
        name_servers=network.dns,
    )


def _dynamic(interface: Interface) -> Lease:
    from pykexec.net import dhcp

    return dhcp.acquire(interface, _DHCP_WAIT_S)


def apply(interface: Interface, lease: Lease) -> None:
    """Give interface what the lease says."""
    if lease.mtu:
        interface.set_mtu(lease.mtu)
    for address in lease.addresses:
        interface.add_address(address)
    for route in lease.routes:
        interface.add_route(route.destination, route.gateway)
    lines = [f"nameserver {server}" for server in lease.name_servers]
    lines += [f"search {' '.join(lease.domains)}"] if lease.domains else []
    with open(RESOLV_CONF, "w", encoding="ascii") as file:
        file.write("".join(f"{line}\n" for line in lines))
