# SPDX-License-Identifier: Apache-2.0
"""Banks of registers, which are called as their hash algorithms are: "sha256"."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from enum import IntEnum
from functools import cache, partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import _Hash

NR_PCRS = 24


class HashAlgorithm(IntEnum):
    """TPM_ALG_ID (TCG Algorithm Registry); names in lower case are those of banks."""

    SHA1 = 0x0004
    SHA256 = 0x000B
    SHA384 = 0x000C
    SHA512 = 0x000D
    SM3_256 = 0x0012
    SHA3_256 = 0x0027
    SHA3_384 = 0x0028
    SHA3_512 = 0x0029


def bank_name(algorithm: int) -> str:
    """ "sha256" for 0x000b; the number in hex for an algorithm without a name."""
    try:
        return HashAlgorithm(algorithm).name.lower()
    except ValueError:
        return f"{algorithm:#06x}"


@cache
def hash_of(bank: str) -> Callable[[bytes], _Hash]:
    """hashlib's function for a bank, which hashlib.new() would look up by its name at every call;
    ValueError, when it is called, for one that cannot be computed here.
    """
    known = bank in hashlib.algorithms_guaranteed
    found: Callable[[bytes], _Hash]
    found = getattr(hashlib, bank) if known else partial(hashlib.new, bank)
    return found
