# SPDX-License-Identifier: Apache-2.0
"""Device paths to text (UEFI 2.10, 10.6, spelled as EDK2 spells it); the way back is beside it.

A node is written in its own form only where reading that form gives the same bytes back;
everything else is Path(type,subtype,data), so text never loses anything.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache

from pykexec.efi.device_path_from_text import read_nodes
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
    FILE,
    HARD_DRIVE,
    HARD_DRIVE_FORMAT,
    SIGNATURE_GUID,
    Node,
)
from pykexec.efi.guid import GUID_SIZE, Guid
from pykexec.efi.ucs2 import decode_ucs2
from pykexec.errors import FormatError

_CACHED = 512  # nodes: all machines have the same buses, and files of the same names


def to_text(nodes: tuple[Node, ...]) -> str:
    """A path of these nodes as the firmware's DevicePathToText shows it."""
    text = ""
    for node in nodes:
        if node.kind == (END_TYPE, END_INSTANCE):
            text += ","
        else:
            text += ("" if not text or text.endswith(",") else "/") + node_to_text(node)
    return text


@lru_cache(_CACHED)
def node_to_text(node: Node) -> str:
    """One node; always readable by read_nodes()."""
    try:
        text = _format(node)
        if read_nodes(text) == (node,):
            return text
    except (FormatError, ValueError, KeyError, IndexError, struct.error):
        pass
    return f"Path({node.type},{node.subtype},{node.data.hex()})"


def _format(node: Node) -> str:
    if node.kind in NUMBERS:
        name, layout, order = NUMBERS[node.kind]
        values = struct.unpack(layout, node.data)
        return _call(name, *(f"{values[i]:#x}" for i in order))
    if node.kind in GUIDS:
        return _call(
            GUIDS[node.kind], str(Guid(node.data[:GUID_SIZE])), node.data[GUID_SIZE:].hex()
        )
    return _FORMATTERS[node.kind](node.data)


def _call(name: str, *arguments: str) -> str:
    return f"{name}({','.join(arguments).rstrip(',')})"


def _format_acpi(data: bytes) -> str:
    hid, uid = struct.unpack("<II", data)
    if hid & 0xFFFF != PNP:
        return _call("Acpi", f"{hid:#010x}", f"{uid:#x}")
    name = ACPI_NAMES.get(hid >> 16)
    return _call(name, f"{uid:#x}") if name else _call("Acpi", f"PNP{hid >> 16:04X}", f"{uid:#x}")


def _format_adr(data: bytes) -> str:
    return _call("AcpiAdr", *(f"{adr:#x}" for (adr,) in struct.iter_unpack("<I", data)))


def _format_ata(data: bytes) -> str:
    channel, drive, unit = struct.unpack("<BBH", data)
    return _call("Ata", ATA_CHANNELS[channel], ATA_DRIVES[drive], f"{unit:#x}")


def _format_mac(data: bytes) -> str:
    address, interface = struct.unpack("<32sB", data)
    size = 6 if interface in (0, 1) else 32
    return _call("MAC", address[:size].hex(), f"{interface:#x}")


def _format_ipv4(data: bytes) -> str:
    local, remote, protocol, origin, *rest = struct.unpack("<4s4s4xHB4s4s", data)
    return _call(
        "IPv4", _ip(remote), _protocol(protocol), IPV4_ORIGINS[origin], *map(_ip, (local, *rest))
    )


def _format_ipv6(data: bytes) -> str:
    local, remote, protocol, origin, prefix, gateway = struct.unpack("<16s16s4xHBB16s", data)
    return _call(
        "IPv6",
        _ip(remote),
        _protocol(protocol),
        IPV6_ORIGINS[origin],
        _ip(local),
        f"{prefix:#x}",
        _ip(gateway),
    )


def _ip(data: bytes) -> str:
    import socket

    return socket.inet_ntop(socket.AF_INET if len(data) == 4 else socket.AF_INET6, data)


def _protocol(number: int) -> str:
    return PROTOCOLS.get(number) or f"{number:#x}"


def _format_uart(data: bytes) -> str:
    baud, bits, parity, stop = struct.unpack("<4xQBBB", data)
    return _call("Uart", str(baud), str(bits), PARITIES[parity], STOP_BITS[stop])


def _format_nvme(data: bytes) -> str:
    namespace, eui = struct.unpack("<I8s", data)
    return _call("NVMe", f"{namespace:#x}", eui[::-1].hex("-").upper())


def _format_dns(data: bytes) -> str:
    size = 16 if data[0] else 4
    addresses = (data[i : i + size] for i in range(1, len(data), 16))
    return _call("Dns", *map(_ip, addresses))


def _format_hard_drive(data: bytes) -> str:
    number, start, size, signature, table, kind = struct.unpack(HARD_DRIVE_FORMAT, data)
    if (table, kind) == (2, SIGNATURE_GUID):
        identity = ("GPT", str(Guid(signature)))
    elif (table, kind) == (1, 1):
        identity = ("MBR", f"{int.from_bytes(signature[:4], 'little'):#010x}")
    else:
        raise ValueError
    return _call("HD", str(number), *identity, f"{start:#x}", f"{size:#x}")


def _format_bbs(data: bytes) -> str:
    kind, flags = struct.unpack_from("<HH", data)
    name = data[4:].removesuffix(b"\0").decode("ascii")
    return _call("BBS", BBS_TYPES.get(kind) or f"{kind:#x}", name, f"{flags:#x}")


def _format_ram_disk(data: bytes) -> str:
    start, end, kind, instance = struct.unpack("<QQ16sH", data)
    text = str(Guid(kind))
    place = (f"{start:#x}", f"{end:#x}", str(instance))
    name = RAM_DISKS.get(text)
    return _call(name, *place) if name else _call("RamDisk", *place, text)


_FORMATTERS: dict[tuple[int, int], Callable[[bytes], str]] = {
    ACPI_DEVICE: _format_acpi,
    ACPI_ADR: _format_adr,
    ATA: _format_ata,
    MAC: _format_mac,
    IPV4: _format_ipv4,
    IPV6: _format_ipv6,
    UART: _format_uart,
    NVME: _format_nvme,
    URI: lambda data: _call("Uri", data.decode("ascii")),
    DNS: _format_dns,
    HARD_DRIVE: _format_hard_drive,
    BBS: _format_bbs,
    FILE: decode_ucs2,
    RAM_DISK: _format_ram_disk,
}
