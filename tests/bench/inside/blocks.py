# SPDX-License-Identifier: Apache-2.0
"""Prints as JSON how long the reads of csrc/payload/blockread.c take through the mailbox."""

import json
import sys
import time

from pykexec.firmware.devices import read_block_info, read_blocks
from pykexec.firmware.info import read_info
from pykexec.firmware.mailbox import Mailbox


def read(box: Mailbox, size: int, nr_reads: int) -> float:
    """Seconds for so many reads from the start of the image's own volume."""
    volume = read_info(box).boot_volume
    info = read_block_info(box, volume)
    start = time.monotonic()
    for number in range(nr_reads):
        read_blocks(box, volume, info.media_id, number * size // info.block_size, size)
    return time.monotonic() - start


with Mailbox() as mailbox:
    size, nr_reads = map(int, sys.argv[1:])
    read(mailbox, size, nr_reads)  # fills the caches of the machine below
    seconds = read(mailbox, size, nr_reads)
    print(json.dumps({"seconds": seconds, "tsc_khz": read_info(mailbox).tsc_khz}))
