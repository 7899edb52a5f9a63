# SPDX-License-Identifier: Apache-2.0
"""File systems are recognised as blkid recognises them, and rubbish is not."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest

from pykexec.bridge.links import escape
from pykexec.disk import Reader
from pykexec.disk.probe import probe
from pykexec.run import run

ENV = {"PATH": "/usr/sbin:/usr/bin"}
UUID = "3e6be9de-8139-4123-9106-a43f08d823a6"
# Options of luksFormat that make it quick: the key protects nothing.
QUICK = ["--pbkdf=pbkdf2", "--pbkdf-force-iterations=1000", f"--uuid={UUID}", "--key-file=-"]
MAKERS: dict[str, tuple[int, list[str]]] = {
    "ext4": (8, ["mke2fs", "-qFt", "ext4", "-L", "data disk", "-U", UUID]),
    "ext2": (8, ["mke2fs", "-qFt", "ext2", "-U", UUID]),
    "ext3": (8, ["mke2fs", "-qFt", "ext3", "-L", "Größe"]),
    "fat12": (1, ["mkfs.fat", "-F12", "-n", "FLOPPY", "-i", "1234abcd"]),
    "fat16": (16, ["mkfs.fat", "-F16", "-n", "SMALL DISK", "-i", "00000001"]),
    "fat32": (64, ["mkfs.fat", "-F32", "-n", "ESP", "-i", "deadbeef"]),
    "fat without a label": (64, ["mkfs.fat", "-F32"]),
    "exfat": (8, ["mkfs.exfat", "-L", "Größe"]),
    "exfat without a label": (64, ["mkfs.exfat", "-c", "128K"]),
    "ntfs": (8, ["mkntfs", "-QFq", "-L", "Windows Größe"]),
    "luks1": (4, ["cryptsetup", "luksFormat", "-q", "--type=luks1", *QUICK]),
    "luks2": (32, ["cryptsetup", "luksFormat", "-q", "--type=luks2", "--label=vault", *QUICK]),
}


MIX = random.Random(1)


@cache
def made(name: str) -> bytes:
    """A volume of that kind."""
    size_mib, words = MAKERS[name]
    with NamedTemporaryFile() as file:
        file.truncate(size_mib << 20)
        run([*words, file.name], env=ENV, stdin=b"key", timeout_s=60)
        return Path(file.name).read_bytes()


def reader(data: bytes) -> Reader:
    return lambda offset, size: data[offset : offset + size]


def blkid(data: bytes, directory: Path) -> tuple[str, str, str]:
    """Type, label and UUID, the latter two as udev spells them."""
    path = directory / "volume.img"
    path.write_bytes(data)
    lines = run(["blkid", "-p", "-o", "udev", path], env=ENV, timeout_s=30).decode().splitlines()
    found = dict(line.split("=", 1) for line in lines)
    return found["ID_FS_TYPE"], found.get("ID_FS_LABEL_ENC", ""), found.get("ID_FS_UUID_ENC", "")


def ours(data: bytes) -> tuple[str, str, str]:
    found = probe(reader(data))
    assert found
    return found.type, escape(found.label), escape(found.uuid)


@pytest.mark.parametrize("name", MAKERS)
def test_type_label_and_uuid_are_those_of_blkid(name: str, tmp_path: Path) -> None:
    assert ours(made(name)) == blkid(made(name), tmp_path)


@pytest.mark.parametrize("options", [[], ["-J", "-V", "Mixed Case"], ["-V", "PLAIN"]])
def test_a_cd_is_recognised(options: list[str], tmp_path: Path) -> None:
    path = tmp_path / "cd.iso"
    (tmp_path / "file").touch()
    words = ["xorriso", "-as", "mkisofs", "-quiet", *options, "-o"]
    run([*words, path, tmp_path / "file"], env=ENV, timeout_s=60)
    assert ours(path.read_bytes()) == blkid(path.read_bytes(), tmp_path)


@pytest.mark.parametrize("name", MAKERS)
def test_a_volume_that_is_cut_off_or_damaged_raises_nothing(name: str) -> None:
    for _ in range(200):
        hurt = bytearray(made(name)[:4096])
        for place in MIX.choices(range(2048), k=8):
            hurt[place] = MIX.choice((0, 1, 0x7F, 0x80, 0xFF))
        probe(reader(bytes(hurt)[: MIX.choice((100, 513, 1100, 4096))]))


@pytest.mark.parametrize("data", [b"", bytes(1 << 16), b"\xff" * (1 << 16), b"\x55\xaa" * 40000])
def test_what_is_no_file_system_is_none(data: bytes) -> None:
    assert probe(reader(data)) is None
