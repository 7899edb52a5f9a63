# SPDX-License-Identifier: Apache-2.0
"""Where a running Linux has what an image is installed with: EFI system partition and efivarfs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from pykexec.disk.gpt import ESP_TYPE, Partition
from pykexec.errors import FormatError, UsageError
from pykexec.install.change import Machine
from pykexec.install.nvram import Nvram
from pykexec.install.volume import MountedVolume
from pykexec.kexec.boot_next import FIRMWARE_FILE_SYSTEMS, drive_node, partition_of
from pykexec.kexec.mounts import Mount, find_mount, read_mounts

_USUAL = ("/efi", "/boot/efi", "/boot")


def find_machine(esp: str | None, report: Callable[[str], None]) -> Machine:
    """The machine that this Linux runs on; esp is the directory of the partition's root, None: the
    one that is mounted. UsageError where there is none, or more than one, or no efivarfs.
    """
    nvram = Nvram()
    if not os.path.isdir(nvram.root):
        raise UsageError(f"{nvram.root}: this Linux was not started by UEFI, or has no efivarfs")
    root, partition = _given(esp) if esp else _only(list(_mounted()))
    if not os.access(root, os.W_OK):
        raise UsageError(f"{root}: cannot be written")
    volume = MountedVolume(Path(root))
    return Machine(volume, nvram, drive_node(partition), partition.guid, report)


def _given(esp: str) -> tuple[str, Partition]:
    real = os.path.realpath(esp)
    mount = find_mount(real, read_mounts())
    if mount.fstype not in FIRMWARE_FILE_SYSTEMS or (mount.target, mount.root) != (real, "/"):
        raise UsageError(f"{esp}: is not where a FAT volume is mounted")
    return real, partition_of(esp, mount)


def _mounted() -> Iterator[tuple[str, Partition]]:
    for path in _USUAL:
        os.path.exists(f"{path}/EFI")  # Those that are mounted when somebody looks.
    seen = set()
    for mount in read_mounts():
        if _may_be(mount) and mount.device not in seen:
            seen.add(mount.device)
            try:
                partition = partition_of(mount.target, mount)
            except (FormatError, UsageError):
                continue  # A disk without GPT, or no partition, has none.
            if partition.type == ESP_TYPE:
                yield mount.target, partition


def _may_be(mount: Mount) -> bool:
    return mount.fstype in FIRMWARE_FILE_SYSTEMS and mount.root == "/"


def _only(found: list[tuple[str, Partition]]) -> tuple[str, Partition]:
    if len(found) == 1:
        return found[0]
    names = ", ".join(path for path, _ in found)
    fault = f"more than one is mounted: {names}" if found else "none is mounted"
    raise UsageError(f"EFI system partition: {fault}; say which by --esp")
