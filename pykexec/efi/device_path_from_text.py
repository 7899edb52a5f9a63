# SPDX-License-Identifier: Apache-2.0
"""Text to device paths: reads what device_path_text writes, and efibootmgr (UEFI 2.10, 10.6)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from pykexec.efi.device_path_names import (
    ACPI_ADR,
    ACPI_DEVICE,
    ACPI_NAMES,
    ATA,
    ATA_CHANNELS,
    ATA_DRIVES,
    BBS,
    BBS_TYPES,
    DNS,
    GUIDS,
    IPV4,
    IPV4_ORIGINS,
    IPV6,
    IPV6_ORIGINS,
    MAC,
    NUMBERS,
    NVME,
    PARITIES,
    PNP,
    PROTOCOLS,
    RAM_DISK,
    RAM_DISKS,
    STOP_BITS,
    UART,
    URI,
)
from pykexec.efi.device_path_node import (
    END_INSTANCE,
    END_TYPE,
    HARD_DRIVE,
    HARD_DRIVE_FORMAT,
    SIGNATURE_GUID,
    DevicePathError,
    Node,
    file_node,
)
from pykexec.efi.guid import Guid
from pykexec.errors import FormatError


def read_nodes(text: str) -> tuple[Node, ...]:
    """The nodes that text names; DevicePathError with the offset in text of what is wrong."""
    if not text:
        raise DevicePathError(0, "empty text")
    nodes: list[Node] = []
    for offset, separator, part in _split(text):
        if separator == ",":
            nodes.append(Node(END_TYPE, END_INSTANCE))
        try:
            nodes.append(_read(part))
        except DevicePathError:
            raise
        except (FormatError, ValueError, OverflowError, OSError, struct.error, TypeError):
            raise DevicePathError(offset, f"{part!r} is no node") from None
    return tuple(nodes)


def _split(text: str) -> Iterator[tuple[int, str, str]]:
    """Offset, separator before it and text of each node; parentheses hide separators."""
    depth = start = 0
    separator = ""
    for offset, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if depth < 0:
            raise DevicePathError(offset, "')' without '('")
        if depth == 0 and char in "/,":
            yield start, separator, text[start:offset]
            start, separator = offset + 1, char
    if depth:
        raise DevicePathError(len(text), "missing ')'")
    yield start, separator, text[start:]


def _read(text: str) -> Node:
    name, parenthesis, rest = text.partition("(")
    if not parenthesis or name.startswith("\\") or not rest.endswith(")"):
        if not text:
            raise ValueError
        return file_node(text)
    body = rest[:-1]
    if name == "Uri":
        return Node(*URI, body.encode("ascii"))
    # efibootmgr 17 and older.
    if name == "File" and body:
        return file_node(body)
    if name not in _READERS:
        raise ValueError
    return _READERS[name](body.split(","))


def _number(text: str) -> int:
    return int(text, 0)


def _read_generic(arguments: list[str]) -> Node:
    type_, subtype, data = arguments
    return Node(_byte(type_), _byte(subtype), bytes.fromhex(data))


def _byte(text: str) -> int:
    return bytes([_number(text)])[0]


def _reads_numbers(kind: tuple[int, int]) -> Callable[[list[str]], Node]:
    _, layout, order = NUMBERS[kind]

    def read(arguments: list[str]) -> Node:
        values = [0] * len(order)
        for i, argument in zip(order, arguments, strict=True):
            values[i] = _number(argument)
        return Node(*kind, struct.pack(layout, *values))

    return read


def _reads_guid(kind: tuple[int, int]) -> Callable[[list[str]], Node]:
    def read(arguments: list[str]) -> Node:
        guid, *data = arguments
        return Node(*kind, Guid.parse(guid).data + bytes.fromhex("".join(data)))

    return read


def _acpi(hid: int, uid: str) -> Node:
    return Node(*ACPI_DEVICE, struct.pack("<II", hid, _number(uid)))


def _reads_acpi_name(product: int) -> Callable[[list[str]], Node]:
    def read(arguments: list[str]) -> Node:
        (uid,) = arguments
        return _acpi(product << 16 | PNP, uid)

    return read


def _read_acpi(arguments: list[str]) -> Node:
    hid, uid = arguments
    if hid.startswith("PNP"):
        return _acpi(int(hid[3:], 16) << 16 | PNP, uid)
    return _acpi(_number(hid), uid)


def _read_adr(arguments: list[str]) -> Node:
    return Node(*ACPI_ADR, b"".join(struct.pack("<I", _number(adr)) for adr in arguments))


def _read_ata(arguments: list[str]) -> Node:
    channel, drive, unit = arguments
    fields = (ATA_CHANNELS.index(channel), ATA_DRIVES.index(drive), _number(unit))
    return Node(*ATA, struct.pack("<BBH", *fields))


def _read_mac(arguments: list[str]) -> Node:
    address, interface = arguments
    return Node(*MAC, struct.pack("<32sB", bytes.fromhex(address), _number(interface)))


def _ip(text: str, size: int) -> bytes:
    import socket

    return socket.inet_pton(socket.AF_INET if size == 4 else socket.AF_INET6, text)


def _protocol(text: str) -> int:
    for number, name in PROTOCOLS.items():
        if name == text:
            return number
    return _number(text)


def _read_ipv4(arguments: list[str]) -> Node:
    remote, protocol, origin, local, gateway, mask = arguments
    data = _ip(local, 4) + _ip(remote, 4) + bytes(4)
    data += struct.pack("<HB", _protocol(protocol), IPV4_ORIGINS.index(origin))
    return Node(*IPV4, data + _ip(gateway, 4) + _ip(mask, 4))


def _read_ipv6(arguments: list[str]) -> Node:
    remote, protocol, origin, local, prefix, gateway = arguments
    data = _ip(local, 16) + _ip(remote, 16) + bytes(4)
    data += struct.pack("<HBB", _protocol(protocol), IPV6_ORIGINS.index(origin), _number(prefix))
    return Node(*IPV6, data + _ip(gateway, 16))


def _read_uart(arguments: list[str]) -> Node:
    baud, bits, parity, stop = arguments
    fields = (_number(baud), _number(bits), PARITIES.index(parity), STOP_BITS.index(stop))
    return Node(*UART, struct.pack("<4xQBBB", *fields))


def _read_nvme(arguments: list[str]) -> Node:
    namespace, eui = arguments
    raw = bytes.fromhex(eui.replace("-", ""))
    if len(raw) != 8:
        raise ValueError
    return Node(*NVME, struct.pack("<I8s", _number(namespace), raw[::-1]))


def _read_dns(arguments: list[str]) -> Node:
    size = 16 if ":" in arguments[0] else 4
    addresses = b"".join(_ip(text, size).ljust(16, b"\0") for text in arguments)
    return Node(*DNS, bytes([size == 16]) + addresses)


def _read_hard_drive(arguments: list[str]) -> Node:
    number, table, identity, start, size = arguments
    if table == "GPT":
        signature, kinds = Guid.parse(identity).data, (2, SIGNATURE_GUID)
    elif table == "MBR":
        signature, kinds = _number(identity).to_bytes(4, "little"), (1, 1)
    else:
        raise ValueError
    place = map(_number, (number, start, size))
    return Node(*HARD_DRIVE, struct.pack(HARD_DRIVE_FORMAT, *place, signature, *kinds))


def _ram_disk(start: str, end: str, instance: str, kind: str) -> Node:
    fields = (_number(start), _number(end), Guid.parse(kind).data, _number(instance))
    return Node(*RAM_DISK, struct.pack("<QQ16sH", *fields))


def _read_bbs(arguments: list[str]) -> Node:
    """The name, which may have commas, lies between the type and the flags."""
    kind, *name, flags = arguments
    numbers = [number for number, word in BBS_TYPES.items() if word == kind]
    head = struct.pack("<HH", numbers[0] if numbers else _number(kind), _number(flags))
    return Node(*BBS, head + ",".join(name).encode("ascii") + b"\0")


def _reads_ram_disk(kind: str) -> Callable[[list[str]], Node]:
    def read(arguments: list[str]) -> Node:
        start, end, instance = arguments
        return _ram_disk(start, end, instance, kind)

    return read


_READERS: dict[str, Callable[[list[str]], Node]] = {
    "Path": _read_generic,
    "Acpi": _read_acpi,
    "AcpiAdr": _read_adr,
    "Ata": _read_ata,
    "MAC": _read_mac,
    "IPv4": _read_ipv4,
    "IPv6": _read_ipv6,
    "Uart": _read_uart,
    "NVMe": _read_nvme,
    "Dns": _read_dns,
    "HD": _read_hard_drive,
    "BBS": _read_bbs,
    "RamDisk": lambda arguments: _ram_disk(*arguments),
    **{name: _reads_numbers(kind) for kind, (name, _, _) in NUMBERS.items()},
    **{name: _reads_guid(kind) for kind, name in GUIDS.items()},
    **{name: _reads_acpi_name(product) for product, name in ACPI_NAMES.items()},
    **{name: _reads_ram_disk(kind) for kind, name in RAM_DISKS.items()},
}
