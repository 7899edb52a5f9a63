# SPDX-License-Identifier: Apache-2.0
"""Write blocks of 4 KiB at random places of a node, sync, say so, and so on until the power is cut.

Arguments: node, blocks of it that are used, writes between syncs. tests/vm/test_block.py makes the
same sequence from the same seed. Half of the rounds go by the page cache, half past it; blocks
are read back now and then.
"""

import os
import random
import sys

from pykexec._native import ffi

SIZE = 4096
SEED = 7
node, nr_blocks, step = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def content(index: int) -> bytes:
    """What write number index puts into its block."""
    return index.to_bytes(8, "little") * (SIZE // 8)


memory = bytearray(2 * SIZE)
start = -int(ffi.cast("uintptr_t", ffi.from_buffer(memory))) % SIZE
page = memoryview(memory)[start : start + SIZE]
direct, cached = os.open(node, os.O_RDWR | os.O_DIRECT), os.open(node, os.O_RDWR)
chance = random.Random(SEED)
last: dict[int, int] = {}
index = 0
while True:
    by_cache = index // step % 2
    for _ in range(step):
        index += 1
        block = chance.randrange(nr_blocks)
        last[block] = index
        page[:] = content(index)
        os.pwritev(cached if by_cache else direct, [page], block * SIZE)
    os.fsync(cached)
    wrong = [b for b in list(last)[::7] if os.pread(cached, SIZE, b * SIZE) != content(last[b])]
    print(f"wrong:{len(wrong)} synced:{index}", flush=True)
