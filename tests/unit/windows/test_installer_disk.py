# SPDX-License-Identifier: Apache-2.0
"""The disk of an installer reaches the firmware whole, or nothing of it stays there."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from pykexec import abi
from pykexec.abi import MemoryType, Op
from pykexec.abi_devices import RamdiskFlag
from pykexec.config.wim import WimConfig, WimPart
from pykexec.disk import boot_disk
from pykexec.disk.fat_reader import FatVolume
from pykexec.efi.device_path import DevicePath
from pykexec.efi.guid import named_guids
from pykexec.errors import FirmwareError, FormatError
from pykexec.firmware.mailbox import Mailbox, Reply, Request
from pykexec.firmware.wire import align8, pack, struct_size, unpack
from pykexec.windows.winpe import STARTED, installer_disk
from tests.support.installer import make_installer
from tests.unit.image.inputs import pe_bytes

WIM = WimConfig(WimPart("boot.wim"))
DISK = "VenHw(01234567-89ab-cdef-0123-456789abcdef)/Ata(Primary,Master,0x0)"
VOLUME = f"{DISK}/HD(1,MBR,0x12345678,0x80,0x10000)"
ELSEWHERE = "PciRoot(0x0)/Pci(0x3,0x0)/HD(1,MBR,0x12345678,0x80,0x10000)"
NUMBER, HANDLE = 5, 77
MIB = 1 << 20


class Firmware(Mailbox):
    """A firmware with so much free memory, and a volume on each of its disks."""

    def __init__(self, root: Path, free: int = 1 << 30) -> None:
        (root / f"PykexecMailbox-{named_guids()['pykexec_mailbox']}").touch()
        super().__init__(root)
        self.free = free
        self.disk = bytearray()
        self.flags = RamdiskFlag(0)
        self.volumes = [ELSEWHERE, VOLUME]

    def call(self, requests: Sequence[Request]) -> list[Reply]:
        return [Reply(each.op, 0, self.answer(Op(each.op), each.body)) for each in requests]

    def answer(self, op: Op, body: bytes) -> bytes:
        match op:
            case Op.MEMORY_MAP:
                row = struct.pack(
                    "<I4xQ8xQQ", MemoryType.CONVENTIONAL_MEMORY, 1 << 32, self.free >> 12, 0
                )
                return pack("pk_memory_map_reply", descriptor_size=40, nr_descriptors=1) + row
            case Op.RAMDISK_CREATE:
                asked = unpack("pk_ramdisk_request", body, 0, "x")
                self.disk, self.flags = bytearray(asked.size), RamdiskFlag(asked.flags)
            case Op.RAMDISK_DATA:
                head, data = unpack("pk_ramdisk_data", body, 0, "x"), body[16:]
                self.disk[head.offset : head.offset + len(data)] = data
                return b""
            case Op.RAMDISK_REGISTER:
                self.flags |= RamdiskFlag.REGISTERED
            case Op.RAMDISK_REMOVE:
                self.disk = bytearray()
                return b""
            case Op.RAMDISK_LIST if not self.disk:
                return b""
            case Op.HANDLES:
                return self.handles()
            case Op.CONNECT:
                return b""
        return self.entry()

    def entry(self) -> bytes:
        kind = named_guids()["virtual_disk"].data
        handle = HANDLE if self.flags & RamdiskFlag.REGISTERED else 0
        return abi.pack(
            "struct pk_ramdisk_entry",
            ramdisk=NUMBER,
            handle=handle,
            size=len(self.disk),
            type=kind,
            flags=int(self.flags),
        )

    def handles(self) -> bytes:
        rows = [(HANDLE, "block_io", DISK)]
        rows += [(n, "simple_file_system", text) for n, text in enumerate(self.volumes, 1)]
        entries = b""
        for handle, protocol, text in rows:
            path = bytes(DevicePath.from_text(text))
            tail = named_guids()[protocol].data + path
            size = align8(struct_size("pk_handle_entry") + len(tail))
            head = pack("pk_handle_entry", size=size, handle=handle, nr_protocols=1,
                        device_path_size=len(path))  # fmt: skip
            entries += (head + tail).ljust(size, b"\0")
        return pack("pk_handles_reply", nr_entries=len(rows), nr_handles=len(rows)) + entries


@pytest.fixture(name="files")
def files_fixture(tmp_path: Path) -> Path:
    directory = tmp_path / "winpe"
    directory.mkdir()
    make_installer(directory, pe_bytes(subsystem=10), "--check", size=2_000_000)
    return directory


def start(
    firmware: Firmware, files: Path, fault: Exception | None = None
) -> tuple[str, str | None]:
    manager = f"{files}/bootmgfw.efi"
    with installer_disk(firmware, manager, WIM, report=lambda line: None) as place:
        if fault:
            raise fault
        return place


def test_it_is_a_block_disk_of_ours_with_all_files(tmp_path: Path, files: Path) -> None:
    firmware = Firmware(tmp_path)
    assert start(firmware, files) == (STARTED, VOLUME)
    assert firmware.flags == RamdiskFlag.BLOCK | RamdiskFlag.REGISTERED
    start_of = boot_disk.PARTITION_SECTOR * 512
    disk = bytes(firmware.disk[start_of:])
    volume = FatVolume(lambda offset, size: disk[offset : offset + size], "disk")
    wim = (files / "boot.wim").read_bytes()
    assert volume.read_file(r"\sources\boot.wim", len(wim)) == wim
    assert volume.read_file(STARTED, 1 << 20) == (files / "bootmgfw.efi").read_bytes()


def test_where_it_does_not_fit_nothing_is_asked_for(tmp_path: Path, files: Path) -> None:
    firmware = Firmware(tmp_path, free=32 * MIB)
    wanted = r"3\d\.\d MiB of the firmware's memory are needed in one piece"
    fault = rf"{wanted}, and the largest that is free has 32 MiB: '{files}/boot\.wim'$"
    with pytest.raises(FirmwareError, match=fault) as caught:
        start(firmware, files)
    assert caught.value.errno == 12
    assert not firmware.flags and not firmware.disk


@pytest.fixture(name="no_bridges")
def no_bridges_fixture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who takes a disk away asks the supervisor first, which this machine need not have."""
    monkeypatch.setattr("pykexec.bridge.supervisor.release", lambda handle: None)


@pytest.mark.usefixtures("no_bridges")
def test_a_wim_that_is_damaged_leaves_no_disk(tmp_path: Path, files: Path) -> None:
    data = bytearray((files / "boot.wim").read_bytes())
    data[1_000_000] ^= 1
    (files / "boot.wim").write_bytes(data)
    firmware = Firmware(tmp_path)
    with pytest.raises(FormatError, match=r"/boot\.wim: is damaged: bytes \[0xd0, "):
        start(firmware, files)
    assert firmware.flags == RamdiskFlag.BLOCK and not firmware.disk


@pytest.mark.usefixtures("no_bridges")
def test_a_start_that_fails_leaves_no_disk(tmp_path: Path, files: Path) -> None:
    firmware = Firmware(tmp_path)
    with pytest.raises(FormatError, match="no such luck"):
        start(firmware, files, FormatError("no such luck"))
    assert not firmware.disk


@pytest.mark.usefixtures("no_bridges")
def test_a_firmware_without_a_fat_driver_is_told_of(tmp_path: Path, files: Path) -> None:
    firmware = Firmware(tmp_path)
    firmware.volumes = [ELSEWHERE]
    with pytest.raises(FirmwareError, match="the firmware finds no volume on it: 'RAM disk 5'"):
        start(firmware, files)
    assert not firmware.disk
