# SPDX-License-Identifier: Apache-2.0
"""Kill the server of a ublk device while many requests are under way, again and again.

Arguments: how many times. Prints how many it were when the kernel still lived. Also where the
bridges would rather not use ublk: that is what this is to find out.
"""

import os
import random
import signal
import sys
import time

from pykexec._native import ffi
from pykexec.bridge import child, disk_device, state, supervisor

NR_READERS = 6
SIZE = 1 << 17


def read_for_ever(node: str, seed: int) -> None:
    """Random places, past the page cache; errors are no matter here."""
    memory = bytearray(2 * SIZE)
    start = -int(ffi.cast("uintptr_t", ffi.from_buffer(memory))) % 4096
    page = memoryview(memory)[start : start + SIZE]
    fd = os.open(node, os.O_RDONLY | os.O_DIRECT)
    nr_pieces = os.lseek(fd, 0, os.SEEK_END) // SIZE
    chance = random.Random(seed)
    while True:
        os.preadv(fd, [page], chance.randrange(nr_pieces) * SIZE)


def served() -> dict[str, int]:
    """Disks that are up, by name: who serves them."""
    return {record["name"]: record["pid"] for record in state.records(kind="block")}


supervisor.stop()  # The agent's, which has other ideas.
disk_device.FAULTY_UBLK = ()
child.PAUSES_S = (0.0,)
(row,) = supervisor.ensure("block")
readers = []
for seed in range(NR_READERS):
    if (reader := os.fork()) == 0:
        read_for_ever(row["node"], seed)
    readers.append(reader)
chance = random.Random(0)
for number in range(1, int(sys.argv[1]) + 1):
    time.sleep(chance.uniform(0, 0.15))
    pid = served()[row["name"]]
    os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + 60
    while served().get(row["name"]) in (pid, None):
        assert time.monotonic() < until, f"no bridge after kill number {number}"
        time.sleep(0.02)
    if number % 10 == 0:
        print(f"kills:{number}", flush=True)
for reader in readers:
    os.kill(reader, signal.SIGKILL)
    os.waitpid(reader, 0)
print(f"kills:{sys.argv[1]} done", flush=True)
