# SPDX-License-Identifier: Apache-2.0
"""Registers: reading and extending them (TPM 2.0 Library Specification, Part 3, 22)."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping

from pykexec.errors import TpmError
from pykexec.tpm.banks import NR_PCRS, HashAlgorithm, bank_name
from pykexec.tpm.command import Command, Password, execute
from pykexec.tpm.constants import CommandCode
from pykexec.tpm.entity import Entity
from pykexec.tpm.transport import Transmit
from pykexec.tpm.wire import Reader, sized

_SELECT_SIZE = NR_PCRS // 8
_EVENT_MAX = 1024  # TPM2B_EVENT


def bank_algorithm(bank: str) -> HashAlgorithm:
    """That of a bank's name; TpmError for a name that is none."""
    try:
        return HashAlgorithm[bank.upper()]
    except KeyError:
        raise TpmError(f"{bank!r}: there is no such PCR bank") from None


def selection(bank: str, pcrs: Iterable[int]) -> bytes:
    """TPML_PCR_SELECTION of registers of one bank."""
    numbers = set(pcrs)
    if not numbers <= set(range(NR_PCRS)):
        raise TpmError(f"there is no PCR {min(numbers - set(range(NR_PCRS)))}")
    bits = sum(1 << number for number in numbers)
    head = struct.pack(">IHB", 1, bank_algorithm(bank), _SELECT_SIZE)
    return head + bits.to_bytes(_SELECT_SIZE, "little")


def read_pcrs(transmit: Transmit, bank: str, numbers: Iterable[int]) -> dict[int, bytes]:
    """The values of these registers of a bank; those that the TPM does not have are left out."""
    wanted = set(numbers)
    found: dict[int, bytes] = {}
    while wanted:
        # The TPM chooses how many it answers at once.
        some = _read_some(transmit, bank, wanted)
        # A bank that is not active reads as nothing.
        if not some:
            break
        found.update(some)
        wanted -= some.keys()
    return dict(sorted(found.items()))


def extend(transmit: Transmit, pcr: int, digests: Mapping[str, bytes]) -> None:
    """TPM2_PCR_Extend with a digest for each bank; the TPM ignores banks that are not active."""
    rest = struct.pack(">I", len(digests))
    for bank, digest in digests.items():
        algorithm = bank_algorithm(bank)
        if len(digest) != _digest_size(bank):
            raise TpmError(f"PCR {pcr}: {len(digest)} bytes are no digest of bank {bank}")
        rest += struct.pack(">H", algorithm) + digest
    command = Command(CommandCode.PCR_EXTEND, (Entity.of(pcr),), rest=rest)
    execute(transmit, command, [Password()]).reader.end()


def event(transmit: Transmit, pcr: int, data: bytes) -> dict[str, bytes]:
    """TPM2_PCR_Event: extend with the digests of data in all banks; what they are, by bank."""
    if len(data) > _EVENT_MAX:
        raise TpmError(f"PCR {pcr}: an event has {_EVENT_MAX} bytes at most, not {len(data)}")
    command = Command(CommandCode.PCR_EVENT, (Entity.of(pcr),), rest=sized(data))
    reader = execute(transmit, command, [Password()]).reader
    digests = {}
    for _ in range(reader.u32()):
        bank = bank_name(reader.u16())
        digests[bank] = reader.take(_digest_size(bank))
    reader.end()
    return digests


def _digest_size(bank: str) -> int:
    try:
        return hashlib.new(bank).digest_size
    except ValueError:
        raise TpmError(f"bank {bank}: the size of its digests is not known") from None


def _read_some(transmit: Transmit, bank: str, numbers: set[int]) -> dict[int, bytes]:
    command = Command(CommandCode.PCR_READ, rest=selection(bank, numbers))
    reader = execute(transmit, command).reader
    reader.u32()  # How often a register has changed.
    selected = _selected(reader, bank)
    shape = reader.u32()
    if shape != len(selected) or not selected <= numbers:
        raise _misfit(reader)
    values = [reader.sized() for _ in selected]
    reader.end()
    if any(len(value) != _digest_size(bank) for value in values):
        raise _misfit(reader)
    return dict(zip(sorted(selected), values, strict=True))


def _selected(reader: Reader, bank: str) -> set[int]:
    if (reader.u32(), reader.u16(), reader.u8()) != (1, bank_algorithm(bank), _SELECT_SIZE):
        raise _misfit(reader)
    chosen = int.from_bytes(reader.take(_SELECT_SIZE), "little")
    return {number for number in range(NR_PCRS) if chosen >> number & 1}


def _misfit(reader: Reader) -> TpmError:
    return TpmError(f"{reader.what} does not fit the question")
