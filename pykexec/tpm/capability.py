# SPDX-License-Identifier: Apache-2.0
"""What the TPM says of itself: TPM2_GetCapability (Part 3, 30.2)."""

from __future__ import annotations

import struct

from pykexec.errors import TpmError
from pykexec.tpm.banks import bank_name
from pykexec.tpm.command import Command, execute
from pykexec.tpm.constants import Capability, CommandCode, Property
from pykexec.tpm.transport import Transmit
from pykexec.tpm.wire import Reader

_NR_MAX = 254  # MAX_CAP_HANDLES of a response of 1 KiB
_HANDLES_MAX = 4096  # No TPM has so many.
_BANKS_MAX = 16
_INDEX_MASK = (1 << 24) - 1


def handles(transmit: Transmit, first: int, last: int | None = None) -> list[int]:
    """Handles that exist in [first, last], all that follow of its type without last."""
    end = last & _INDEX_MASK if last is not None else _INDEX_MASK
    found: list[int] = []
    while True:
        more, reader = _ask(transmit, Capability.HANDLES, first, _NR_MAX)
        listed = [reader.u32() for _ in range(_count(reader, _NR_MAX))]
        reader.end()
        # A session has the type that it has, whatever was asked for (Part 2, 7.2).
        indexes = [handle & _INDEX_MASK for handle in listed]
        if indexes != sorted(set(indexes)) or (indexes and indexes[0] < first & _INDEX_MASK):
            raise _misfit()
        found += [handle for handle in listed if handle & _INDEX_MASK <= end]
        if not more or not indexes or indexes[-1] >= end:
            return found
        if len(found) > _HANDLES_MAX:
            raise _misfit()
        first += indexes[-1] + 1 - (first & _INDEX_MASK)


def active_banks(transmit: Transmit) -> tuple[str, ...]:
    """Names of the PCR banks that have registers, in the TPM's order: ("sha256",)."""
    _, reader = _ask(transmit, Capability.PCRS, 0, _BANKS_MAX)
    banks = []
    for _ in range(_count(reader, _BANKS_MAX)):
        algorithm = reader.u16()
        if any(reader.take(reader.u8())):
            banks.append(bank_name(algorithm))
    reader.end()
    return tuple(banks)


def tpm_property(transmit: Transmit, which: Property) -> int | None:
    """A fixed or variable property, None when the TPM does not have it."""
    _, reader = _ask(transmit, Capability.TPM_PROPERTIES, which, 1)
    if not _count(reader, 1):
        return None
    got, value = reader.u32(), reader.u32()
    reader.end()
    return value if got == which else None


def _ask(transmit: Transmit, what: Capability, first: int, count: int) -> tuple[bool, Reader]:
    question = struct.pack(">III", what, first, count)
    reader = execute(transmit, Command(CommandCode.GET_CAPABILITY, rest=question)).reader
    more = bool(reader.u8())
    if reader.u32() != what:
        raise _misfit()
    return more, reader


def _count(reader: Reader, maximum: int) -> int:
    if (count := reader.u32()) > maximum:
        raise _misfit()
    return count


def _misfit() -> TpmError:
    title = CommandCode.GET_CAPABILITY.title
    return TpmError(f"{title}: response does not fit the question")
