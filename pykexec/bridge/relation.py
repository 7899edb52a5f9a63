# SPDX-License-Identifier: Apache-2.0
"""Which device of Linux is which handle of the firmware, as far as bridges have made it one."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

from pykexec.bridge.links import Volume, volumes
from pykexec.efi.device_path import HARD_DRIVE, HARD_DRIVE_FORMAT
from pykexec.firmware.handles import Handle

_FACTS = ("node", "interface", "resource_manager")
"""What bridges publish that is a name for Linux' side."""


def linux_names(
    handles: Iterable[Handle], records: Iterable[dict[str, Any]], sysfs: str = "/sys"
) -> dict[int, tuple[str, ...]]:
    """Linux' names by handle number, for what bridges serve and the partitions on it."""
    handles = list(handles)
    by_number = {handle.number: handle for handle in handles}
    found: dict[int, tuple[str, ...]] = {}
    for record in records:
        names = tuple(str(record[fact]) for fact in _FACTS if record.get(fact))
        disk = by_number.get(record["handle"])
        if names and disk:
            found[disk.number] = names
        if names and disk and record["kind"] == "block":
            parts = volumes(names[0].removeprefix("/dev/"), sysfs)
            found |= _partitions(disk, handles, parts, record["block_size"])
    return found


def _partitions(
    disk: Handle, handles: Iterable[Handle], parts: list[Volume], block_size: int
) -> dict[int, tuple[str, ...]]:
    """Partitions that firmware and Linux agree about: the same place on the same disk."""
    nodes = {(part.start, part.size): f"/dev/{part.node}" for part in parts if part.number}
    prefix = disk.path.nodes if disk.path else ()
    found: dict[int, tuple[str, ...]] = {}
    for handle in handles:
        path = handle.path.nodes if handle.path else ()
        if not prefix or path[:-1] != prefix or path[-1].kind != HARD_DRIVE:
            continue
        if len(path[-1].data) != struct.calcsize(HARD_DRIVE_FORMAT):
            continue
        _, start, size, *_ = struct.unpack(HARD_DRIVE_FORMAT, path[-1].data)
        if node := nodes.get((start * block_size, size * block_size)):
            found[handle.number] = (node,)
    return found
