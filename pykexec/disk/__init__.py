# SPDX-License-Identifier: Apache-2.0
"""What is on disks: partition tables and file systems, as far as we read and write them."""

from __future__ import annotations

import os
from collections.abc import Callable

_OFFSET_MAX = 2**63 - 1  # off_t
_READ_MAX = 1 << 24

Reader = Callable[[int, int], bytes]
"""Reads (offset, size) of a disk or file; fewer bytes come where it ends."""

SecretReader = Callable[[int, memoryview], int]
"""Reads from an offset on into memory that is wiped, and nowhere else; how many bytes came."""


def reader(fd: int) -> Reader:
    """Of a file or a block device; nothing comes from where no disk can have any, nor of sizes that
    nobody of ours asks for: both may be what a disk says.
    """

    def read(offset: int, size: int) -> bytes:
        return os.pread(fd, size, offset) if _is_sane(offset, size) else b""

    return read


def secret_reader(fd: int) -> SecretReader:
    """As reader(), for bytes that are secret."""

    def read(offset: int, out: memoryview) -> int:
        return os.preadv(fd, [out], offset) if _is_sane(offset, len(out)) else 0

    return read


def _is_sane(offset: int, size: int) -> bool:
    return 0 <= offset <= _OFFSET_MAX and 0 <= size <= _READ_MAX
