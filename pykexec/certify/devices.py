# SPDX-License-Identifier: Apache-2.0
"""Steps of disks: each is read, by the firmware and through its bridge; RAM disks, the stick."""

from __future__ import annotations

import hashlib
import os
import time
from typing import Any

from pykexec.certify.disguise import digest
from pykexec.certify.plan import AbsentError, Bench, Facts, StepError
from pykexec.certify.settings import SCRATCH_PATH
from pykexec.certify.stick import Blocks, open_file
from pykexec.errors import FirmwareError, PykexecError
from pykexec.firmware.handles import Handle, list_handles
from pykexec.log import describe

_PIECE = 1 << 20
_RAM_DISK = 1 << 20
_WAIT_S = 60.0


def disks(bench: Bench) -> Facts:
    """Read the beginning and the end of every disk; both ways must have the same bytes."""
    found = [each for each in list_handles(bench.mailbox, "block_io") if not each.is_partition]
    if not found:
        raise AbsentError("the firmware has no Block I/O")
    nodes = _bridged()
    rows = [_disk(bench, handle, nodes) for handle in found]
    faults = [f"{row['path']}: {row['fault']}" for row in rows if row.get("fault")]
    facts: Facts = {"count": len(rows), "disks": rows}
    if faults:
        raise StepError("; ".join(faults), facts)
    return facts


def _bridged() -> dict[int, dict[str, Any]]:
    """What Linux has of each disk, by its handle."""
    from pykexec.bridge.supervisor import ensure

    return {row["handle"]: row for row in ensure("block", wait_s=_WAIT_S) if row["kind"] == "block"}


def _disk(bench: Bench, handle: Handle, nodes: dict[int, dict[str, Any]]) -> Facts:
    row: Facts = {"handle": handle.number, "path": str(handle.path or "-")}
    try:
        blocks = Blocks(bench.mailbox, handle.number)
    except FirmwareError as error:
        return {**row, "medium": False, "words": describe(error)}
    info = blocks.info
    row |= {
        "medium": True,
        "bytes": info.size,
        "block_size": info.block_size,
        "read_only": info.read_only,
        "removable": info.removable,
        "write_caching": info.write_caching,
        "io_align": info.io_align,
    }
    try:
        begun = time.monotonic()
        first = blocks.read(0, _PIECE)
        spent = time.monotonic() - begun
        last = blocks.read(max(0, info.size - _PIECE), _PIECE)
        row["mib_per_s"] = round(len(first) / (1 << 20) / max(spent, 1e-6), 1)
        if bridge := nodes.get(handle.number):
            row |= _through_bridge(bridge, info.size, digest(first), digest(last))
    except (PykexecError, OSError) as error:
        row["fault"] = describe(error)
    return row


def _through_bridge(bridge: dict[str, Any], size: int, first: str, last: str) -> Facts:
    """The same bytes, as Linux' own device has them."""
    node = bridge.get("node")
    if not node:
        return {"fault": f"bridge: {bridge.get('fault') or bridge.get('state')}"}
    fd = os.open(node, os.O_RDONLY | os.O_CLOEXEC)
    try:
        begun = time.monotonic()
        beginning = os.pread(fd, _PIECE, 0)
        spent = time.monotonic() - begun
        end = os.pread(fd, _PIECE, max(0, size - _PIECE))
    finally:
        os.close(fd)
    facts: Facts = {"linux_mib_per_s": round(len(beginning) / (1 << 20) / max(spent, 1e-6), 1)}
    if (digest(beginning), digest(end)) != (first, last):
        facts["fault"] = f"{node} has other bytes than the firmware"
    return facts


def scratch(bench: Bench) -> Facts:
    """Write a file of the stick, and read it back anew; only if so asked."""
    if not bench.settings.write_scratch:
        raise AbsentError("nothing is written without --write-scratch")
    if not bench.info.boot_volume:
        raise AbsentError("the image came from no volume")
    area = open_file(Blocks(bench.mailbox, bench.info.boot_volume), SCRATCH_PATH, anew=True)
    data = os.urandom(area.size)
    begun = time.monotonic()
    area.write(0, data)
    spent = time.monotonic() - begun
    found = open_file(Blocks(bench.mailbox, bench.info.boot_volume), SCRATCH_PATH).read()
    facts: Facts = {"bytes": area.size, "mib_per_s": round(area.size / (1 << 20) / spent, 1)}
    if found != data:
        raise StepError("what was written is not what is read", facts)
    return facts


def ramdisk(bench: Bench) -> Facts:
    """Make a disk in the firmware's memory, read it as any other, take it away again."""
    from pykexec.kexec.ramdisk import Image, add, remove

    data = hashlib.shake_256(b"pykexec certify").digest(_RAM_DISK)
    image = Image("certify", len(data), lambda: iter((data,)))
    rows: list[Facts] = []
    for shape in ("ram-disk", "block"):
        disk = add(bench.mailbox, image, shape=shape)
        try:
            same = Blocks(bench.mailbox, disk.handle).read(0, len(data)) == data
        finally:
            remove(bench.mailbox, disk.number)
        rows.append({"shape": shape, "same": same})
    facts: Facts = {"bytes": len(data), "shapes": rows}
    if not all(row["same"] for row in rows):
        raise StepError("a RAM disk has other bytes than were put there", facts)
    return facts
