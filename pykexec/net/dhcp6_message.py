# SPDX-License-Identifier: Apache-2.0
"""DHCPv6 messages (RFC 8415) and the lease in them."""

from __future__ import annotations

import ipaddress
import logging
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from pykexec.errors import FormatError
from pykexec.net.lease import Lease, domain_names

log = logging.getLogger(__name__)

_IA_NA_HEADER = 12
_IA_ADDRESS_HEADER = 24


class Message(IntEnum):
    """Message types."""

    SOLICIT = 1
    ADVERTISE = 2
    REQUEST = 3
    REPLY = 7
    INFORMATION_REQUEST = 11


class Option(IntEnum):
    """Numbers of options."""

    CLIENT_ID = 1
    SERVER_ID = 2
    IA_NA = 3
    IA_ADDRESS = 5
    WANTED = 6
    ELAPSED_TIME = 8
    STATUS = 13
    NAME_SERVERS = 23
    DOMAINS = 24
    BOOT_FILE = 59


@dataclass(frozen=True, slots=True)
class Packet:
    """A message between client and server: options in order, some may come again."""

    message: int
    transaction: int
    options: tuple[tuple[int, bytes], ...]

    def option(self, number: int) -> bytes:
        """The first of that number, b"" if there is none."""
        return next((value for found, value in self.options if found == number), b"")


def parse_packet(data: bytes) -> Packet:
    """Decode a message; FormatError names the offset."""
    if len(data) < 4:
        raise FormatError(f"DHCPv6 message: {len(data)} bytes are too few")
    return Packet(data[0], int.from_bytes(data[1:4]), tuple(_options(data, 4)))


def build_packet(packet: Packet) -> bytes:
    """Encode a message."""
    head = bytes([packet.message]) + packet.transaction.to_bytes(3)
    return head + pack_options(packet.options)


def pack_options(options: Sequence[tuple[int, bytes]]) -> bytes:
    """Options one behind the other."""
    return b"".join(struct.pack("!HH", number, len(value)) + value for number, value in options)


def _options(data: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    # The firmware keeps its packets in larger buffers: there is no option 0.
    while any(data[offset : offset + 4]):
        if offset + 4 > len(data):
            raise FormatError(f"DHCPv6 message: offset {offset}: option is cut off")
        number, size = struct.unpack_from("!HH", data, offset)
        if offset + 4 + size > len(data):
            raise FormatError(f"DHCPv6 message: offset {offset}: option {number} is cut off")
        yield number, data[offset + 4 : offset + 4 + size]
        offset += 4 + size


def status_of(packet: Packet) -> tuple[int, str]:
    """The worst status code anywhere in it, and its words; (0, "") if all is well."""
    found = [value for number, value in packet.options if number == Option.STATUS]
    for number, value in packet.options:
        if number == Option.IA_NA:
            inner = _options(value, min(len(value), _IA_NA_HEADER))
            found += [body for kind, body in inner if kind == Option.STATUS]
    codes = [
        (int.from_bytes(value[:2]), value[2:].decode("utf-8", "replace"))
        for value in found
        if len(value) >= 2
    ]
    return max(codes, default=(0, ""))


def lease_from(packet: Packet, source: str) -> Lease:
    """What a reply gives; FormatError for an address that no host can have.

    Addresses are single: prefixes on the link are the routers' to tell.
    """
    seconds: list[int] = []
    addresses = []
    for number, value in packet.options:
        if number != Option.IA_NA or len(value) < _IA_NA_HEADER:
            continue
        for kind, body in _options(value, _IA_NA_HEADER):
            if kind == Option.IA_ADDRESS and len(body) >= _IA_ADDRESS_HEADER:
                addresses.append(ipaddress.IPv6Interface((_host(body[:16]), 128)))
                seconds.append(int.from_bytes(body[20:24]))
    return Lease(
        source=source,
        addresses=tuple(addresses),
        name_servers=tuple(_servers(packet.option(Option.NAME_SERVERS))),
        domains=domain_names(_names(packet.option(Option.DOMAINS))),
        seconds=min(seconds, default=None),
    )


def _host(data: bytes) -> ipaddress.IPv6Address:
    address = ipaddress.IPv6Address(data)
    if address.is_unspecified or address.is_loopback or address.is_multicast:
        raise FormatError(f"DHCPv6 message: {address} is no address of a host")
    return address


def _servers(data: bytes) -> Iterator[str]:
    if len(data) % 16:
        log.info("DHCPv6 message: option 23 has %d bytes, left out", len(data))
        return
    for offset in range(0, len(data), 16):
        yield str(ipaddress.IPv6Address(data[offset : offset + 16]))


def _names(data: bytes) -> Iterator[str]:
    """Uncompressed DNS names (RFC 1035, 3.1), as far as they make sense."""
    labels: list[str] = []
    offset = 0
    while offset < len(data):
        size = data[offset]
        if size > 63 or offset + 1 + size > len(data):
            log.info("DHCPv6 message: option 24 is malformed, left out from there on")
            return
        if size:
            labels.append(data[offset + 1 : offset + 1 + size].decode("latin-1"))
        elif labels:
            yield ".".join(labels)
            labels = []
        offset += 1 + size
