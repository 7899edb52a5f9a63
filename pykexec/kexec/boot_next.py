# SPDX-License-Identifier: Apache-2.0
"""On a normally booted machine: name a file on the ESP in BootNext, for the next start."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

from pykexec.abi import Limit
from pykexec.efi.device_path import DevicePath
from pykexec.efi.device_path_node import file_node, hard_drive_node
from pykexec.efi.efivarfs import EFIVARFS, StrPath
from pykexec.efi.guid import GUID_SIZE, Guid
from pykexec.efi.ucs2 import encode_ucs2
from pykexec.efi.variables import LOAD_OPTION_ACTIVE, LoadOption, set_boot_next
from pykexec.errors import FormatError, UsageError
from pykexec.kexec.mounts import Mount, find_mount, read_mounts
from pykexec.kexec.request import linux_chunks

DESCRIPTION = "pykexec payload"
_FIRMWARE_FILE_SYSTEMS = ("vfat", "msdos")


@dataclass(frozen=True, slots=True)
class Partition:
    """A GPT partition, in logical blocks."""

    number: int
    guid: Guid
    start_lba: int
    nr_lbas: int


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
    if mount.fstype not in _FIRMWARE_FILE_SYSTEMS:
        raise UsageError(f"{path}: lies on {mount.fstype}; the firmware reads FAT (the ESP) only")
    partition = _partition(path, Path("/sys/dev/block") / mount.device)
    file = efi_path(real, mount)
    drive = hard_drive_node(
        partition.number, partition.start_lba, partition.nr_lbas, partition.guid
    )
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


def _partition(path: str, device: Path) -> Partition:
    try:
        number = int((device / "partition").read_text())
        disk = (device / "..").resolve()
        block_size = int((disk / "queue" / "logical_block_size").read_text())
        return gpt_partition(Path("/dev") / disk.name, block_size, number)
    except FileNotFoundError:
        raise UsageError(f"{path}: lies on no disk partition") from None


def gpt_partition(disk: Path, block_size: int, number: int) -> Partition:
    """Entry number of the disk's GPT (UEFI 2.10, 5.3); FormatError if it has none."""
    with open(disk, "rb") as file:
        file.seek(block_size)
        header = file.read(92)
        if header[:8] != b"EFI PART":
            raise FormatError(f"{disk}: no GPT")
        first_lba, nr_entries, entry_size = struct.unpack_from("<QII", header, 72)
        if not 1 <= number <= nr_entries:
            raise FormatError(f"{disk}: GPT has no entry {number}")
        file.seek(first_lba * block_size + (number - 1) * entry_size)
        entry = file.read(48)
    if len(entry) < 48 or not any(entry[:GUID_SIZE]):
        raise FormatError(f"{disk}: GPT entry {number} is empty")
    guid, first, last = struct.unpack_from("<16sQQ", entry, GUID_SIZE)
    return Partition(number, Guid(guid), first, last - first + 1)
