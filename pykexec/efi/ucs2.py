# SPDX-License-Identifier: Apache-2.0
"""UCS-2, as UEFI writes text (UEFI 2.10, 1.8.1)."""

from __future__ import annotations

from pykexec.errors import FormatError


def encode_ucs2(text: str) -> bytes:
    """UCS-2 with its terminator; FormatError on what UCS-2 cannot say."""
    if "\0" in text or any(ord(char) > 0xFFFF for char in text):
        raise FormatError(f"{text!r} cannot be written in UCS-2")
    return (text + "\0").encode("utf-16-le", "surrogatepass")


def decode_ucs2(data: bytes) -> str:
    """UCS-2 up to its terminator or the end; an odd last byte is ignored."""
    text = data[: len(data) & ~1].decode("utf-16-le", "replace")
    return text.partition("\0")[0]
