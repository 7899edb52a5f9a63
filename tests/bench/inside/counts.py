# SPDX-License-Identifier: Apache-2.0
"""Prints as JSON what a busy host does not change: bells and changes of processes by request.

Arguments: how many scratch disks there are, and diskbench's number of rounds.
"""

import json
import subprocess
import sys

from pykexec.firmware.info import read_info
from pykexec.firmware.mailbox import Mailbox

NR_DISKS, NR_ROUNDS = map(int, sys.argv[1:])
# Size, depth, requests.
WORKS = [(1 << 20, 1, 16), (1 << 20, 4, 32), (4096, 1, 128), (4096, 32, 1024)]


def nr_changes() -> int:
    """Of processes, since Linux has started."""
    with open("/proc/stat", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("ctxt "))


def count(box: Mailbox, disk: int, write: bool, work: tuple[int, int, int]) -> dict[str, object]:
    """Have the work done; what it took, diskbench's own start included."""
    size, depth, nr = work
    words = [str(int(word)) for word in (write, size, depth, nr, disk)]
    bells, changes = read_info(box).nr_switches, nr_changes()
    subprocess.run(["/inside/diskbench", *words], check=True, stdout=subprocess.DEVNULL)
    changes = nr_changes() - changes
    bells = read_info(box).nr_switches - bells
    return {
        "disk": disk,
        "write": write,
        "size": size,
        "depth": depth,
        "bells": bells / nr / NR_ROUNDS,
        "changes": changes / nr / NR_ROUNDS,
    }


with Mailbox() as mailbox:
    found = [
        count(mailbox, disk, write, work)
        for disk in range(NR_DISKS)
        for write in (False, True)
        for work in WORKS
    ]
print(json.dumps(found))
