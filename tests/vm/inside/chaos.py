# SPDX-License-Identifier: Apache-2.0
"""Kill bridges at random while their disks are written to, read and synced; prints what came of it.

Arguments: seconds, seed, and a mounted directory for each disk that is written to. What is said to
have been synced tests/vm/test_chaos.py looks for on the disks.
"""

import json
import os
import random
import signal
import sys
import time

from pykexec.bridge import state

NR_SLOTS = 48
PAGE = 4096
PAGES_MAX = 24
PAUSE_MAX_S = 1.5


def content(slot: int, index: int, size: int) -> bytes:
    """What record number index puts into the file slot; the test has the same."""
    return b"".join(
        f"{slot} {index} {page}\n".encode().ljust(PAGE, b".") for page in range(size // PAGE)
    )


def write(path: str, data: bytes) -> None:
    """It is on the disk when this comes back."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    finally:
        os.close(fd)


def read(path: str) -> bytes:
    """From the disk, not from memory."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        return b"".join(iter(lambda: os.read(fd, 1 << 16), b""))
    finally:
        os.close(fd)


def load(directory: str, seed: int, until: float) -> dict[str, object]:
    """Write and sync files, and read others, until it is time; what was synced, by file."""
    chance = random.Random(seed)
    synced: dict[int, tuple[int, int]] = {}
    errors: list[str] = []
    index = 0
    while time.monotonic() < until and not errors:
        index += 1
        slot, size = chance.randrange(NR_SLOTS), PAGE * chance.randint(1, PAGES_MAX)
        try:
            write(f"{directory}/{slot}", content(slot, index, size))
            synced[slot] = index, size
            other = chance.choice(list(synced))
            if read(f"{directory}/{other}") != content(other, *synced[other]):
                errors.append(f"{directory}/{other}: not what was written")
        except OSError as error:
            errors.append(str(error))
    return {"synced": synced, "errors": errors, "nr_writes": index}


def start(directory: str, seed: int, until: float) -> tuple[int, int]:
    """load() in a process of its own: its number, and where its JSON comes from."""
    result, said = os.pipe()
    child = os.fork()
    if child == 0:
        with os.fdopen(said, "w") as file:
            json.dump(load(directory, seed, until), file)
        os._exit(0)
    os.close(said)
    return child, result


def kill(chance: random.Random, until: float) -> int:
    """Kill one bridge or several, now and then; how many."""
    nr_killed = 0
    while time.monotonic() < until:
        time.sleep(chance.uniform(0, PAUSE_MAX_S))
        found = [record["pid"] for record in state.records() if record["pid"]]
        for pid in chance.sample(found, min(len(found), chance.choice((1, 1, 1, 2, 3)))):
            try:
                os.kill(pid, signal.SIGKILL)
                nr_killed += 1
            except ProcessLookupError:
                pass  # It has just been killed, and its successor not published itself yet.
    return nr_killed


seconds, seed = float(sys.argv[1]), int(sys.argv[2])
until = time.monotonic() + seconds
loads = {path: start(path, seed + n, until) for n, path in enumerate(sys.argv[3:])}
results: dict[str, object] = {"nr_killed": kill(random.Random(seed), until)}
for path, (child, result) in loads.items():
    with os.fdopen(result) as file:
        results[path] = json.load(file)
    os.waitpid(child, 0)
print(json.dumps(results))
