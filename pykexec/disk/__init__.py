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
        if not 0 <= offset <= _OFFSET_MAX or not 0 <= size <= _READ_MAX:
            return b""
        return os.pread(fd, size, offset)

    return read
