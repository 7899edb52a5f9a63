# SPDX-License-Identifier: Apache-2.0
"""Payloads that cannot be started, BootNext's entry, and where a file lies for the firmware."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pykexec.efi.device_path import DevicePath
from pykexec.efi.guid import Guid
from pykexec.efi.variables import (
    LoadOption,
    Variable,
    boot_options,
    delete_variable,
    global_name,
    list_variables,
    parse_load_option,
    read_variable,
    set_boot_next,
    write_variable,
)
from pykexec.errors import FormatError, KexecError, UsageError
from pykexec.kexec.boot_next import efi_path, gpt_partition
from pykexec.kexec.leave import new_token
from pykexec.kexec.load import kexec_file_load
from pykexec.kexec.mounts import Mount, find_mount, parse_mountinfo
from pykexec.kexec.request import MEMORY_RESERVE, Payload, linux_chunks, load_payload, payload_room
from pykexec.memory import available_memory

ESP = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
GRUB = DevicePath.from_text(f"HD(1,GPT,{ESP},0x800,0x64000)/\\EFI\\debian\\grubx64.efi")
VENDOR = bytes(DevicePath.from_text("VenHw(99e275e7-75a0-4b37-a2e6-c5385e6c00cb)"))


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "empty file, not a PE image"),
        (b"\x7fELF" + bytes(60), "not a PE image"),
        (b"MZ" + bytes(10), "truncated"),
    ],
)
def test_a_payload_that_is_no_efi_application_is_named(data: bytes, fault: str) -> None:
    with pytest.raises(FormatError, match=rf"^\\EFI\\a.efi: {fault}"):
        load_payload("\\EFI\\a.efi", [data] if data else [])


def test_a_file_that_is_too_large_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.efi"
    path.write_bytes(b"12345")
    assert list(linux_chunks(str(path), 5)) == [b"12345"]
    with pytest.raises(FormatError, match=r"a.efi: 5 bytes, more than the 4 that fit"):
        list(linux_chunks(str(path), 4))


@pytest.mark.parametrize(
    ("available_kib", "size"), [(0, 0), (12288, 0), (12291, 1024), (46000, 11507029)]
)
def test_a_payload_may_have_a_third_of_what_memory_is_free(available_kib: int, size: int) -> None:
    meminfo = f"MemTotal: 99808 kB\nMemAvailable: {available_kib} kB\nBuffers: 0 kB\n"
    assert MEMORY_RESERVE == 12288 * 1024
    assert payload_room(available_memory(meminfo)) == size


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("/nonexistent/a.efi", "No such file or directory"),
        ("/dev/zero", "not a regular file"),
        ("/etc", "not a regular file"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(path: str, fault: str) -> None:
    with pytest.raises(FormatError, match=f"^{path}: {fault}"):
        list(linux_chunks(path, 4))


def test_a_payload_comes_back_in_chunks_with_their_offsets() -> None:
    fd = os.memfd_create("test")
    os.write(fd, b"a" * (1 << 20) + b"bc")
    assert list(Payload("x", fd, (1 << 20) + 2).chunks()) == [
        (0, b"a" * (1 << 20)),
        (1 << 20, b"bc"),
    ]
    os.close(fd)


def test_tokens_fit_and_are_not_zero() -> None:
    assert all(0 < new_token() < 1 << 32 for _ in range(100))


def test_a_missing_resume_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(KexecError) as caught:
        kexec_file_load(Payload("x", 0, 0), "", tmp_path / "resume.bin")
    assert caught.value.filename == str(tmp_path / "resume.bin")


def test_a_load_option_is_laid_out_as_specified() -> None:
    option = LoadOption(1, "ab", DevicePath.from_text("\\c"), b"\xaa")
    assert bytes(option).hex() == "010000000e0061006200000004040a005c00630000007fff0400aa"
    assert parse_load_option(bytes(option)) == option


@pytest.mark.parametrize("behind", [VENDOR, bytes(4), b"\xff" * 3, VENDOR * 2 + b"\0"])
def test_of_several_paths_the_first_counts_and_the_rest_is_kept(behind: bytes) -> None:
    option = LoadOption(1, "PXE", GRUB, b"\xaa", behind)
    data = bytes(option)
    assert data[4:6] == (len(bytes(GRUB)) + len(behind)).to_bytes(2, "little")
    assert parse_load_option(data) == option


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ("0100", "2 bytes, too short"),
        ("010000000400", "offset 6: description is not terminated"),
        ("0100000004006100", "offset 8: description is not terminated"),
        ("01000000080000007fff0400", "offset 8: path of 8 bytes is cut off"),
        ("01000000020000007fff0400", "device path: offset 0: truncated header"),
    ],
)
def test_a_damaged_load_option_is_refused(data: str, fault: str) -> None:
    with pytest.raises(FormatError, match=fault):
        parse_load_option(bytes.fromhex(data))


def test_variables_are_written_listed_read_and_deleted(tmp_path: Path) -> None:
    name = global_name("Boot0001")
    write_variable(name, Variable(7, b"abc"), tmp_path)
    assert (tmp_path / f"Boot0001-{name.vendor}").read_bytes() == b"\7\0\0\0abc"
    assert list_variables(tmp_path) == [name]
    assert read_variable(name, tmp_path) == Variable(7, b"abc")
    delete_variable(name, tmp_path)
    assert list_variables(tmp_path) == []


def test_a_variable_that_cannot_be_read_spoils_no_other(tmp_path: Path) -> None:
    good = LoadOption(1, "debian", GRUB)
    write_variable(global_name("Boot0003"), Variable(7, bytes(good)), tmp_path)
    write_variable(global_name("Boot0001"), Variable(7, b"no load option"), tmp_path)
    (tmp_path / str(global_name("Boot0002"))).mkdir()  # EISDIR stands for EIO, EACCES ...
    (tmp_path / f"Boot0004-{'x' * 36}").touch()
    assert boot_options(tmp_path) == {3: good}
    assert set_boot_next(LoadOption(1, "ours", GRUB), tmp_path) == 0


def test_boot_next_takes_a_free_number_and_then_keeps_it(tmp_path: Path) -> None:
    other = Variable(7, bytes(LoadOption(1, "debian", GRUB)))
    write_variable(global_name("Boot0000"), other, tmp_path)
    assert set_boot_next(LoadOption(1, "pykexec payload", GRUB), tmp_path) == 1
    assert set_boot_next(LoadOption(1, "pykexec payload", GRUB, b"x"), tmp_path) == 1
    assert read_variable(global_name("BootNext"), tmp_path).data == b"\1\0"
    assert {n: o.optional_data for n, o in boot_options(tmp_path).items()} == {0: b"", 1: b"x"}


MOUNTINFO = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 8:2 / /boot/efi rw - vfat /dev/sda2 rw
31 22 8:3 /sub /mnt/my\\040esp rw shared:5 - vfat /dev/sda3 rw
"""


