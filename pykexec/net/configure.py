# SPDX-License-Identifier: Apache-2.0
"""Bring a NIC of the firmware on line: its own lease, DHCP, router advertisements, or by hand."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from typing import Any

from pykexec.errors import NetworkError, PykexecError
from pykexec.firmware.mailbox import Mailbox
from pykexec.linux.interface import Address, Interface
from pykexec.log import describe
from pykexec.net import record
from pykexec.net.lease import Lease, Route

log = logging.getLogger(__name__)

RESOLV_CONF = "/etc/resolv.conf"
_NAME_SERVERS_MAX = 3  # resolv.conf(5)
_LINK_S = 8.0
_IPV6_BESIDE_S = 5.0
_PAUSE_S = 0.05


@dataclass(frozen=True, slots=True)
class Online:
    """An interface that is configured, and by which leases."""

    interface: str
    mac: bytes
    leases: tuple[Lease, ...]


def bring_up(
    mailbox: Mailbox,
    nic: str = "",
    *,
    static: Lease | None = None,
    dhcp: bool = False,
    timeout_s: float = 30.0,
) -> Online:
    """Configure a NIC, starting its bridge if need be; one that is on line already stays as it is.

    nic is an interface ("efi0"), a MAC address, the name of a bridge or a handle's number. "" is
    the NIC that our image came from, else the first that gets a lease. static replaces what the
    network says; else the lease of the firmware's own network boot is used on, unless dhcp asks for
    a new one. NetworkError says for every NIC that was tried why it is of no use.
    """
    Interface("lo").set_up(True)
    end = time.monotonic() + timeout_s
    faults = []
    for row in _candidates(mailbox, nic):
        try:
            return _configure(mailbox, row, static, dhcp, end)
        except (PykexecError, OSError) as error:
            # Whatever is wrong with this one, the next one may do.
            faults.append(describe(error))
    raise NetworkError("; ".join(faults))


def take_down(nic: str = "") -> list[str]:
    """Take NICs, all of them by default, off line; their interfaces. The bridges stay."""
    from pykexec.bridge.state import records

    names = [row["interface"] for row in records(kind="net") if _means(nic, row)]
    for name in names:
        interface = Interface(name)
        for assigned in interface.addresses():
            if not assigned.link_local:
                interface.remove_address(assigned.address)
        interface.set_up(False)
        record.forget(name)
    if nic and not names:
        raise NetworkError(f"{nic}: there is no such network device on line")
    return names


def _candidates(mailbox: Mailbox, nic: str) -> list[dict[str, Any]]:
    from pykexec.bridge.supervisor import ensure

    rows = [row for row in ensure("net") if row["kind"] == "net"]
    if not rows:
        from pykexec.net.absent import no_nic

        raise no_nic(mailbox)
    usable = [row for row in rows if "interface" in row]
    found = [row for row in usable if _means(nic, row)]
    if not found:
        faults = [f"{row['name']}: {row['fault'] or row['state']}" for row in rows]
        raise NetworkError(f"{nic or 'network'}: no such device among {', '.join(faults)}")
    found.sort(key=lambda row: int(row["handle"]))
    if not nic:
        mac = _boot_mac(mailbox)
        found.sort(key=lambda row: bytes.fromhex(row["mac"]) != mac)
    return found


def _boot_mac(mailbox: Mailbox) -> bytes | None:
    from pykexec.net.boot_server import boot_path, nic_of

    path = boot_path(mailbox)
    return nic_of(path) if path else None


def _means(nic: str, row: dict[str, Any]) -> bool:
    mac = nic.replace(":", "").replace("-", "").lower()
    return nic in ("", row["interface"], row["name"], str(row["handle"])) or mac == row["mac"]


def _configure(
    mailbox: Mailbox, row: dict[str, Any], static: Lease | None, dhcp: bool, end: float
) -> Online:
    interface = Interface(row["interface"])
    mac = bytes.fromhex(row["mac"])
    if not dhcp and not static and (known := record.read(interface.name)):
        return Online(interface.name, mac, known)
    interface.set_up(True)
    _wait_for_link(interface, min(end, time.monotonic() + _LINK_S))
    leases = _leases(mailbox, row, static, dhcp, end)
    for lease in leases:
        apply(interface, lease)
    write_resolv_conf(interface, leases)
    record.write(interface.name, leases)
    return Online(interface.name, mac, leases)


def _wait_for_link(interface: Interface, end: float) -> None:
    while not interface.carrier:
        if time.monotonic() > end:
            raise NetworkError(f"{interface.name}: no link; is the cable plugged in?")
        time.sleep(_PAUSE_S)


def _leases(
    mailbox: Mailbox, row: dict[str, Any], static: Lease | None, dhcp: bool, end: float
) -> tuple[Lease, ...]:
    if static:
        return (static,)
    if not dhcp:
        from pykexec.net.firmware import firmware_lease

        lease = firmware_lease(mailbox, row["handle"], bytes.fromhex(row["mac"]))
        if lease:
            return (lease,)
    return _ask_network(Interface(row["interface"]), end)


def _ask_network(interface: Interface, end: float) -> tuple[Lease, ...]:
    from pykexec.net import dhcp

    leases: list[Lease] = []
    fault: NetworkError | None = None
    # Routers have advertised long before a DHCP server is given up: half of the time is for it.
    half = time.monotonic() + (end - time.monotonic()) / 2
    try:
        leases.append(dhcp.acquire(interface, half - time.monotonic()))
    except NetworkError as error:
        fault = error
    if ipv6 := _ask_routers(interface, end, wait=bool(fault)):
        leases.append(ipv6)
    if fault and not leases:
        raise fault
    return tuple(leases)


def _ask_routers(interface: Interface, end: float, wait: bool) -> Lease | None:
    """What the kernel made of router advertisements, and DHCPv6 where they point to it."""
    from pykexec.net import dhcp6

    while True:
        advertised = interface.advertised()
        addresses = tuple(
            assigned.address
            for assigned in interface.addresses()
            if assigned.address.version == 6 and not (assigned.link_local or assigned.tentative)
        )
        if advertised.router and (addresses or advertised.managed):
            break
        if not wait or time.monotonic() > end:
            return None
        time.sleep(_PAUSE_S)
    found = Lease("router advertisement", addresses)
    if not (advertised.managed or advertised.other):
        return found
    try:
        limit_s = min(end - time.monotonic(), _IPV6_BESIDE_S)
        more = dhcp6.acquire(interface, limit_s, advertised.managed)
    except NetworkError as error:
        log.warning("%s", error)
        return found if addresses else None
    return Lease(
        source=f"{found.source}, {more.source}",
        addresses=found.addresses + more.addresses,
        name_servers=more.name_servers,
        domains=more.domains,
        seconds=more.seconds,
    )


def apply(interface: Interface, lease: Lease) -> None:
    """Give the interface what the lease says; what it has already stays.

    NetworkError for an address that Linux refuses; without its MTU or one of its routes it is of
    use, a warning says so.
    """
    present = {assigned.address for assigned in interface.addresses()}
    if lease.mtu:
        try:
            interface.set_mtu(min(lease.mtu, interface.mtu))
        except NetworkError as error:
            log.warning("%s", error)
    for address in lease.addresses:
        if address not in present:
            interface.add_address(address)
    for route in lease.routes:
        try:
            _add_route(interface, lease, route)
        except NetworkError as error:
            log.warning("%s", error)


def _add_route(interface: Interface, lease: Lease, route: Route) -> None:
    if route.gateway and not _on_link(lease, route.gateway):
        # Cloud networks have routers outside of the host's own /32.
        bits = route.gateway.max_prefixlen
        interface.add_route(type(route.destination)((route.gateway.packed, bits)))
    interface.add_route(route.destination, route.gateway)


def _on_link(lease: Lease, gateway: Address) -> bool:
    return gateway.is_link_local or any(gateway in address.network for address in lease.addresses)


def write_resolv_conf(
    interface: Interface, leases: tuple[Lease, ...], path: str = RESOLV_CONF
) -> None:
    """Have resolvers ask the leases' name servers; nothing changes if there are none."""
    servers = [
        f"{server}%{interface.name}" if server.lower().startswith("fe80:") else server
        for lease in leases
        for server in lease.name_servers
    ]
    if not servers:
        return
    domains = [domain for lease in leases for domain in lease.domains]
    lines = [f"nameserver {server}" for server in servers[:_NAME_SERVERS_MAX]]
    lines += [f"search {' '.join(domains)}"] if domains else []
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    os.replace(f"{path}.new", path)
