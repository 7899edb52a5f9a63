# SPDX-License-Identifier: Apache-2.0
"""The lease that the firmware got for its own network boot, for Linux to use on."""

from __future__ import annotations

import ipaddress
import logging
import struct

from pykexec.abi import Struct
from pykexec.abi_devices import PxeFlag
from pykexec.efi.device_path import DevicePath
from pykexec.efi.device_path_names import IPV4
from pykexec.errors import FormatError
from pykexec.firmware.mailbox import Mailbox
from pykexec.linux.interface import InterfaceAddress
from pykexec.net import dhcp6_message, dhcp_packet
from pykexec.net.boot_server import boot_path, nic_of
from pykexec.net.lease import Lease, Route, default_route
from pykexec.net.pxe import read_pxe

log = logging.getLogger(__name__)

_DNS = (3, 31)
_IPV4_NODE = struct.Struct("<4s4sHHHB4s4s")
_FROM_PXE = "the firmware's PXE boot"
_FROM_HTTP = "the firmware's HTTP boot"


def firmware_lease(mailbox: Mailbox, handle: int, mac: bytes) -> Lease | None:
    """The lease of the NIC's network boot, by PXE or HTTP; None if it was not booted from."""
    pxe = read_pxe(mailbox, handle)
    if pxe is not None and (lease := lease_from_pxe(pxe)):
        return lease
    path = boot_path(mailbox)
    return lease_from_path(path) if path and nic_of(path) == mac else None


def lease_from_pxe(pxe: Struct) -> Lease | None:
    """The lease in the DHCP server's answer; None where there is none, or nothing usable."""
    if not pxe.flags & PxeFlag.DHCP_ACK:
        return None
    try:
        if pxe.flags & PxeFlag.IPV6:
            return _lease_from_pxe6(pxe)
        return dhcp_packet.lease_from(dhcp_packet.parse_packet(pxe.dhcp_ack), _FROM_PXE)
    except FormatError as error:
        log.warning("the firmware's lease is of no use: %s", error)
        return None


def _lease_from_pxe6(pxe: Struct) -> Lease | None:
    packet = dhcp6_message.parse_packet(pxe.dhcp_ack)
    lease = dhcp6_message.lease_from(packet, _FROM_PXE)
    return lease if lease.addresses else None


def lease_from_path(path: DevicePath) -> Lease | None:
    """What HTTP boot writes into the image's device path (UEFI 2.10, 10.3.4.12 and 10.3.4.29)."""
    addresses: tuple[InterfaceAddress, ...] = ()
    routes: tuple[Route, ...] = ()
    name_servers: tuple[str, ...] = ()
    for node in path.nodes:
        if node.kind == IPV4 and len(node.data) == _IPV4_NODE.size:
            local, *_, gateway, mask = _IPV4_NODE.unpack(node.data)
            if local == bytes(4) or mask == bytes(4):
                continue
            text = f"{ipaddress.IPv4Address(local)}/{ipaddress.IPv4Address(mask)}"
            try:
                addresses = (ipaddress.IPv4Interface(text),)
            except ValueError:
                continue
            if gateway != bytes(4):
                routes = (default_route(ipaddress.IPv4Address(gateway)),)
        elif node.kind == _DNS and node.data:
            size = 16 if node.data[0] else 4
            slots = (node.data[i : i + size] for i in range(1, len(node.data) - 15, 16))
            name_servers = tuple(str(ipaddress.ip_address(slot)) for slot in slots)
    if not addresses:
        return None
    return Lease(_FROM_HTTP, addresses, routes, name_servers)
