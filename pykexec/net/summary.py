# SPDX-License-Identifier: Apache-2.0
"""The firmware's NICs in words: what `pykexec net` shows."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pykexec.abi import Op
from pykexec.errors import FirmwareError, NetworkError
from pykexec.firmware.devices import handle_request
from pykexec.firmware.mailbox import Mailbox
from pykexec.firmware.wire import unpack
from pykexec.linux.interface import Interface
from pykexec.net import record
from pykexec.net.lease import Lease

_STATES = ("stopped", "started", "initialized")
_COUNTERS = (
    "nr_transmitted",
    "nr_received",
    "nr_transmit_errors",
    "nr_receive_errors",
    "nr_dropped",
)


@dataclass(frozen=True, slots=True)
class Nic:
    """A NIC with all that is known of it; interface is "" as long as no bridge serves it."""

    handle: int
    name: str
    path: str
    mac: str
    link: bool
    mtu: int
    state: str
    interface: str
    addresses: tuple[str, ...]
    leases: tuple[dict[str, object], ...]
    statistics: dict[str, int]
    firmware_lease: dict[str, object] | None
    boot_url: str


def describe(mailbox: Mailbox, nic: str = "") -> list[Nic]:
    """The NICs that the firmware has, or that which nic means: handle, name, interface, address.

    NetworkError where there is none, UsageError never: what is not there is no wrong word.
    """
    from pykexec.bridge.net import discover, find_nics
    from pykexec.bridge.state import records

    discover(mailbox)
    interfaces = {row["handle"]: row["interface"] for row in records(kind="net")}
    nics = []
    for name, handle, info in find_nics(mailbox):
        mac = info.address.hex(":")
        interface = str(interfaces.get(handle.number, ""))
        if nic.lower() not in ("", name, mac, mac.replace(":", ""), interface, str(handle.number)):
            continue
        lease = _firmware_lease(mailbox, handle.number, info.address)
        nics.append(
            Nic(
                handle=handle.number,
                name=name,
                path=str(handle.path or ""),
                mac=mac,
                link=info.media_present,
                mtu=info.max_packet_size,
                state=_STATES[info.state] if info.state < len(_STATES) else str(info.state),
                interface=interface,
                addresses=_addresses(interface),
                leases=tuple(map(record.to_plain, record.read(interface))) if interface else (),
                statistics=_statistics(mailbox, handle.number),
                firmware_lease=record.to_plain(lease) if lease else None,
                boot_url=_boot_url(mailbox, handle.number, info.address),
            )
        )
    if not nics and nic:
        raise NetworkError(f"{nic}: there is no such network device")
    if not nics:
        from pykexec.net.absent import no_nic

        raise no_nic(mailbox)
    return nics


def _addresses(interface: str) -> tuple[str, ...]:
    if not interface:
        return ()
    return tuple(str(assigned.address) for assigned in Interface(interface).addresses())


def _statistics(mailbox: Mailbox, handle: int) -> dict[str, int]:
    """Empty while no bridge has the NIC."""
    what = f"network device {handle}"
    try:
        body = mailbox.ask(handle_request(Op.NET_STATISTICS, what, handle))
    except FirmwareError as error:
        if error.errno == errno.ENOENT:
            return {}
        raise
    raw = unpack("pk_net_statistics", body, 0, what)
    return {name.removeprefix("nr_"): getattr(raw, name) for name in _COUNTERS}


def _firmware_lease(mailbox: Mailbox, handle: int, mac: bytes) -> Lease | None:
    from pykexec.net.firmware import firmware_lease

    return firmware_lease(mailbox, handle, mac)


def _boot_url(mailbox: Mailbox, handle: int, mac: bytes) -> str:
    """Where the firmware's network boot got its file; PXE's packets tell, or the device path."""
    from pykexec.net.boot_server import boot_path, nic_of, url_of, url_of_packets
    from pykexec.net.pxe import read_pxe

    pxe = read_pxe(mailbox, handle)
    url = url_of_packets(pxe) if pxe is not None else None
    if url is None:
        path = boot_path(mailbox)
        url = url_of(path) if path and nic_of(path) == mac else None
    return str(url or "")


def nic_lines(nic: Nic) -> Iterator[str]:
    """A NIC as people read it."""
    name = nic.interface or "no interface"
    yield f"{name}: {nic.mac}, link {'up' if nic.link else 'down'}, MTU {nic.mtu}, {nic.state}"
    yield f"    handle {nic.handle}, {nic.path}"
    if nic.addresses:
        yield f"    addresses: {', '.join(nic.addresses)}"
    for lease in nic.leases:
        yield from _lease_lines(f"configured by {lease['source']}", lease)
    if nic.firmware_lease:
        yield from _lease_lines(f"lease of {nic.firmware_lease['source']}", nic.firmware_lease)
    if nic.boot_url:
        yield f"    the firmware booted {nic.boot_url}"
    if nic.statistics:
        counts = ", ".join(
            f"{word.replace('_', ' ')} {count}" for word, count in nic.statistics.items()
        )
        yield f"    frames: {counts}"


def _lease_lines(title: str, lease: dict[str, Any]) -> Iterator[str]:
    routes = [f"{route['destination']} via {route['gateway']}" for route in lease["routes"]]
    parts = [*lease["addresses"], *routes]
    parts += [f"name server {server}" for server in lease["name_servers"]]
    parts += [f"{lease['seconds']} s"] if lease["seconds"] else []
    yield f"    {title}: {', '.join(parts)}"
