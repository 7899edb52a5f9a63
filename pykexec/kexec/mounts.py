# SPDX-License-Identifier: Apache-2.0
"""What is mounted where: to find a file's volume, and to let go of all before Linux ends."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass

from pykexec.bridge import SOCKET
from pykexec.errors import FirmwareError, UsageError
from pykexec.log import describe, drain_console

log = logging.getLogger(__name__)

MOUNTINFO = "/proc/self/mountinfo"
_MNT_DETACH = 2  # sys/mount.h


@dataclass(frozen=True, slots=True)
class Mount:
    """A row of /proc/self/mountinfo: root is the directory of the file system shown at target."""

    device: str
    root: str
    target: str
    fstype: str
    source: str


def parse_mountinfo(text: str) -> list[Mount]:
    """The rows of mountinfo, in mounting order (proc(5))."""
    mounts = []
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        _, _, device, root, target, *_ = left.split(" ")
        fstype, source, *_ = right.split(" ")
        mounts.append(Mount(device, _unescape(root), _unescape(target), fstype, _unescape(source)))
    return mounts


def _unescape(text: str) -> str:
    for char in " \t\n\\":
        text = text.replace(f"\\{ord(char):03o}", char)
    return text


def read_mounts() -> list[Mount]:
    """The mounts of this process."""
    with open(MOUNTINFO, encoding="utf-8", errors="surrogateescape") as file:
        return parse_mountinfo(file.read())


def find_mount(path: str, mounts: Iterable[Mount]) -> Mount:
    """The mount that path lies on: of those with the longest target the last."""
    best: Mount | None = None
    for mount in mounts:
        inside = path == mount.target or path.startswith(mount.target.rstrip("/") + "/")
        if inside and (best is None or len(mount.target) >= len(best.target)):
            best = mount
    if best is None:
        raise UsageError(f"{path}: lies on no mount")
    return best


def settle() -> None:
    """Write everything out, unmount what lies on devices (what is busy is detached), end bridges.

    Nothing is left on its way through a bridge when Linux ends, and every NIC is shut down.
    """
    from pykexec._native import lib

    os.sync()
    for mount in reversed(read_mounts()):
        if mount.source.startswith("/dev/") and mount.target != "/":
            lib.pk_umount2(os.fsencode(mount.target), _MNT_DETACH)
    os.sync()
    # The hand-over does not wait for imports that it has no use for.
    if not os.path.exists(SOCKET):
        return
    from pykexec.bridge import supervisor

    drain_console()  # Firmware that gets its NICs back prints of it.
    try:
        for row in supervisor.stop():
            log.warning("%s", row["fault"] or f"{row['name']}: is still {row['state']}")
    except FirmwareError as error:
        log.warning("%s", describe(error))  # The stub takes the devices back in any case.
