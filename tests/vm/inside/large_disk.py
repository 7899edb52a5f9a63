# SPDX-License-Identifier: Apache-2.0
"""Has the firmware serve a disk of block shape, of so many MiB (the argument), whose ends are
known, and reads these back through it. Prints JSON: what came back, and where the disk may lie.
"""

import json
import os
import sys

from pykexec._native import lib
from pykexec.firmware.devices import read_block_info, read_blocks
from pykexec.firmware.info import read_memory_map
from pykexec.firmware.mailbox import Mailbox
from pykexec.kexec.ramdisk import add, open_image, remove

FILE = "/tmp/large"
BOOT_SERVICES_DATA = lib.EFI_BOOT_SERVICES_DATA
size = int(sys.argv[1]) << 20

with open(FILE, "wb") as file, Mailbox() as mailbox:
    file.truncate(size)
    os.pwrite(file.fileno(), b"first", 0)
    os.pwrite(file.fileno(), b"last", size - 512)
    with open_image(FILE) as image:
        disk = add(mailbox, image, shape="block")
    info = read_block_info(mailbox, disk.handle)
    ends = [
        read_blocks(mailbox, disk.handle, info.media_id, lba, 512)
        for lba in (0, info.nr_blocks - 1)
    ]
    held = [row.range for row in read_memory_map(mailbox) if row.type == BOOT_SERVICES_DATA]
    remove(mailbox, disk.number)
print(
    json.dumps(
        {
            "size": info.size,
            "ends": [data.rstrip(b"\0").decode() for data in ends],
            "places": [range_.start for range_ in held if range_.end - range_.start >= size],
        }
    )
)
