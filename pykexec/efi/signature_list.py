# SPDX-License-Identifier: Apache-2.0
"""EFI_SIGNATURE_LIST (UEFI 2.10, 32.4.1): what PK, KEK, db and dbx hold, and updates of them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pykexec.efi.guid import GUID_SIZE, Guid
from pykexec.errors import FormatError

SHA256 = Guid.parse("c1c41626-504c-4092-aca9-41f936934328")
X509 = Guid.parse("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")
SECURITY_DATABASE = Guid.parse("d719b2cb-3d3a-4596-a3bc-dad00e67656f")
"""EFI_IMAGE_SECURITY_DATABASE_GUID, the vendor of db and dbx."""

_HEADER = "<16sIII"
_HEADER_SIZE = struct.calcsize(_HEADER)
_TIME_SIZE = 16
_CERTIFICATE = "<IHH"
_REVISION, _TYPE_GUID = 0x0200, 0x0EF1


@dataclass(frozen=True, slots=True)
class SignatureList:
    """Signatures of one type and size; each begins with its owner's GUID."""

    type: Guid
    header: bytes
    signature_size: int
    signatures: tuple[bytes, ...]

    def __bytes__(self) -> bytes:
        size = _HEADER_SIZE + len(self.header) + self.signature_size * len(self.signatures)
        head = struct.pack(_HEADER, self.type.data, size, len(self.header), self.signature_size)
        return head + self.header + b"".join(self.signatures)

    @property
    def values(self) -> tuple[bytes, ...]:
        """The signatures without their owners: certificates in DER, or digests."""
        return tuple(signature[GUID_SIZE:] for signature in self.signatures)


def parse_signature_lists(data: bytes, source: str) -> tuple[SignatureList, ...]:
    """Decode a variable's content; FormatError, which names source, to the last byte."""
    return tuple(_lists(data, source))


def _lists(data: bytes, source: str) -> Iterator[SignatureList]:
    offset = 0
    while offset < len(data):
        if len(data) - offset < _HEADER_SIZE:
            raise FormatError(f"{source}: offset {offset}: signature list is cut off")
        _, size, header_size, each = struct.unpack_from(_HEADER, data, offset)
        start, end = offset + _HEADER_SIZE + header_size, offset + size
        if not start <= end <= len(data):
            raise FormatError(f"{source}: offset {offset}: signature list of {size} bytes")
        if each <= GUID_SIZE or (end - start) % each:
            raise FormatError(f"{source}: offset {offset}: signatures of {each} bytes")
        yield SignatureList(
            Guid(data[offset : offset + GUID_SIZE]),
            data[offset + _HEADER_SIZE : start],
            each,
            tuple(data[at : at + each] for at in range(start, end, each)),
        )
        offset = end


def without_authentication(data: bytes) -> bytes:
    """The content of an update file: what follows EFI_VARIABLE_AUTHENTICATION_2 (8.2.2), if that
    leads it.
    """
    if len(data) < _TIME_SIZE + struct.calcsize(_CERTIFICATE):
        return data
    length, revision, type_ = struct.unpack_from(_CERTIFICATE, data, _TIME_SIZE)
    if (revision, type_) != (_REVISION, _TYPE_GUID) or _TIME_SIZE + length > len(data):
        return data
    return data[_TIME_SIZE + length :]


def appended(old: bytes, new: bytes, source: str) -> bytes:
    """The content after SetVariable() with EFI_VARIABLE_APPEND_WRITE (8.2): old, and what of new
    it has not yet.

    EDK II's FilterSignatureList(): a signature is known if a list of its type and size has it, of
    the same owner; what is left of each new list follows as a list of its own.
    """
    known = {
        (found.type, signature)
        for found in parse_signature_lists(old, source)
        for signature in found.signatures
    }
    result = old
    for added in parse_signature_lists(new, source):
        fresh = tuple(each for each in added.signatures if (added.type, each) not in known)
        if fresh:
            result += bytes(replace(added, signatures=fresh))
    return result
