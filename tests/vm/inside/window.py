# SPDX-License-Identifier: Apache-2.0
"""Reads of the boot disk by window and by mailbox, and descriptors that must be refused."""

from __future__ import annotations

import hashlib
import json
import os
import time
from typing import Any

from pykexec._native import ffi, lib
from pykexec.abi import Op
from pykexec.bridge.window import Port, find_window, open_port
from pykexec.firmware.devices import read_block_info
from pykexec.firmware.handles import list_handles
from pykexec.firmware.mailbox import Mailbox

MIB = 1 << 20
DATA_SIZE = 4 * MIB


def transfer(port: Port, **members: int) -> dict[str, int]:
    """What became of one descriptor."""
    descriptor = ffi.new("struct pk_descriptor[1]", [members])
    result = lib.pk_port_transfer(port.pointer, descriptor, 1)
    return {
        "errno": -result,
        "status": descriptor[0].status & 0xFF,
        "result": descriptor[0].result,
    }


def digest(port: Port, handle: int, size: int) -> tuple[str, float]:
    """SHA-256 of the disk's first size bytes, and how long reading took, in ms."""
    start = time.monotonic()
    done = transfer(port, op=Op.BLOCK_READ, handle=handle, size=size, media_id=MEDIA_ID)
    spent = time.monotonic() - start
    assert done == {"errno": 0, "status": 0, "result": size}, done
    return hashlib.sha256(ffi.buffer(port.data, size)).hexdigest(), spent * 1000


def last_digest(port: Port, handle: int) -> str:
    """SHA-256 of the disk's first MiB, read to the end of the data area."""
    offset = port.data_size - MIB
    read = {"op": Op.BLOCK_READ, "handle": handle, "media_id": MEDIA_ID}
    done = transfer(port, **read, offset=offset, size=MIB)
    assert done == {"errno": 0, "status": 0, "result": MIB}, done
    return hashlib.sha256(ffi.buffer(port.data + offset, MIB)).hexdigest()


def refused(port: Port, handle: int, nr_blocks: int) -> dict[str, Any]:
    """Descriptors that ask for too much, or of nobody."""
    read = {"op": Op.BLOCK_READ, "handle": handle, "media_id": MEDIA_ID}
    return {
        "no such handle": transfer(port, op=Op.BLOCK_READ, handle=4000, size=512),
        "half a block": transfer(port, **read, size=100),
        "behind the end": transfer(port, **read, lba=nr_blocks, size=512),
        "over the end": transfer(port, **read, lba=nr_blocks - 1, size=1024),
        "lba wraps": transfer(port, **read, lba=2**64 - 1, size=1024),
        "old medium": transfer(port, **{**read, "media_id": MEDIA_ID + 7}, size=512),
        "no descriptor's op": transfer(port, op=Op.LEAVE),
    }


def size_of(window: str) -> int:
    """Bytes, as Linux has it."""
    with open(f"/sys/bus/dax/devices/{os.path.basename(window)}/size", encoding="ascii") as file:
        return int(file.read())


def hostile(port: Port, handle: int) -> dict[str, int]:
    """What only a client that goes round pk_port_transfer() can post: the stub's own checks."""
    with open("/proc/self/maps", encoding="ascii") as file:
        mapping = next(line for line in file if "/dev/dax" in line)
    window = ffi.cast("u8 *", int(mapping.partition("-")[0], 16))
    # The last channel is nobody's: ports take the first ones.
    channel = ffi.cast("struct pk_channel *", window + 4096 * lib.PK_WINDOW_CHANNELS)
    header = ffi.cast("struct pk_window *", window)
    counters = header.counters[lib.PK_WINDOW_CHANNELS - 1]
    found = {}
    for name, offset, size in (
        ("header", 0, 512),
        ("channels", lib.PK_WINDOW_DATA - 512, 512),
        ("behind", header.size, 512),
        ("across the end", header.size - 512, 1024),
        ("wraps", 2**64 - 512, 1024),
    ):
        slot = counters.posted % lib.PK_CHANNEL_DEPTH
        channel.descriptors[slot] = {
            "op": Op.BLOCK_READ, "handle": handle, "media_id": MEDIA_ID,
            "offset": offset, "size": size, "status": 0xAA,
        }  # fmt: skip
        counters.posted += 1
        transfer(port, op=Op.BLOCK_FLUSH, handle=handle)  # rings
        found[name] = channel.descriptors[slot].status & 0xFF
    counters.posted += 1000
    transfer(port, op=Op.BLOCK_FLUSH, handle=handle)
    found["served after nonsense"] = int(counters.served == counters.posted)
    return found


with Mailbox() as mailbox:
    disk = next(each for each in list_handles(mailbox, "block_io") if each.kind == "disk")
    info = read_block_info(mailbox, disk.number)
MEDIA_ID = info.media_id
WINDOW_SIZE = size_of(find_window() or "")
with open_port(WINDOW_SIZE - lib.PK_WINDOW_DATA) as port:
    last = last_digest(port, disk.number)
with open_port(DATA_SIZE) as port, open_port(MIB, by_mailbox=True) as slow:
    by_window, window_ms = digest(port, disk.number, MIB)
    by_mailbox, mailbox_ms = digest(slow, disk.number, MIB)
    start = time.monotonic()
    for _ in range(200):
        transfer(port, op=Op.BLOCK_READ, handle=disk.number, size=4096, media_id=MEDIA_ID)
    small_us = (time.monotonic() - start) / 200 * 1e6
    start = time.monotonic()
    for _ in range(32):
        transfer(port, op=Op.BLOCK_READ, handle=disk.number, size=MIB, media_id=MEDIA_ID)
    large_ms = (time.monotonic() - start) / 32 * 1e3
    print(
        json.dumps(
            {
                "is_window": port.is_window,
                "size": WINDOW_SIZE,
                "last": last,
                "same": by_window == by_mailbox,
                "digest": by_window,
                "ms": [window_ms, mailbox_ms, large_ms],
                "small_us": small_us,
                "refused": refused(port, disk.number, info.nr_blocks),
                "hostile": hostile(port, disk.number),
            }
        )
    )
