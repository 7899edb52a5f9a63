# SPDX-License-Identifier: Apache-2.0
"""Which device of Linux is which handle of the firmware, and whether a bridge makes it one."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pykexec.bridge import NATIVE
from pykexec.bridge.links import Volume, volumes
from pykexec.efi.device_path_node import HARD_DRIVE, HARD_DRIVE_FORMAT
from pykexec.firmware.handles import Handle
from pykexec.firmware.native import Device

_FACTS = ("node", "interface", "resource_manager")
"""What bridges publish that is a name for Linux' side."""


@dataclass(frozen=True, slots=True)
class Way:
    """A device of Linux; driver is the kernel's own one, "" where a bridge serves it."""

    name: str
    kind: str
    handle: int
    driver: str
    linux: tuple[str, ...]

    @property
    def native(self) -> bool:
        """Does the kernel serve it by itself?"""
        return bool(self.driver)


def ways(records: Iterable[dict[str, Any]], devices: Iterable[Device]) -> list[Way]:
    """How Linux has the firmware's devices: what supervisor and bridges say, and what is besides.

    The kernel's drivers may have taken devices that nobody has asked the supervisor for yet.
    """
    found = []
    for record in records:
        driver = str(record["driver"]) if record.get("by") == NATIVE else ""
        linux = _names(record)
        found.append(Way(record["name"], record["kind"], record["handle"], driver, linux))
    known = {way.handle for way in found if way.native}
    for device in devices:
        if device.handle not in known:
            name = f"handle{device.handle}"
            found.append(Way(name, device.kind, device.handle, device.driver, device.nodes))
    return found


def _names(record: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(record[fact]) for fact in _FACTS if record.get(fact))


def linux_names(
    handles: Iterable[Handle], records: Iterable[dict[str, Any]], sysfs: str = "/sys"
) -> dict[int, tuple[str, ...]]:
    """Linux' names by handle number, for what bridges serve and the partitions on it."""
    handles = list(handles)
    by_number = {handle.number: handle for handle in handles}
    found: dict[int, tuple[str, ...]] = {}
    for record in records:
        names = _names(record)
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
