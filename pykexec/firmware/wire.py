# SPDX-License-Identifier: Apache-2.0
"""Bytes of the mailbox: abi's structs, with errors that name what was asked for."""

from __future__ import annotations

import errno
from enum import IntEnum

from pykexec import abi
from pykexec.errors import FirmwareError, FormatError


def struct_size(name: str) -> int:
    """sizeof(struct name)."""
    return abi.sizeof(f"struct {name}")


def pack(name: str, **members: int) -> bytes:
    """A struct of abi.h with these members set and the others zero."""
    return abi.pack(f"struct {name}", **members)


def unpack(name: str, data: bytes | memoryview, offset: int, what: str) -> abi.Struct:
    """The struct at offset of an answer; FirmwareError, naming what, if it is cut off."""
    try:
        return abi.unpack(f"struct {name}", data, offset)
    except FormatError:
        raise answer_error(what, offset, f"{name} is cut off") from None


def answer_error(what: str, offset: int, fault: str) -> FirmwareError:
    """The firmware's answer makes no sense: EPROTO, with the offset of the fault."""
    return FirmwareError(errno.EPROTO, f"bad answer: offset {offset}: {fault}", what)


def align8(size: int) -> int:
    """size with the padding that records have."""
    return (size + 7) & ~7


def enum_word(kind: type[IntEnum], value: int) -> str:
    """A member as people write it, BOOT_NEXT is boot-next; a value that is none as a number."""
    try:
        return kind(value).name.lower().replace("_", "-")
    except ValueError:
        return str(value)


def enum_member(kind: type[IntEnum], word: str) -> IntEnum:
    """The reverse of enum_word(); KeyError for a word that is none."""
    return kind[word.upper().replace("-", "_")]
