# SPDX-License-Identifier: Apache-2.0
"""DHCPv4 packets (RFC 2131, RFC 2132) and the lease in them."""

from __future__ import annotations

import ipaddress
import logging
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from pykexec.errors import FormatError
from pykexec.linux.interface import Network
from pykexec.net.lease import BootServer, Lease, Route, default_route, domain_names

log = logging.getLogger(__name__)

ETHERNET = 1
PACKET_MAX = 1472

_HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s")
_COOKIE = b"\x63\x82\x53\x63"
_REQUEST = 1
_BROADCAST = 0x8000
_SMALLEST_MTU = 68
_PAD, _END = 0, 255


class Option(IntEnum):
    """Numbers of options."""

    SUBNET_MASK = 1
    ROUTER = 3
    NAME_SERVER = 6
    HOST_NAME = 12
    DOMAIN = 15
    MTU = 26
    REQUESTED_ADDRESS = 50
    LEASE_TIME = 51
    OVERLOAD = 52
    MESSAGE_TYPE = 53
    SERVER_ID = 54
    PARAMETERS = 55
    MESSAGE = 56
    MAX_SIZE = 57
    CLIENT_ID = 61
    TFTP_SERVER = 66
    BOOT_FILE = 67
    CLASSLESS_ROUTES = 121


@dataclass(frozen=True, slots=True)
class _Shape:
    """How many bytes an option has (RFC 2132): size, or a multiple of it where there are several.

    Without most options a lease is of use; what a needed one says wrongly nobody can make up for.
    """

    size: int
    several: bool = False
    needed: bool = False

    def fits(self, value: bytes) -> bool:
        return len(value) == self.size or (self.several and len(value) % self.size == 0)


_SHAPES = {
    Option.SUBNET_MASK: _Shape(4, needed=True),
    Option.ROUTER: _Shape(4, several=True),
    Option.NAME_SERVER: _Shape(4, several=True),
    Option.MTU: _Shape(2),
    Option.REQUESTED_ADDRESS: _Shape(4),
    Option.LEASE_TIME: _Shape(4),
    Option.OVERLOAD: _Shape(1, needed=True),
    Option.MESSAGE_TYPE: _Shape(1, needed=True),
    Option.SERVER_ID: _Shape(4, needed=True),
}


class Message(IntEnum):
    """Values of MESSAGE_TYPE."""

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    DECLINE = 4
    ACK = 5
    NAK = 6


@dataclass(frozen=True, slots=True)
class Packet:
    """A BOOTP message with its DHCP options, none of a wrong length; addresses as four bytes."""

    transaction: int
    client_address: bytes
    your_address: bytes
    server_address: bytes
    hardware: bytes
    server_name: str
    boot_file: str
    is_request: bool = False
    seconds: int = 0
    options: Mapping[int, bytes] = field(default_factory=dict)

    @property
    def message(self) -> int:
        """A Message, or 0 for plain BOOTP."""
        return self.options.get(Option.MESSAGE_TYPE, b"\0")[0]


def parse_packet(data: bytes) -> Packet:
    """Decode a packet, with its options wherever they overflow to; FormatError names the offset.

    An option of a length that it cannot have is left out with a line in the log, or ends it where
    nothing can be made of the packet without it.
    """
    if len(data) < _HEADER.size + len(_COOKIE):
        raise FormatError(f"DHCP packet: {len(data)} bytes are too few")
    operation, hardware_type, size, _, transaction, seconds, _, *rest = _HEADER.unpack_from(data)
    client, yours, server, _, hardware, name, file = rest
    if hardware_type != ETHERNET or size != 6:
        raise FormatError("DHCP packet: offset 1: not for Ethernet")
    if data[_HEADER.size : _HEADER.size + len(_COOKIE)] != _COOKIE:
        raise FormatError(f"DHCP packet: offset {_HEADER.size}: no DHCP options")
    options: dict[int, bytes] = {}
    _parse_options(data, _HEADER.size + len(_COOKIE), len(data), options)
    _check_size(options, Option.OVERLOAD)
    overload = options.get(Option.OVERLOAD, b"\0")[0]
    if overload & 1:
        _parse_options(file, 0, len(file), options)
        file = b""
    if overload & 2:
        _parse_options(name, 0, len(name), options)
        name = b""
    # Now, as an option may come in pieces (RFC 3396).
    for option in _SHAPES:
        _check_size(options, option)
    return Packet(
        transaction=transaction,
        client_address=client,
        your_address=yours,
        server_address=server,
        hardware=hardware[:size],
        server_name=text(name),
        boot_file=text(file),
        is_request=operation == _REQUEST,
        seconds=seconds,
        options=options,
    )


def _parse_options(data: bytes, offset: int, end: int, options: dict[int, bytes]) -> None:
    while offset < end and data[offset] != _END:
        if data[offset] == _PAD:
            offset += 1
            continue
        if offset + 2 > end or offset + 2 + data[offset + 1] > end:
            raise FormatError(f"DHCP packet: offset {offset}: option {data[offset]} is cut off")
        size = data[offset + 1]
        # An option that comes again goes on (RFC 3396).
        value = data[offset + 2 : offset + 2 + size]
        options[data[offset]] = options.get(data[offset], b"") + value
        offset += 2 + size


