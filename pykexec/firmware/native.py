# SPDX-License-Identifier: Apache-2.0
"""The kernel's own bus of firmware handles: which of its drivers serves which, as which device.

Kernels with the series in kernel-patches/ have it; each handle is a directory "handle<number>".
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass

SYSFS = "/sys"
OFF = "/run/pykexec/native-off"
"""Is there when the configuration wants bridges in place of the kernel's drivers."""

_BUS = "bus/efi-bootsvc"
_CLASSES = {"block": ("block",), "net": ("net",), "tpm": ("tpm", "tpmrm")}
"""The directories below a handle in which devices of each kind are."""


@dataclass(frozen=True, slots=True)
class Device:
    """A handle that a driver of the kernel serves; names are those of Linux' devices for it."""

    handle: int
    driver: str
    kind: str
    names: tuple[str, ...]

    @property
    def nodes(self) -> tuple[str, ...]:
        """The same as programs name them: paths below /dev, or an interface."""
        return self.names if self.kind == "net" else tuple(f"/dev/{name}" for name in self.names)


def is_there(sysfs: str = SYSFS) -> bool:
    """Does the kernel show the firmware's handles on a bus?"""
    return bool(handles(sysfs))


def handles(sysfs: str = SYSFS) -> list[int]:
    """The numbers of all handles on the bus."""
    try:
        names = os.listdir(f"{sysfs}/{_BUS}/devices")
    except OSError:
        return []
    return sorted(int(match[1]) for name in names if (match := re.fullmatch(r"handle(\d+)", name)))


def devices(sysfs: str = SYSFS) -> list[Device]:
    """What the kernel's drivers serve now, by handle number."""
    return [found for number in handles(sysfs) if (found := device(number, sysfs))]


def device(handle: int, sysfs: str = SYSFS) -> Device | None:
    """What a driver of the kernel made of the handle; None where none did."""
    root = _path(handle, sysfs)
    try:
        driver = os.path.basename(os.readlink(f"{root}/driver"))
    except OSError:
        return None
    for kind, classes in _CLASSES.items():
        if names := [name for each in classes for name in _listed(f"{root}/{each}")]:
            return Device(handle, driver, kind, tuple(names))
    return None


def with_protocol(guid: str, sysfs: str = SYSFS) -> list[int]:
    """The handles that have a protocol, whose GUID is given as text."""
    found = []
    for number in handles(sysfs):
        with suppress(OSError), open(f"{_path(number, sysfs)}/protocols", encoding="ascii") as file:
            if guid in file.read().split():
                found.append(number)
    return found


def rescan(sysfs: str = SYSFS) -> None:
    """Have the bus see what the mailbox made appear or go, and its drivers take it."""
    if is_allowed():
        _write(f"{sysfs}/{_BUS}/rescan", "1")


def bind(handle: int, sysfs: str = SYSFS) -> None:
    """Offer the handle to the drivers that are loaded."""
    _write(f"{sysfs}/{_BUS}/drivers_probe", f"handle{handle}")


def unbind(handle: int, sysfs: str = SYSFS) -> None:
    """Take the handle from the driver that serves it, if one does: its devices go away."""
    _write(f"{_path(handle, sysfs)}/driver/unbind", f"handle{handle}")


def allow(yes: bool, path: str = OFF) -> None:
    """Have every process of this boot use, or leave alone, what the kernel can do by itself."""
    if yes:
        with suppress(FileNotFoundError):
            os.unlink(path)
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb"):
        pass


def is_allowed(path: str = OFF) -> bool:
    """May the kernel's own drivers, and its kexec of EFI applications, be used?"""
    return not os.path.exists(path)


def _path(handle: int, sysfs: str) -> str:
    return f"{sysfs}/{_BUS}/devices/handle{handle}"


def _listed(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def _write(path: str, text: str) -> None:
    """What was refused, or is not there, shows in what is bound afterwards."""
    with suppress(OSError), open(path, "w", encoding="ascii") as file:
        file.write(text)
