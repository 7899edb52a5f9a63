# SPDX-License-Identifier: Apache-2.0
"""Which PCI segments there are: ACPI's MCFG (PCI Firmware 3.3, 4.1.2). Linux has a way to segment 0
alone; what is in others is the firmware's, and nobody compares it.
"""

from __future__ import annotations

import struct
from typing import Final

from pykexec._native import lib
from pykexec.errors import FormatError

_ALLOCATION: Final = struct.Struct("<QHBB4x")
_RESERVED: Final = 8
"""Bytes between the header and the first entry."""


def pci_segments(table: bytes) -> list[str]:
    """Each entry, "segment 1, buses 00-ff"; FormatError where the table makes no sense."""
    start = lib.PK_ACPI_HEADER + _RESERVED
    if len(table) < start or (len(table) - start) % _ALLOCATION.size:
        raise FormatError(f"MCFG: {len(table)} bytes are no table of entries")
    found = []
    for offset in range(start, len(table), _ALLOCATION.size):
        base, segment, first, last = _ALLOCATION.unpack_from(table, offset)
        if not base or first > last:
            raise FormatError(f"MCFG: offset {offset}: buses {first:02x}-{last:02x} at {base:#x}")
        found.append(f"segment {segment}, buses {first:02x}-{last:02x}")
    return found
