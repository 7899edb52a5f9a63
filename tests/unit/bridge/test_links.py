# SPDX-License-Identifier: Apache-2.0
"""Links of disks: how names are spelled, which there are, and that they come and go."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pykexec.bridge.links import Links, escape
from pykexec.efi.device_path import DevicePath
from pykexec.run import run

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


def test_a_disk_that_is_gone_has_no_links(tmp_path: Path) -> None:
    links = Links("disk-1", "nbd0", None, 512, dev=str(tmp_path), sysfs=str(tmp_path))
    links.refresh()
    assert links.made == {}
