# SPDX-License-Identifier: Apache-2.0
"""Structures in the data of events (TCG PC Client Platform Firmware Profile 1.05, 10.2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pykexec.efi.guid import Guid
from pykexec.errors import FormatError

_VARIABLE = "<16sQQ"
AUTHORITY_SURPLUS_MAX = 8
"""Bytes: shim before version 15 logs an authority with the padding of its own structure."""


@dataclass(frozen=True, slots=True)
class UefiVariable:
    """UEFI_VARIABLE_DATA (10.2.6)."""

    vendor: Guid
    name: str
    data: bytes


def parse_variable(data: bytes, surplus_max: int = 0) -> UefiVariable:
    """Decode UEFI_VARIABLE_DATA, behind which so many bytes may lie; FormatError if it is none."""
    head = struct.calcsize(_VARIABLE)
    if len(data) < head:
        raise FormatError(f"variable of {len(data)} bytes")
    vendor, name_length, size = struct.unpack_from(_VARIABLE, data)
    start = head + 2 * name_length
    end = start + size
    if not end <= len(data) <= end + surplus_max:
        raise FormatError(f"sizes of a variable do not fit: {end} bytes, not {len(data)}")
    name = data[head:start].decode("utf-16-le", "replace")
    return UefiVariable(Guid(vendor), name, data[start:end])
