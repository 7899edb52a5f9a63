# SPDX-License-Identifier: Apache-2.0
"""Doors of the kernel that PID 1 closes under Secure Boot, before there is any other process.

The firmware is alive in memory that Linux does not count as its own. Lockdown keeps root from it,
and is asked for where the distribution's kernel does not lock itself down. But it knows nothing of
a firmware that is alive: what it lets in because it is signed still takes root's parameters. A
distribution's kernel, by kexec, takes a memory map. A module of that distribution may take an
address; lockdown refuses those parameters that somebody has marked, and has never been asked what
else maps memory that is no RAM. docs/threat-model.md has the list of all doors.
"""

from __future__ import annotations

import os

from pykexec._native import ffi, lib
from pykexec.linux.lockdown import lock_down
from pykexec.linux.modules import load_all
from pykexec.steps import attempt

_BOOT_PARAMS = "sys/kernel/boot_params/data"
_SERIES = "sys/bus/efi-bootsvc"
_KEXEC = "proc/sys/kernel/kexec_load_disabled"
_MODULES = "proc/sys/kernel/modules_disabled"


def close_doors(root: str = "/") -> list[str]:
    """Lock down, close kexec and modules, for good, unless Secure Boot is off; which modules are
    missing.

    Before that the image's own modules are loaded, whatever asks for them later: the image vouches
    for them, and not every distribution signs its own. A kernel with the series in kernel-patches/
    keeps what it does natively: kexec of EFI applications, and drivers that take what they serve as
    soon as they are loaded. OSError when a door stays open: nobody may be let in then.
    """
    if is_secure_boot_off(root):
        return []
    if os.path.isdir(os.path.join(root, _SERIES)):
        lock_down(root)
        from pykexec.kexec.native import takes_applications

        if not takes_applications():
            _close(root, _KEXEC)
        return []
    faults: list[str] = []
    faults += attempt("modules", load_all, [], faults.append)
    lock_down(root)
    _close(root, _KEXEC)
    _close(root, _MODULES)
    return faults


def is_secure_boot_off(root: str = "/") -> bool:
    """Did the kernel's EFI stub find Secure Boot off? Who cannot tell must not count on it."""
    try:
        with open(os.path.join(root, _BOOT_PARAMS), "rb") as file:
            data = file.read()
    except OSError:
        return False
    return bool(lib.pk_secure_boot_is_off(ffi.from_buffer(data), len(data)))


def _close(root: str, name: str) -> None:
    try:
        with open(os.path.join(root, name), "w", encoding="ascii") as file:
            file.write("1")
    except FileNotFoundError:
        pass  # This kernel has no such door.
