# SPDX-License-Identifier: Apache-2.0
"""Links of disks: how names are spelled, which there are, and that they come and go."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import pytest

from pykexec.bridge import links
from pykexec.bridge.links import Links, escape
from pykexec.efi.device_path import DevicePath
from pykexec.run import run
from tests.support.faults import FAULTS, inject

ENV = {"PATH": "/usr/sbin:/usr/bin"}
DISK = "PciRoot(0x0)/Pci(0x3,0x0)"
GUID = "11111111-0000-4000-8000-000000000000"
BY_PATH = "disk/by-efi-path/PciRoot(0x0)\\x2fPci(0x3,0x0)"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("plain-Name_1.2:3@=+#", "plain-Name_1.2:3@=+#"),
        ("My Disk", r"My\x20Disk"),
        ("../../etc/passwd", r"..\x2f..\x2fetc\x2fpasswd"),
        ("a\\x2fb", r"a\x5cx2fb"),
        ("tab\tnewline\n", r"tab\x09newline\x0a"),
        ("Größe", "Größe"),
        ("A\x9b2J\u202eB", r"A\xc2\x9b2J\xe2\x80\xaeB"),
        ("\ud800", r"\xed\xa0\x80"),
        (DISK, r"PciRoot(0x0)\x2fPci(0x3,0x0)"),
    ],
)
def test_names_are_spelled_so_that_they_are_one_file_name(text: str, name: str) -> None:
    assert escape(text) == name


@pytest.mark.parametrize("text", [".", ".."])
def test_a_label_that_is_a_directory_is_spelled_out(text: str) -> None:
    assert escape(text) not in (".", "..")


def machine(root: Path, name: str = "EFI system") -> Links:
    """Files that stand for /dev and /sys with a disk of one partition."""
    for directory in ("dev", "sys/class/block/nbd0/nbd0p1", "sys/class/block/nbd0/queue"):
        (root / directory).mkdir(parents=True)
    disk = root / "dev/nbd0"
    disk.write_bytes(bytes(4 << 20))
    words = ["sgdisk", "--clear", "--set-alignment=1", "--new=1:64:4095", f"--change-name=1:{name}"]
    run([*words, f"--partition-guid=1:{GUID}", str(disk)], env=ENV)
    partition = root / "dev/nbd0p1"
    partition.write_bytes(bytes(4032 * 512))
    run(["mkfs.fat", "-F12", "-n", "BOOT", "-i", "1234abcd", partition], env=ENV)
    sizes = {"size": "8192", "nbd0p1/partition": "1", "nbd0p1/start": "64", "nbd0p1/size": "4032"}
    for what, value in sizes.items():
        (root / "sys/class/block/nbd0" / what).write_text(f"{value}\n")
    return Links(
        "disk-1",
        "nbd0",
        DevicePath.from_text(DISK),
        512,
        dev=str(root / "dev"),
        sysfs=str(root / "sys"),
    )


def made(root: Path) -> dict[str, str]:
    links = [path for path in (root / "dev").rglob("*") if path.is_symlink()]
    return {str(path.relative_to(root / "dev")): path.resolve().name for path in links}


def test_disk_and_partition_have_every_name(tmp_path: Path) -> None:
    machine(tmp_path).refresh()
    assert made(tmp_path) == {
        "pykexec/disk-1": "nbd0",
        "pykexec/disk-1-part1": "nbd0p1",
        BY_PATH: "nbd0",
        rf"{BY_PATH}\x2fHD(1,GPT,{GUID},0x40,0xfc0)": "nbd0p1",
        f"disk/by-partuuid/{GUID}": "nbd0p1",
        r"disk/by-partlabel/EFI\x20system": "nbd0p1",
        "disk/by-uuid/1234-ABCD": "nbd0p1",
        "disk/by-label/BOOT": "nbd0p1",
    }


def test_links_follow_what_is_there_and_go_at_the_end(tmp_path: Path) -> None:
    links = machine(tmp_path)
    links.refresh()
    for path in ("partition", "start", "size"):
        (tmp_path / f"sys/class/block/nbd0/nbd0p1/{path}").unlink()
    links.refresh()
    assert made(tmp_path) == {"pykexec/disk-1": "nbd0", BY_PATH: "nbd0"}
    links.remove()
    assert made(tmp_path) == {}


def test_a_name_that_another_disk_has_stays_its_own(tmp_path: Path) -> None:
    links = machine(tmp_path)
    (tmp_path / "dev/other").touch()
    (tmp_path / "dev/disk/by-label").mkdir(parents=True)
    os.symlink("../../other", tmp_path / "dev/disk/by-label/BOOT")
    links.refresh()
    links.remove()
    assert made(tmp_path) == {"disk/by-label/BOOT": "other"}


def test_links_of_a_killed_bridge_are_taken_over(tmp_path: Path) -> None:
    killed = machine(tmp_path)
    killed.refresh()
    heir = Links(killed.name, "nbd0", killed.path, 512, killed.dev, killed.sysfs)
    heir.refresh()
    assert heir.made == killed.made


def test_a_hostile_partition_name_stays_in_its_directory(tmp_path: Path) -> None:
    machine(tmp_path, name="../../../evil").refresh()
    assert made(tmp_path)[r"disk/by-partlabel/..\x2f..\x2f..\x2fevil"] == "nbd0p1"


def unpartitioned(root: Path, content: bytes = b"") -> Links:
    """The same without a partition, with content at the beginning of the disk."""
    for directory in ("dev", "sys/class/block/nbd0"):
        (root / directory).mkdir(parents=True)
    (root / "dev/nbd0").write_bytes(content.ljust(4 << 20, b"\0"))
    (root / "sys/class/block/nbd0/size").write_text("8192\n")
    path = DevicePath.from_text(DISK)
    return Links("disk-1", "nbd0", path, 512, dev=str(root / "dev"), sysfs=str(root / "sys"))


def ntfs(sectors: int = 8, table: int = 4, label: str = "") -> bytes:
    """A boot sector with sectors a cluster, $MFT at cluster table, and a $Volume with label."""
    name = label.encode("utf-16-le")
    image = bytearray(1 << 16)
    image[3:11] = b"NTFS    "
    struct.pack_into("<HB", image, 11, 512, sectors)
    struct.pack_into("<Q", image, 48, table)
    struct.pack_into("<b", image, 64, -10)
    struct.pack_into("<Q", image, 72, 0x1234)
    record = 4 * 4096 + 3 * 1024
    image[record : record + 4] = b"FILE"
    struct.pack_into("<H", image, record + 20, 56)
    struct.pack_into("<II", image, record + 56, 0x60, 24 + len(name))
    struct.pack_into("<IH", image, record + 72, len(name), 24)
    image[record + 80 : record + 80 + len(name)] = name
    return bytes(image)


def gpt_header(entries_lba: int) -> bytes:
    """A disk of 8192 blocks whose header says that its entries are there."""
    mbr = bytearray(512)
    mbr[450], mbr[510:] = 0xEE, b"\x55\xaa"
    fields = (1, 8191, 34, 8158, b"\1" * 16, entries_lba, 128, 128, 0)
    header = bytearray(struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, 0, 0, *fields))
    struct.pack_into("<I", header, 16, zlib.crc32(header))
    return bytes(mbr + header)


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (ntfs(sectors=129), {"disk/by-uuid/0000000000001234"}),
        (ntfs(table=1 << 63), {"disk/by-uuid/0000000000001234"}),
        (ntfs(label="\u4e2d" * 100), {"disk/by-uuid/0000000000001234"}),
        (gpt_header(2**64 - 1), set()),
        (gpt_header(2**54), set()),
    ],
    ids=["cluster of 2^136 bytes", "$MFT at 2^63", "label of 300 bytes", "GPT at the end", "off_t"],
)
def test_what_is_on_a_disk_does_not_keep_it_from_coming_up(
    content: bytes, names: set[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    unpartitioned(tmp_path, content).refresh()
    assert set(made(tmp_path)) == {"pykexec/disk-1", BY_PATH} | names
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", ["volumes", "escape", "os.makedirs", "os.symlink"])
def test_links_that_cannot_be_made_are_a_line(
    step: str,
    fault: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    disk = unpartitioned(tmp_path)
    inject(monkeypatch, links, step, fault)
    disk.refresh()
    assert capfd.readouterr().err.startswith("disk-1: links: ")
    disk.refresh()
    assert "pykexec/disk-1" in made(tmp_path)


def test_a_disk_that_is_gone_has_no_links(tmp_path: Path) -> None:
    links = Links("disk-1", "nbd0", None, 512, dev=str(tmp_path), sysfs=str(tmp_path))
    links.refresh()
    assert links.made == {}
