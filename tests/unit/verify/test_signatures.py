# SPDX-License-Identifier: Apache-2.0
"""Databases of Secure Boot: machines of one kind share what was read of them, within bounds."""

from __future__ import annotations

import struct

from pykexec.efi.signature_list import SHA256
from pykexec.verify.signatures import parse_signatures

_HASH_SIZE = 32


def database(count: int) -> bytes:
    """An EFI_SIGNATURE_LIST of so many hashes (UEFI 2.10, 32.4.1)."""
    entries = b"".join(bytes(16) + number.to_bytes(_HASH_SIZE) for number in range(count))
    size = 16 + _HASH_SIZE
    return SHA256.data + struct.pack("<III", 28 + len(entries), 0, size) + entries


def test_a_database_is_read_once() -> None:
    data = database(2)
    assert parse_signatures(data) is parse_signatures(bytes(bytearray(data)))
    assert parse_signatures(data).hashes == ("00" * 32, "00" * 31 + "01")


def test_one_that_is_larger_than_any_is_read_but_not_kept() -> None:
    data = database(2000)
    first = parse_signatures(data)
    assert first == parse_signatures(data)
    assert first is not parse_signatures(data)
