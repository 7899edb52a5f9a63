# SPDX-License-Identifier: Apache-2.0
"""The firmware's NICs as Linux' own: a TAP interface efiN each, with the NIC's MAC address."""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from pykexec._native import lib
from pykexec.abi import Limit, Op
from pykexec.abi_devices import NetConstant
from pykexec.bridge import Bridge
from pykexec.bridge.state import publish, replace
from pykexec.bridge.window import open_port
from pykexec.efi.device_path_names import IPV4, IPV6, URI
from pykexec.errors import FirmwareError, NetworkError
from pykexec.firmware.devices import (
    NetInfo,
    connect_all,
    decode_net_info,
    handle_request,
    net_info_request,
)
from pykexec.firmware.handles import Handle, list_handles
from pykexec.firmware.mailbox import Mailbox
from pykexec.firmware.status import SUCCESS

MODULE = "tun"
INTERFACE = "efi"
_MAC_SIZE = 6
_IP_STACK = (IPV4, IPV6, URI)
_DATA_SIZE = -(-NetConstant.EXCHANGE_SIZE // Limit.PAGE_SIZE) * Limit.PAGE_SIZE
# Drivers of NICs are connected when something asks for the network: once is enough.
_CONNECTED = "/run/pykexec/connected"


def discover(mailbox: Mailbox) -> list[Bridge]:
    """A bridge for every Ethernet NIC; the first call makes the firmware connect its drivers."""
    nics = find_nics(mailbox)
    if not nics and not os.path.exists(_CONNECTED):
        connect_all(mailbox)
        with suppress(OSError):  # Without room for it they are connected once more.
            replace(_CONNECTED, b"")
        nics = find_nics(mailbox)
    return [Bridge("net", handle.number, name) for name, handle, _ in nics]


def find_nics(mailbox: Mailbox) -> list[tuple[str, Handle, NetInfo]]:
    """Name, handle and state of every Ethernet NIC that has Simple Network, by handle number."""
    handles = list_handles(mailbox, "simple_network")
    if not handles:
        return []
    replies = mailbox.call([net_info_request(handle.number) for handle in handles])
    found = [
        (handle, decode_net_info(reply.body))
        for handle, reply in zip(handles, replies, strict=True)
        if reply.status == SUCCESS
    ]
    return name_nics(found)


def name_nics(found: list[tuple[Handle, NetInfo]]) -> list[tuple[str, Handle, NetInfo]]:
    """Each NIC once, with a name that is the same at every boot.

    The firmware's IP stack shows Simple Network again on its own handles, further down the path.
    So does a driver on top of another's (iPXE's on the firmware's): then Linux gets the last one,
    for who is on top holds the one below and does not let go.
    """
    named: list[tuple[str, Handle, NetInfo]] = []
    seen: dict[str, int] = {}
    nics = [pair for pair in found if _is_nic(*pair)]
    for handle, info in sorted(nics, key=lambda pair: pair[0].number):
        if any(_leads_on(handle, other) for other, i in nics if i.address == info.address):
            continue
        mac = info.address.hex()
        seen[mac] = seen.get(mac, 0) + 1
        name = f"net-{mac}" if seen[mac] == 1 else f"net-{mac}-{seen[mac]}"
        named.append((name, handle, info))
    return named


def _is_nic(handle: Handle, info: NetInfo) -> bool:
    if len(info.address) != _MAC_SIZE or not any(info.address):
        return False
    return not (handle.path and handle.path.nodes and handle.path.nodes[-1].kind in _IP_STACK)


def _leads_on(base: Handle, handle: Handle) -> bool:
    """Is handle's path that of base and more, or the same with a later number?"""
    if not base.path or not handle.path or base.number == handle.number:
        return False
    nodes = base.path.nodes
    if nodes == handle.path.nodes:
        return base.number < handle.number
    return handle.path.nodes[: len(nodes)] == nodes


def serve(bridge: Bridge, stop_fd: int) -> None:
    """Be the NIC's interface until stop_fd is readable; the firmware has it again afterwards.

    NetworkError when Linux makes no interface, FirmwareError when the firmware's driver fails.
    """
    from pykexec.linux.modules import load

    faults = load(MODULE)
    with Mailbox() as mailbox, open_port(_DATA_SIZE) as port:
        names = [name for name, _, _ in find_nics(mailbox)]
        if bridge.name not in names:
            return  # It has just gone.
        interface = f"{INTERFACE}{names.index(bridge.name)}"
        info = open_nic(mailbox, bridge.handle)
        try:
            mtu = min(info.max_packet_size, NetConstant.SLOT_SIZE - 18)
            fd = lib.pk_tap_open(interface.encode(), info.address, mtu)
            if fd < 0:
                reasons = "; ".join([os.strerror(-fd), *faults])
                raise NetworkError(f"{interface}: Linux cannot make it: {reasons}")
            publish(bridge, interface=interface, mac=info.address.hex(), mtu=mtu)
            result = lib.pk_tap_serve(port.pointer, bridge.handle, mtu, fd, stop_fd)
            lib.pk_tap_close(fd)
        finally:
            close_nic(mailbox, bridge.handle)
    if result and result != -errno.ENODEV:
        raise FirmwareError(-result, os.strerror(-result), bridge.name)


def open_nic(mailbox: Mailbox, handle: int) -> NetInfo:
    """Take the NIC from the firmware and initialize it."""
    what = f"network device {handle}"
    return decode_net_info(mailbox.ask(handle_request(Op.NET_OPEN, what, handle)))


def close_nic(mailbox: Mailbox, handle: int) -> None:
    """Shut the NIC down and give it back; one that has gone is no error."""
    try:
        mailbox.ask(handle_request(Op.NET_CLOSE, f"network device {handle}", handle))
    except FirmwareError as error:
        if error.errno != errno.ENOENT:
            raise
