# SPDX-License-Identifier: Apache-2.0
"""The console that the firmware names in its SPCR, as a word of Linux' command line."""

from __future__ import annotations

import struct

import pytest

from pykexec._native import ffi, lib

IO, MEMORY = 1, 0


def spcr(
    address: int,
    space: int = IO,
    *,
    interface: int = 0,
    bit_width: int = 8,
    access: int = 1,
    baud: int = 7,
    size: int = 80,
) -> bytes:
    """A table whose sum is right."""
    head = struct.pack("<4sIBB6s8sIII", b"SPCR", size, 2, 0, b"OEM", b"TABLE", 1, 0, 0)
    base = struct.pack("<BBBBQ", space, bit_width, 0, access, address)
    body = struct.pack("<B3x12sBBIBBBBB", interface, base, 2, 4, 0, baud, 0, 1, 0, 3)
    table = bytearray((head + body).ljust(size, b"\0"))
    table[9] = -sum(table) & 0xFF
    return bytes(table)


def console(table: bytes) -> str | None:
    """What pk_spcr_console() makes of it."""
    word = ffi.new("char[]", lib.PK_SPCR_WORD_MAX)
    found = lib.pk_spcr_console(ffi.from_buffer(table), len(table), word)
    return bytes(ffi.string(word)).decode() if found else None


NAMED = {
    "COM1": (spcr(0x3F8), "console=ttyS0,115200"),
    "COM2": (spcr(0x2F8, baud=3), "console=ttyS1,9600"),
    "COM4, as it is set": (spcr(0x2E8, baud=0), "console=ttyS3,115200"),
    "Serial over LAN of AMT": (spcr(0x3060), "console=uart8250,io,0x3060,115200"),
    "memory": (spcr(0xFEDC9000, MEMORY), "console=uart8250,mmio,0xfedc9000,115200"),
    "of 32 bits": (
        spcr(0xFE034000, MEMORY, access=3, bit_width=32, interface=18),
        "console=uart8250,mmio32,0xfe034000,115200",
    ),
    "of 32 bits, by its width": (
        spcr(0xFE034000, MEMORY, access=0, bit_width=32, baud=0),
        "console=uart8250,mmio32,0xfe034000",
    ),
    "of 16 bits": (
        spcr(0x1_0000_0000, MEMORY, access=2, baud=4),
        "console=uart8250,mmio16,0x100000000,19200",
    ),
    "a later revision": (spcr(0x3F8, size=90, interface=1), "console=ttyS0,115200"),
    "the longest": (
        spcr(0xFFFFFFFFFFFFFFFF, MEMORY, access=3),
        "console=uart8250,mmio32,0xffffffffffffffff,115200",
    ),
}


@pytest.mark.parametrize(("table", "word"), NAMED.values(), ids=NAMED.keys())
def test_the_port_has_linux_name(table: bytes, word: str) -> None:
    assert console(table) == word
    assert console(table + b"behind it") == word


def changed(table: bytes, offset: int) -> bytes:
    """With a byte that its sum does not know of."""
    return table[:offset] + bytes([table[offset] ^ 1]) + table[offset + 1 :]


NOT_NAMED = {
    "switched off": spcr(0),
    "another interface": spcr(0x3F8, interface=3),
    "another space": spcr(0x3F8, space=2),
    "beyond the ports": spcr(0x10000),
    "another table": b"DBG2" + spcr(0x3F8)[4:],
    "cut off": spcr(0x3F8)[:-1],
    "too short": spcr(0x3F8, size=80)[:4] + struct.pack("<I", 79) + spcr(0x3F8)[8:],
    "longer than it is": spcr(0x3F8, size=96)[:80],
    "damaged": changed(spcr(0x3F8), 45),
    "nothing": b"",
}


@pytest.mark.parametrize("table", NOT_NAMED.values(), ids=NOT_NAMED.keys())
def test_what_names_no_port_adds_no_word(table: bytes) -> None:
    assert console(table) is None
