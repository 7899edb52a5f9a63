# SPDX-License-Identifier: Apache-2.0
"""What the manufacturer left in the TPM's storage: certificates and templates of EKs.

TPM 2.0 Library Specification, Part 3, 31; TCG EK Credential Profile 2.5, 2.2.1.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterable

from pykexec.tpm.banks import bank_name
from pykexec.tpm.capability import tpm_property
from pykexec.tpm.command import Command, Password, execute
from pykexec.tpm.constants import CommandCode, Handle, NvAttribute, Property
from pykexec.tpm.entity import Entity
from pykexec.tpm.public import name_of
from pykexec.tpm.transport import Transmit
from pykexec.tpm.wire import Reader, WireError

log = logging.getLogger(__name__)

ISSUERS_MAX = 7
_SIZE_MAX = 16 << 10
_BUFFER_MIN = 512  # PC Client Platform TPM Profile 1.05, 4.5.
_BUFFER_MAX = 2048
_BUFFER_LEAST = 64  # Less would take forever.
_SEQUENCE = 0x30
_PADDING = b"\0\xff"
_STORED_CERTIFICATE = b"\x10\x01\x00"
_STORED_HEADER_SIZE = len(_STORED_CERTIFICATE) + 2
_FULL_CERTIFICATE = b"\x10\x02"


def read_nv(transmit: Transmit, index: int) -> bytes:
    """The contents of an index that anybody may read; b"" if nobody ever wrote it."""
    entity, attributes, size = _read_public(transmit, index)
    if not attributes & NvAttribute.WRITTEN:
        return b""
    # TPMs say how much they give at once; it is asked only if it matters.
    step = min(size, _BUFFER_MIN)
    if size > _BUFFER_MIN:
        stated = tpm_property(transmit, Property.NV_BUFFER_MAX) or _BUFFER_MIN
        step = min(max(stated, _BUFFER_LEAST), _BUFFER_MAX)
    by_index = attributes & NvAttribute.AUTH_READ
    reads_by = entity if by_index else Entity.of(Handle.OWNER)
    data = b""
    while len(data) < size:
        wanted = min(step, size - len(data))
        question = struct.pack(">HH", wanted, len(data))
        command = Command(CommandCode.NV_READ, (reads_by, entity), rest=question)
        reader = execute(transmit, command, [Password()]).reader
        part = reader.sized()
        reader.end()
        if len(part) != wanted:
            raise WireError(f"{reader.what}: {len(part)} bytes instead of {wanted}")
        data += part
    return data


def read_certificate(transmit: Transmit, index: int) -> bytes:
    """The certificate in an index (DER), without what pads it; b"" if there is none."""
    found = split_certificates(read_nv(transmit, index))
    if not found:
        log.warning("TPM: NV index %#x holds no certificate", index)
    return found[0] if found else b""


def read_issuers(transmit: Transmit, indexes: Iterable[int]) -> tuple[bytes, ...]:
    """Certificates of the EK certificates' issuers (DER), as many as fit a message of ours.

    They are one sequence that is continued from index to index (2.2.1.5.2).
    """
    data = b""
    for index in sorted(indexes):
        if len(data) > _SIZE_MAX:
            break
        data += read_nv(transmit, index)
    return tuple(split_certificates(data)[:ISSUERS_MAX])


def split_certificates(data: bytes) -> list[bytes]:
    """DER structures one after the other, padding between them; what is cut off is left out.

    Some manufacturers write TPM 1.2's header before each (TCG PC Client Implementation
    Specification for Conventional BIOS 1.21, 7.3.2): a tag, that it is whole, its size; a tag.
    """
    found = []
    offset = 0
    while offset < len(data):
        if data.startswith(_STORED_CERTIFICATE, offset):
            offset += _STORED_HEADER_SIZE
            if data.startswith(_FULL_CERTIFICATE, offset):
                offset += len(_FULL_CERTIFICATE)
            continue
        if data[offset] in _PADDING:
            offset += 1
            continue
        end = _der_end(data, offset)
        if end is None:
            break
        found.append(data[offset:end])
        offset = end
    return found


def _der_end(data: bytes, offset: int) -> int | None:
    """Where the SEQUENCE at offset ends (X.690, 8.1.3); None if it is none or does not end."""
    if len(data) - offset < 4 or data[offset] != _SEQUENCE:
        return None
    length, start = data[offset + 1], offset + 2
    if length & 0x80:
        nr_bytes = length & 0x7F
        if not 1 <= nr_bytes <= 2:  # Indefinite, or larger than any index.
            return None
        length = int.from_bytes(data[start : start + nr_bytes], "big")
        start += nr_bytes
    return start + length if start + length <= len(data) else None


def _read_public(transmit: Transmit, index: int) -> tuple[Entity, int, int]:
    """TPM2_NV_ReadPublic: Name, attributes and size."""
    command = Command(CommandCode.NV_READ_PUBLIC, (Entity.of(index),))
    reader = execute(transmit, command).reader
    area, name = reader.sized(), reader.sized()
    reader.end()
    public = Reader(area, reader.what)
    got, hash_name, attributes = public.u32(), bank_name(public.u16()), public.u32()
    public.sized()
    size = public.u16()
    public.end()
    try:
        fits = got == index and name == name_of(hash_name, area)
    except (KeyError, ValueError):
        fits = False
    if not fits or size > _SIZE_MAX:
        raise WireError(f"{reader.what} does not fit the question")
    return Entity(index, name), attributes, size
