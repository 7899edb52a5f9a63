# SPDX-License-Identifier: Apache-2.0
"""Reading PCRs: TPM2_PCR_Read (TPM 2.0 Library Specification, Part 3, 22.4)."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from pykexec.errors import TpmError
from pykexec.tpm.eventlog import NR_PCRS, HashAlgorithm
from pykexec.tpm.transport import Transmit

_NO_SESSIONS = 0x8001
_CC_PCR_READ = 0x17E
_HEADER = ">HII"
_SELECT_SIZE = NR_PCRS // 8


def read_pcrs(transmit: Transmit, bank: str, numbers: Iterable[int]) -> dict[int, bytes]:
    """The values of these registers of a bank; those that the TPM does not have are left out."""
    algorithm = HashAlgorithm[bank.upper()]
    wanted = set(numbers)
    found: dict[int, bytes] = {}
    while wanted:
        selected, values = _read_some(transmit, algorithm, wanted)
        # A bank that is not active reads as nothing.
        if not selected:
            break
        found.update(zip(sorted(selected), values, strict=True))
        wanted -= selected
    return found


def _selection(algorithm: int, numbers: set[int]) -> bytes:
    """TPML_PCR_SELECTION of one bank."""
    bits = sum(1 << number for number in numbers)
    return struct.pack(">IHB", 1, algorithm, _SELECT_SIZE) + bits.to_bytes(_SELECT_SIZE, "little")


def _read_some(
    transmit: Transmit, algorithm: int, numbers: set[int]
) -> tuple[set[int], list[bytes]]:
    """One command: the TPM chooses how many it answers at once."""
    body = _selection(algorithm, numbers)
    size = struct.calcsize(_HEADER) + len(body)
    response = transmit(struct.pack(_HEADER, _NO_SESSIONS, size, _CC_PCR_READ) + body)
    try:
        return _decode(response, algorithm, numbers)
    except struct.error:
        raise TpmError(f"TPM2_PCR_Read: response of {len(response)} bytes is cut off") from None


def _decode(response: bytes, algorithm: int, numbers: set[int]) -> tuple[set[int], list[bytes]]:
    _, _, code = struct.unpack_from(_HEADER, response)
    if code:
        raise TpmError(f"TPM2_PCR_Read: TPM error {code:#x}")
    layout = f">10x4xIHB{_SELECT_SIZE}sI"
    nr_banks, got_algorithm, select_size, bits, nr_values = struct.unpack_from(layout, response)
    chosen = int.from_bytes(bits, "little")
    selected = {number for number in range(NR_PCRS) if chosen >> number & 1}
    shape = (nr_banks, got_algorithm, select_size, nr_values)
    if shape != (1, algorithm, _SELECT_SIZE, len(selected)) or not selected <= numbers:
        raise TpmError("TPM2_PCR_Read: response does not fit the question")
    offset = struct.calcsize(layout)
    values = []
    for _ in range(nr_values):
        (size,) = struct.unpack_from(">H", response, offset)
        (value,) = struct.unpack_from(f"{size}s", response, offset + 2)
        values.append(value)
        offset += 2 + size
    return selected, values