def _check_size(options: dict[int, bytes], option: Option) -> None:
    shape, value = _SHAPES[option], options.get(option)
    if value is None or shape.fits(value):
        return
    fault = f"DHCP packet: option {option.value} has {len(value)} bytes"
    if shape.needed:
        raise FormatError(fault)
    log.info("%s, left out", fault)
    del options[option]


def build_packet(packet: Packet) -> bytes:
    """Encode a request of a client without an address: answers are to be broadcast."""
    head = _HEADER.pack(
        _REQUEST,
        ETHERNET,
        len(packet.hardware),
        0,
        packet.transaction,
        packet.seconds,
        _BROADCAST,
        packet.client_address,
        packet.your_address,
        packet.server_address,
        bytes(4),
        packet.hardware,
        packet.server_name.encode(),
        packet.boot_file.encode(),
    )
    options = b"".join(
        bytes([number, len(value)]) + value for number, value in packet.options.items()
    )
    return (head + _COOKIE + options + bytes([_END])).ljust(300, b"\0")


def lease_from(packet: Packet, source: str) -> Lease:
    """What an offer or an ACK gives; FormatError for one whose address no host can have."""
    address = ipaddress.IPv4Address(packet.your_address)
    if address.is_unspecified or address.is_loopback or address.is_multicast or address.is_reserved:
        raise FormatError(f"DHCP packet: offset 16: {address} is no address of a host")
    options = packet.options
    mask = _addresses(options.get(Option.SUBNET_MASK, b""))
    prefix: int | str = str(mask[0]) if mask else _class_prefix(address)
    try:
        interface = ipaddress.IPv4Interface(f"{address}/{prefix}")
    except ValueError:
        raise FormatError(f"DHCP packet: {prefix} is no subnet mask") from None
    if not interface.network.prefixlen:
        raise FormatError(f"DHCP packet: {prefix} is no subnet mask")
    mtu = int.from_bytes(options.get(Option.MTU, b""))
    return Lease(
        source=source,
        addresses=(interface,),
        routes=_routes(options),
        name_servers=tuple(map(str, _addresses(options.get(Option.NAME_SERVER, b"")))),
        domains=domain_names(text(options.get(Option.DOMAIN, b"")).split()),
        mtu=mtu if mtu >= _SMALLEST_MTU else None,
        seconds=int.from_bytes(options.get(Option.LEASE_TIME, b"")) or None,
    )


def boot_server(packet: Packet) -> BootServer:
    """The server and file that a packet names; the options come before the fields of BOOTP."""
    file = text(packet.options.get(Option.BOOT_FILE, b"")) or packet.boot_file
    if "://" in file:
        return BootServer(uri=file)
    name = text(packet.options.get(Option.TFTP_SERVER, b"")) or packet.server_name
    server = next((a for a in _addresses(packet.server_address) if not a.is_unspecified), None)
    if server is None:
        server = next(iter(_addresses(packet.options.get(Option.SERVER_ID, b""))), None)
    return BootServer(str(server) if server else name, file) if file else BootServer()


def _routes(options: Mapping[int, bytes]) -> tuple[Route, ...]:
    """Classless routes replace the routers (RFC 3442), unless they make no sense."""
    if Option.CLASSLESS_ROUTES in options:
        try:
            return tuple(_classless_routes(options[Option.CLASSLESS_ROUTES]))
        except FormatError as error:
            log.info("%s, left out", error)
    routers = _addresses(options.get(Option.ROUTER, b""))
    return tuple(map(default_route, routers[:1]))


def _classless_routes(data: bytes) -> Iterator[Route]:
    offset = 0
    while offset < len(data):
        prefix = data[offset]
        nr_bytes = (prefix + 7) // 8
        gateway = data[offset + 1 + nr_bytes : offset + 5 + nr_bytes]
        if prefix > 32 or len(gateway) < 4:
            raise FormatError("DHCP packet: option 121 is malformed")
        destination = data[offset + 1 : offset + 1 + nr_bytes].ljust(4, b"\0")
        network: Network = ipaddress.IPv4Network((destination, prefix), strict=False)
        over = ipaddress.IPv4Address(gateway)
        yield Route(network, None if over.is_unspecified else over)
        offset += 5 + nr_bytes


def _addresses(data: bytes) -> list[ipaddress.IPv4Address]:
    return [ipaddress.IPv4Address(data[i : i + 4]) for i in range(0, len(data), 4)]


def _class_prefix(address: ipaddress.IPv4Address) -> int:
    first = address.packed[0]
    return 8 if first < 128 else 16 if first < 192 else 24


def text(data: bytes) -> str:
    """What stands before the first zero."""
    return data.partition(b"\0")[0].decode("utf-8", "replace").strip()
