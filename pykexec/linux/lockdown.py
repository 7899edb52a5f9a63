# SPDX-License-Identifier: Apache-2.0
"""Linux' lockdown (kernel_lockdown(7)): how far this kernel is locked down, and asking for it.

Most distributions' kernels lock themselves down when they find Secure Boot on. Mainline's, and
those of distributions that leave it at that, wait until somebody asks.
"""

from __future__ import annotations

import errno
import os
import re

SECURITYFS = "sys/kernel/security"
INTEGRITY = "integrity"
NONE = "none"
_MODULES = f"{SECURITYFS}/lsm"
_LEVEL = f"{SECURITYFS}/lockdown"


def read_level(root: str = "/") -> str | None:
    """How far: none, integrity or confidentiality; None for a kernel that cannot be locked down.

    The file is there, and takes anything, in a kernel whose list of security modules (CONFIG_LSM,
    lsm=) leaves lockdown out.
    """
    try:
        if "lockdown" not in _read(root, _MODULES).strip().split(","):
            return None
        found = re.search(r"\[(\w+)\]", _read(root, _LEVEL))
    except FileNotFoundError:
        return None
    return found[1] if found else None


def lock_down(root: str = "/") -> None:
    """Have the kernel keep root from its own memory and what lies beside it, if it does not yet.

    OSError (ENOSYS) if it cannot, and any other if it does not.
    """
    level = read_level(root)
    if level is None:
        fault = (
            "this kernel cannot be locked down (CONFIG_SECURITY_LOCKDOWN_LSM, and lockdown in "
            "CONFIG_LSM): root would reach the firmware's memory"
        )
        raise OSError(errno.ENOSYS, fault)
    if level == NONE:
        with open(os.path.join(root, _LEVEL), "w", encoding="ascii") as file:
            file.write(INTEGRITY)


def _read(root: str, name: str) -> str:
    with open(os.path.join(root, name), encoding="ascii") as file:
        return file.read()