@pytest.mark.parametrize(
    ("path", "mount", "efi"),
    [
        (
            "/boot/efi/EFI/a.efi",
            Mount("8:2", "/", "/boot/efi", "vfat", "/dev/sda2"),
            "\\EFI\\a.efi",
        ),
        (
            "/mnt/my esp/x/a.efi",
            Mount("8:3", "/sub", "/mnt/my esp", "vfat", "/dev/sda3"),
            "\\sub\\x\\a.efi",
        ),
        ("/boot/efi2/a.efi", Mount("8:1", "/", "/", "ext4", "/dev/sda1"), "\\boot\\efi2\\a.efi"),
    ],
)
def test_a_file_is_found_on_its_volume(path: str, mount: Mount, efi: str) -> None:
    assert find_mount(path, parse_mountinfo(MOUNTINFO)) == mount
    assert efi_path(path, mount) == efi


def test_a_path_on_no_mount_is_refused() -> None:
    with pytest.raises(UsageError, match="lies on no mount"):
        find_mount("/a", [])


def test_a_partition_is_read_from_the_gpt_that_sgdisk_writes(tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    disk.touch()
    os.truncate(disk, 8 << 20)
    command = ["sgdisk", "-n", "2:2048:4095", "-u", f"2:{ESP}", str(disk)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    found = gpt_partition(disk, 512, 2)
    assert (found.guid, found.first_lba, found.nr_blocks) == (Guid.parse(ESP), 2048, 2048)
    with pytest.raises(FormatError, match="GPT has no entry 1"):
        gpt_partition(disk, 512, 1)
    with pytest.raises(FormatError, match="GPT has no entry 129"):
        gpt_partition(disk, 512, 129)


def test_a_disk_without_gpt_is_named(tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(4096))
    with pytest.raises(FormatError, match=r"disk.img: no GPT"):
        gpt_partition(disk, 512, 1)


def test_a_payload_is_whole_where_memory_takes_a_part_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: whole(fd, data[: len(data) // 2 or 1]))
    chunks = [b"A" * 9, b"", b"B" * 5]
    payload = load_payload("payload", chunks, lambda data, source: None)
    monkeypatch.undo()
    assert os.pread(payload.fd, 100, 0) == b"".join(chunks)
    assert payload.size == 14
    os.close(payload.fd)
