# SPDX-License-Identifier: Apache-2.0
"""Small TCG event logs that tests start from and then spoil; layouts as specified."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

SHA1, SHA256, SHA384 = 0x0004, 0x000B, 0x000C
NO_ACTION, SEPARATOR, IPL = 3, 4, 13
NAMES = {SHA1: "sha1", SHA256: "sha256", SHA384: "sha384"}


def sha1_entry(pcr: int, type_: int, data: bytes, digest: bytes | None = None) -> bytes:
    """TCG_PCClientPCREvent."""
    digest = hashlib.sha1(data).digest() if digest is None else digest
    return struct.pack("<II20sI", pcr, type_, digest, len(data)) + data


def algorithm_list(algorithms: Sequence[int]) -> bytes:
    """The digestSizes of a specification ID event."""
    sizes = ((a, hashlib.new(NAMES[a]).digest_size if a in NAMES else 32) for a in algorithms)
    return b"".join(struct.pack("<HH", *pair) for pair in sizes)


def spec_id(algorithms: Sequence[int] = (SHA1, SHA256), count: int | None = None) -> bytes:
    """The first entry of a crypto agile log; count says something else than the truth if given."""
    count = len(algorithms) if count is None else count
    head = struct.pack("<16sIBBBBI", b"Spec ID Event03", 0, 0, 2, 105, 2, count)
    return sha1_entry(0, NO_ACTION, head + algorithm_list(algorithms) + b"\0", bytes(20))


def agile_entry(
    pcr: int, type_: int, data: bytes, algorithms: Sequence[int] = (SHA1, SHA256)
) -> bytes:
    """TCG_PCR_EVENT2."""
    digests = b"".join(
        struct.pack("<H", a) + hashlib.new(NAMES[a], data).digest() for a in algorithms
    )
    head = struct.pack("<III", pcr, type_, len(algorithms))
    return head + digests + struct.pack("<I", len(data)) + data


ENTRIES = [
    agile_entry(0, NO_ACTION, b"StartupLocality\0\x03"),
    agile_entry(0, 8, "1.0\0".encode("utf-16-le")),
    agile_entry(4, SEPARATOR, bytes(4)),
    agile_entry(9, IPL, b"grub_cmd: boot\0"),
]
"""Entries of a crypto agile log, without its first."""

AGILE_LOG = b"".join([spec_id(), *ENTRIES])
LAST = len(AGILE_LOG) - len(ENTRIES[-1])
"""Where the last entry begins."""

SHA1_LOG = sha1_entry(4, SEPARATOR, bytes(4)) + sha1_entry(9, IPL, b"boot")
SHA1_LAST = len(SHA1_LOG) - len(sha1_entry(9, IPL, b"boot"))
