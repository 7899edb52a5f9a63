# SPDX-License-Identifier: Apache-2.0
"""Direct I/O on a node (first argument), an operation an argument; prints what each came to.

r:OFFSET:SIZE reads (SHA-256 of what came), w:OFFSET:SIZE:BYTE writes, b:OFFSET:SIZE:BYTE writes by
the page cache, s syncs; "" is success, anything else the name of an errno. The second argument is
how many seconds an operation may take.
"""

import errno
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial

from pykexec._native import ffi

ALIGNMENT = 4096
node, limit_s, *operations = sys.argv[1:]


def aligned(size: int) -> memoryview:
    """Memory that a disk can read into."""
    memory = bytearray(size + ALIGNMENT)
    start = -int(ffi.cast("uintptr_t", ffi.from_buffer(memory))) % ALIGNMENT
    return memoryview(memory)[start : start + size]


def attempt(step: Callable[[], str]) -> str:
    """What step returns, or the errno's name; too slow is worse than wrong."""
    started = time.monotonic()
    try:
        result = step()
    except OSError as error:
        result = errno.errorcode[error.errno or 0]
    spent_s = time.monotonic() - started
    return result if spent_s <= float(limit_s) else f"{result} after {spent_s:.1f} s"


def open_node(flags: int) -> int:
    """A descriptor; what cannot be written to is opened to be read."""
    try:
        return os.open(node, os.O_RDWR | flags)
    except OSError:
        return os.open(node, os.O_RDONLY | flags)


def run(operation: str) -> str:
    """Carry out one operation."""
    kind, *words = operation.split(":")
    numbers = [int(word, 0) for word in words]
    fd = cached if kind in "bs" else direct
    if kind == "s":
        os.fsync(fd)
        return ""
    buffer = aligned(numbers[1])
    if kind == "r":
        size = os.preadv(fd, [buffer], numbers[0])
        return hashlib.sha256(buffer[:size]).hexdigest()
    buffer[:] = bytes([numbers[2]]) * numbers[1]
    size = os.pwritev(fd, [buffer], numbers[0])
    return "" if size == numbers[1] else f"{size} bytes"


try:
    direct, cached = open_node(os.O_DIRECT), open_node(0)
except OSError as fault:
    print(json.dumps([errno.errorcode[fault.errno or 0]] * len(operations)))
else:
    print(json.dumps([attempt(partial(run, operation)) for operation in operations]))
