# SPDX-License-Identifier: Apache-2.0
"""EFI GUIDs and the names that the C headers give them."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from functools import cache

from pykexec.errors import FormatError

GUID_SIZE = 16
_TEXT = re.compile("-".join(f"[0-9A-Fa-f]{{{size}}}" for size in (8, 4, 4, 4, 12)))
_NATIVE_PREFIX = "efi_guid_"


@dataclass(frozen=True, slots=True)
class Guid:
    """An EFI GUID as its 16 bytes in memory (mixed endian, UEFI 2.10 appendix A)."""

    data: bytes

    def __post_init__(self) -> None:
        if len(self.data) != GUID_SIZE:
            raise FormatError(f"GUID of {len(self.data)} bytes")

    @classmethod
    def parse(cls, text: str) -> Guid:
        """Read the registry form, 8-4-4-4-12 hexadecimal digits in either case."""
        if not _TEXT.fullmatch(text):
            raise FormatError(f"{text!r} is not a GUID")
        raw = bytes.fromhex(text.replace("-", ""))
        return cls(struct.pack("<IHH8s", *struct.unpack(">IHH8s", raw)))

    def __str__(self) -> str:
        a, b, c, d = struct.unpack("<IHH8s", self.data)
        return f"{a:08x}-{b:04x}-{c:04x}-{d[:2].hex()}-{d[2:].hex()}"


@cache
def named_guids() -> dict[str, Guid]:
    """Every GUID of csrc/include/efi/guids.h by its name there, "block_io" for example."""
    from pykexec._native import ffi, lib

    return {
        name.removeprefix(_NATIVE_PREFIX): Guid(
            bytes(ffi.buffer(ffi.addressof(getattr(lib, name))))
        )
        for name in dir(lib)
        if name.startswith(_NATIVE_PREFIX)
    }


@cache
def _names() -> dict[bytes, str]:
    return {guid.data: name for name, guid in named_guids().items()}


def guid_name(guid: Guid) -> str:
    """The header's name of guid, or its text."""
    return _names().get(guid.data) or str(guid)
