# SPDX-License-Identifier: Apache-2.0
"""On a normally booted machine: name a file on the ESP in BootNext, for the next start."""

from __future__ import annotations

import os
from pathlib import Path

from pykexec.abi import Limit
from pykexec.disk import reader
from pykexec.disk.gpt import Partition, read_gpt
from pykexec.efi.device_path import DevicePath
from pykexec.efi.device_path_node import Node, file_node, hard_drive_node
from pykexec.efi.efivarfs import EFIVARFS, StrPath
from pykexec.efi.ucs2 import encode_ucs2
from pykexec.efi.variables import LOAD_OPTION_ACTIVE, LoadOption, set_boot_next
from pykexec.errors import FormatError, UsageError
from pykexec.kexec.mounts import Mount, find_mount, read_mounts
from pykexec.kexec.request import linux_chunks

DESCRIPTION = "pykexec payload"
FIRMWARE_FILE_SYSTEMS = ("vfat", "msdos")
"""What Linux calls the file system that firmware reads (UEFI 2.10, 13.3)."""


def boot_next(path: str, options: str = "", root: StrPath = EFIVARFS) -> int:
    """Check path, create or replace the boot entry for it, set BootNext; the entry's number.

    UsageError if the firmware cannot reach the file, FormatError if it is no EFI application.
    """
    return set_boot_next(_load_option(path, options), root)


def _load_option(path: str, options: str) -> LoadOption:
    from pykexec.efi.pe import check_application

    real = os.path.realpath(path)
    check_application(b"".join(linux_chunks(path, Limit.PAYLOAD_MAX)), path)
    mount = find_mount(real, read_mounts())
    if mount.fstype not in FIRMWARE_FILE_SYSTEMS:
        raise UsageError(f"{path}: lies on {mount.fstype}; the firmware reads FAT (the ESP) only")
    drive = drive_node(partition_of(path, mount))
    file = efi_path(real, mount)
    return LoadOption(
        LOAD_OPTION_ACTIVE,
        DESCRIPTION,
        DevicePath((drive, file_node(file))),
        encode_ucs2(options) if options else b"",
    )


def efi_path(path: str, mount: Mount) -> str:
    """path as the firmware names it on its volume."""
    inner = os.path.normpath(f"{mount.root}/{os.path.relpath(path, mount.target)}")
    return "\\" + inner.strip("/").replace("/", "\\")


def reboot() -> None:
    """Into what BootNext names; where services run they are stopped before."""
    import shutil

    from pykexec._native import lib
    from pykexec.run import run

    if shutil.which("reboot"):
        run(["reboot"])
    else:  # An initramfs has no services to stop.
        os.sync()
        lib.pk_reboot(lib.LINUX_REBOOT_CMD_RESTART)


def drive_node(partition: Partition) -> Node:
    """A GPT partition as boot options name it."""
    return hard_drive_node(
        partition.number, partition.first_lba, partition.nr_blocks, partition.guid
    )


def partition_of(path: str, mount: Mount) -> Partition:
    """Where path lies; UsageError, which names it, if that is no partition."""
    device = Path("/sys/dev/block") / mount.device
    try:
        number = int((device / "partition").read_text())
        disk = (device / "..").resolve()
        block_size = int((disk / "queue" / "logical_block_size").read_text())
        return gpt_partition(Path("/dev") / disk.name, block_size, number)
    except FileNotFoundError:
        raise UsageError(f"{path}: lies on no disk partition") from None


def gpt_partition(disk: Path, block_size: int, number: int) -> Partition:
    """Entry number of the disk's GPT; FormatError if it has none."""
    fd = os.open(disk, os.O_RDONLY | os.O_CLOEXEC)
    try:
        table = read_gpt(reader(fd), block_size, os.lseek(fd, 0, os.SEEK_END) // block_size)
    except FormatError as error:
        raise FormatError(f"{disk}: {error}") from None
    finally:
        os.close(fd)
    if table is None:
        raise FormatError(f"{disk}: no GPT")
    for partition in table.partitions:
        if partition.number == number:
            return partition
    raise FormatError(f"{disk}: GPT has no entry {number}")
