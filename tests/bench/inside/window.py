# SPDX-License-Identifier: Apache-2.0
"""Prints how fast descriptors alone are on the scratch disks: the bridge without a block device.

Lines like those of diskbench.c; requests "at once" are descriptors of one bell.
"""

import random
import sys
import time

from pykexec._native import ffi, lib
from pykexec.abi import Op
from pykexec.bridge.window import Port, open_port
from pykexec.firmware.devices import BlockInfo, read_block_info, read_blocks
from pykexec.firmware.handles import list_handles
from pykexec.firmware.info import read_info
from pykexec.firmware.mailbox import Mailbox

MIB = 1 << 20
# From csrc/payload/bench.h, by whoever starts this.
MAGIC = sys.argv[1].encode()
NR_ROUNDS, AREA_START, AREA_SIZE = map(int, sys.argv[2:])
# Size, depth, requests.
WORKS = [(MIB, 1, 32), (MIB, 4, 32), (4096, 1, 256), (4096, 32, 1024)]


def measure(
    port: Port, handle: int, info: BlockInfo, write: bool, work: tuple[int, int, int]
) -> float:
    """Seconds that the work takes; descriptors are made before."""
    size, depth, nr = work
    places = random.Random(nr)
    bells = []
    for first in range(0, nr, depth):
        bell = ffi.new("struct pk_descriptor[]", depth)
        for i in range(depth):
            place = places.randrange(AREA_SIZE // size) if size < MIB else first + i
            bell[i].op = Op.BLOCK_WRITE if write else Op.BLOCK_READ
            bell[i].handle, bell[i].media_id = handle, info.media_id
            bell[i].lba = (AREA_START + place * size) // info.block_size
            bell[i].offset, bell[i].size = i * size, size
        bells.append(bell)
    start = time.monotonic()
    for bell in bells:
        result = lib.pk_port_transfer(port.pointer, bell, depth)
        assert result == 0, result
    spent = time.monotonic() - start
    assert all(d.status == 0 and d.result == size for bell in bells for d in bell)
    return spent


with Mailbox() as box, open_port(4 * MIB) as port:
    tsc_khz = read_info(box).tsc_khz
    for handle in list_handles(box, "block_io"):
        info = read_block_info(box, handle.number)
        if info.logical_partition or not info.present:
            continue
        head = read_blocks(box, handle.number, info.media_id, 0, info.block_size)
        if not head.startswith(MAGIC):
            continue
        disk = head[len(MAGIC)] - ord("0")
        for write in (False, True):
            for work in WORKS:
                for _ in range(NR_ROUNDS):
                    ticks = int(measure(port, handle.number, info, write, work) * tsc_khz * 1000)
                    size, depth, nr = work
                    print(f"BENCH:block:{disk:x}:{write:x}:{size:x}:{depth:x}:{nr:x}:{ticks:x}")
print("BENCH:end:0")
