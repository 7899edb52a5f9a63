# SPDX-License-Identifier: Apache-2.0
"""Boot disks, as other programs see them: file, fsck.fat, mtools, our own reader."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.disk import boot_disk, fat32, fat_tree
from pykexec.disk.fat_reader import FatVolume
from pykexec.errors import FormatError
from pykexec.run import run

FILES = {
    "sources/boot.wim": bytes(range(251)) * 5000,
    "Boot/BCD": b"b" * 4096,
    "Boot/boot.sdi": b"s" * 513,
    "EFI/Microsoft/Boot/BCD": b"b" * 4096,
    "EFI/Microsoft/Boot/bootmgfw.efi": b"MZ" * 1000,
    "EFI/Microsoft/Boot/größe.ttf": b"f",
    "empty": b"",
}
START = boot_disk.PARTITION_SECTOR * fat_tree.SECTOR_SIZE
MINIMUM = fat32.CLUSTERS_MIN * fat_tree.SECTOR_SIZE


def on_disk(directory: Path, files: dict[str, bytes]) -> Path:
    """The disk, written where the layout says."""
    layout = boot_disk.plan({path: len(data) for path, data in files.items()}, "BOOT")
    path = directory / "disk.img"
    with open(path, "wb") as file:
        file.write(layout.metadata)
        for place in layout.files:
            file.seek(place.offset)
            file.write(files[place.path])
        file.truncate(layout.size)
    return path


def partition_of(disk: Path) -> Path:
    path = disk.with_suffix(".fat")
    path.write_bytes(disk.read_bytes()[START:])
    return path


def test_its_table_has_one_active_fat32_partition(tmp_path: Path) -> None:
    disk = on_disk(tmp_path, FILES)
    sectors = disk.stat().st_size // 512 - boot_disk.PARTITION_SECTOR
    said = run(["file", "--brief", str(disk)]).decode()
    assert "partition 1 : ID=0xc, active" in said and "partition 2" not in said
    assert f"startsector {boot_disk.PARTITION_SECTOR}, {sectors} sectors" in said


def test_fsck_finds_no_fault(tmp_path: Path) -> None:
    listing = run(["fsck.fat", "-n", "-v", str(partition_of(on_disk(tmp_path, FILES)))]).decode()
    assert "32 bit entries" in listing
    for word in ("differ", "Dirty", "Free cluster summary wrong", "backup"):
        assert word not in listing, listing


@pytest.mark.parametrize("name", FILES)
def test_mtools_read_every_file(tmp_path: Path, name: str) -> None:
    disk = on_disk(tmp_path, FILES)
    found = run(["mtype", "-i", f"{disk}@@{START}", f"::/{name}"], env={"LC_ALL": "C.UTF-8"})
    assert found == FILES[name]


def test_names_are_as_they_were_given(tmp_path: Path) -> None:
    disk = on_disk(tmp_path, FILES)
    env = {"LC_ALL": "C.UTF-8"}
    shown = run(["mdir", "-/", "-b", "-i", f"{disk}@@{START}", "::/"], env=env).decode()
    for name in FILES:
        assert f"::/{name}" in shown.splitlines()


# A FAT16 volume is one with less than 65525 clusters, however large they are.
SIZES = [
    0,
    1,
    MINIMUM - 20 * 512,
    MINIMUM,
    MINIMUM + 1,
    fat32.CLUSTERS_MIN * 1024 - 1024,
    fat32.CLUSTERS_MIN * 1024 + 5,
    300_000_001,
    # Of the last 32 KiB fsck.fat counts the clusters in 32 bits.
    fat32.FILE_SIZE_MAX - (32 << 10),
]


@pytest.mark.parametrize("size", SIZES)
def test_every_size_is_fat32_and_holds_its_file(tmp_path: Path, size: int) -> None:
    layout = fat32.plan({"sources/boot.wim": size, "tail": 3}, "BOOT")
    path = tmp_path / "volume"
    with open(path, "wb") as file:
        file.write(layout.metadata)
        for place in layout.files:
            file.seek(place.offset)
            file.write(b"abc"[: place.size])
        file.truncate(layout.size)
    assert "32 bit entries" in run(["fsck.fat", "-n", "-v", str(path)]).decode()
    with open(path, "rb") as written:

        def read(offset: int, count: int) -> bytes:
            written.seek(offset)
            return written.read(count)

        volume = FatVolume(read, "volume")
        found = volume.find("sources/boot.wim")
        assert found and found.size == size
        assert volume.read_file("tail", 3) == b"abc"


def test_a_large_file_is_read_back_from_its_first_byte_to_its_last(tmp_path: Path) -> None:
    data = bytes(range(256)) * (70 << 12)
    disk = on_disk(tmp_path, {**FILES, "sources/boot.wim": data})
    assert run(["mtype", "-i", f"{disk}@@{START}", "::/sources/boot.wim"]) == data


def test_contents_lie_in_order_behind_what_tells_of_them() -> None:
    layout = boot_disk.plan({path: len(data) for path, data in FILES.items()})
    end = len(layout.metadata)
    for place in layout.files:
        assert place.offset >= end and place.offset % 512 == 0
        end = place.offset + place.size
    assert end <= layout.size
    assert {place.path for place in layout.files} == set(FILES) - {"empty"}


def test_a_volume_has_no_more_metadata_than_its_files_need() -> None:
    assert len(fat32.plan({"a": 4 << 30 - 1}, "BOOT").metadata) < 1 << 20


def test_a_file_of_4_gib_is_refused() -> None:
    with pytest.raises(
        FormatError, match=r"^sources/boot\.wim: 4294967296 bytes, and FAT32 has no"
    ):
        boot_disk.plan({"sources/boot.wim": 1 << 32})


@pytest.mark.parametrize("names", [("a", "A"), ("Boot", "boot/BCD")])
def test_two_names_for_one_file_are_refused(names: tuple[str, str]) -> None:
    with pytest.raises(FormatError, match="there already"):
        boot_disk.plan(dict.fromkeys(names, 1))
