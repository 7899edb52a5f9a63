# SPDX-License-Identifier: Apache-2.0
"""Structures of the TPM as bytes, and the header of commands and responses (Part 1, 18)."""

from __future__ import annotations

import struct
from typing import TypeAlias

from pykexec.errors import TpmError
from pykexec.tpm.constants import CommandCode, Tag
from pykexec.tpm.response_code import ResponseError

Buffer: TypeAlias = bytes | bytearray | memoryview

HEADER_SIZE = 10
_HEADER = ">HII"


class WireError(TpmError):
    """Bytes are not the structure that they should be."""


class Reader:
    """Takes a structure's fields off bytes, in order; WireError where it is cut off."""

    __slots__ = ("_data", "_offset", "what")

    def __init__(self, data: bytes, what: str) -> None:
        self.what = what
        self._data = data
        self._offset = 0

    def take(self, size: int) -> bytes:
        """The next size bytes."""
        if size > len(self._data) - self._offset:
            raise WireError(f"{self.what}: {len(self._data)} bytes, it is cut off")
        start = self._offset
        self._offset += size
        return self._data[start : self._offset]

    def u8(self) -> int:
        """UINT8."""
        return int.from_bytes(self.take(1))

    def u16(self) -> int:
        """UINT16."""
        return int.from_bytes(self.take(2))

    def u32(self) -> int:
        """UINT32."""
        return int.from_bytes(self.take(4))

    def u64(self) -> int:
        """UINT64."""
        return int.from_bytes(self.take(8))

    def sized(self) -> bytes:
        """The contents of a TPM2B."""
        return self.take(self.u16())

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._data) - self._offset)

    def end(self) -> None:
        """Nothing may be left."""
        if left := len(self._data) - self._offset:
            raise WireError(f"{self.what}: {left} bytes too many, it does not fit")


def sized(data: Buffer) -> bytes:
    """A TPM2B of data; WireError for more than any has room for."""
    if len(data) > 0xFFFF:
        raise WireError(f"TPM2B: {len(data)} bytes are too many")
    return struct.pack(">H", len(data)) + data


def pack_command(code: CommandCode, body: bytes, tag: Tag = Tag.NO_SESSIONS) -> bytes:
    """A command: its header, and body as it is."""
    return struct.pack(_HEADER, tag, HEADER_SIZE + len(body), code) + body


def unpack_response(response: bytes, code: CommandCode, tag: Tag = Tag.NO_SESSIONS) -> bytes:
    """The response without its header.

    ResponseError for any code but success, WireError for what is no response to such a command.
    """
    if len(response) < HEADER_SIZE:
        raise WireError(f"{code.title}: response of {len(response)} bytes is cut off")
    got_tag, size, result = struct.unpack_from(_HEADER, response)
    if size != len(response):
        fault = "is cut off" if size > len(response) else "has more than it says"
        raise WireError(f"{code.title}: response of {len(response)} bytes {fault}")
    if result:
        raise ResponseError(code.title, result)
    if got_tag != tag:
        raise WireError(f"{code.title}: response with tag {got_tag:#x} does not fit the question")
    return response[HEADER_SIZE:]


def response_code(response: bytes) -> int | None:
    """Its TPM_RC; None for what is no response."""
    if len(response) < HEADER_SIZE:
        return None
    return int.from_bytes(response[6:HEADER_SIZE], "big")
