# SPDX-License-Identifier: Apache-2.0
"""Where our image came from, if that was the network: the server and path to look for more files.

HTTP boot leaves the address in the image's device path (UEFI 2.10, 24.7.3.1). PXE leaves the
packets of its DHCP exchange (24.3), which name server and file (RFC 2131, 2132, 5970).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pykexec.abi import Op, Struct
from pykexec.abi_devices import PxeFlag
from pykexec.config.url import Url, is_absolute, parse_url
from pykexec.efi.device_path import DevicePath, parse
from pykexec.efi.device_path_names import IPV4, IPV6, MAC, URI
from pykexec.efi.device_path_node import HARD_DRIVE
from pykexec.errors import FirmwareError, FormatError, UsageError
from pykexec.firmware.mailbox import Mailbox, Request


@dataclass(frozen=True, slots=True)
class NetworkOrigin:
    """A NIC and the address of what it brought; url None where the firmware does not say."""

    mac: bytes
    url: Url | None


def network_origin(mailbox: Mailbox) -> NetworkOrigin | None:
    """From which NIC and address our image came; None if it came from a volume."""
    path = boot_path(mailbox)
    mac = path and nic_of(path)
    if not path or not mac:
        return None
    url = url_of(path)
    if url is None:
        for pxe in _packets(mailbox, mac):
            url = url_of_packets(pxe)
            if url:
                break
    return NetworkOrigin(mac, url)


def absolute_url(mailbox: Mailbox, address: str) -> Url:
    """The address, where it is relative by that of our image; UsageError if that is not known."""
    if is_absolute(address):
        return parse_url(address)
    origin = network_origin(mailbox)
    if origin is None:
        raise UsageError(f"{address}: relative, but the image did not come from a server")
    if origin.url is None:
        raise UsageError(f"{address}: relative, but the firmware does not say to which server")
    return origin.url.join(address)


def boot_path(mailbox: Mailbox) -> DevicePath | None:
    """The device path that our image was loaded from, file path included."""
    import errno

    try:
        return parse(mailbox.ask(Request(Op.BOOT_PATH, "boot path")))
    except FirmwareError as error:
        if error.errno == errno.ENOENT:
            return None
        raise


def nic_of(path: DevicePath) -> bytes | None:
    """The NIC's address if the path ends in the network, not on a disk behind it (iSCSI)."""
    mac = None
    for node in path.nodes:
        if node.kind == MAC and len(node.data) == 33:
            mac = node.data[:6] if node.data[32] in (0, 1) else node.data[:32]
        elif node.kind == HARD_DRIVE:
            mac = None
    return mac


def is_pxe(path: DevicePath) -> bool:
    """Does the path end where PXE loads from, at the NIC (UEFI 2.10, 3.5.2.1), and name no file?"""
    return bool(path.nodes) and path.nodes[-1].kind in (MAC, IPV4, IPV6)


def url_of(path: DevicePath) -> Url | None:
    """The address in the path: the last Uri() node that is not empty."""
    texts = [node.data for node in path.nodes if node.kind == URI and node.data.strip(b"\0")]
    if not texts:
        return None
    try:
        return parse_url(texts[-1].rstrip(b"\0").decode("ascii"))
    except (UsageError, UnicodeDecodeError):
        return None


def _packets(mailbox: Mailbox, mac: bytes) -> Iterator[Struct]:
    """What PXE left on that NIC; a network boot program may show it by a handle of its own."""
    from pykexec.firmware.handles import list_handles
    from pykexec.net.pxe import read_pxe

    for handle in list_handles(mailbox, "simple_network"):
        if handle.path and nic_of(handle.path) == mac:
            pxe = read_pxe(mailbox, handle.number)
            if pxe:
                yield pxe


def url_of_packets(pxe: Struct) -> Url | None:
    """The address of the boot file, from the packet that the firmware went by.

    In the order of EDK II: the boot server's reply, the proxy's offer, the DHCP server's answer.
    """
    for flag, packet in (
        (PxeFlag.REPLY, pxe.pxe_reply),
        (PxeFlag.PROXY_OFFER, pxe.proxy_offer),
        (PxeFlag.DHCP_ACK, pxe.dhcp_ack),
    ):
        if pxe.flags & flag:
            url = _url_of_dhcp6(packet) if pxe.flags & PxeFlag.IPV6 else _url_of_dhcp4(packet)
            if url:
                return url
    return None


def _url_of_dhcp4(packet: bytes) -> Url | None:
    from urllib.parse import quote

    from pykexec.net.dhcp_packet import boot_server, parse_packet

    try:
        boot = boot_server(parse_packet(packet))
        if boot.uri:
            return parse_url(boot.uri)
        if not boot.server or not boot.file:
            return None
        return parse_url(f"tftp://{boot.server}/{quote(boot.file)}")
    except (FormatError, UsageError):
        return None


def _url_of_dhcp6(packet: bytes) -> Url | None:
    """RFC 5970: the boot file's address is an option of its own.

    What follows the message in the firmware's buffer is not part of it: no parser of whole messages
    would do.
    """
    from pykexec.net.dhcp6_message import Message, Option

    if not packet or packet[0] not in (Message.ADVERTISE, Message.REPLY):
        return None
    position = 4
    while position + 4 <= len(packet):
        code, size = struct.unpack_from("!HH", packet, position)
        value = packet[position + 4 : position + 4 + size]
        if code == Option.BOOT_FILE and len(value) == size:
            try:
                return parse_url(value.rstrip(b"\0").decode("ascii"))
            except (UnicodeDecodeError, UsageError):
                return None
        position += 4 + size
    return None
