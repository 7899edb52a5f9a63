# SPDX-License-Identifier: Apache-2.0
"""What a kernel was built without is found out where it can be, and said in words."""

from __future__ import annotations

import gzip
import lzma
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from pykexec.image.initrd import packer
from pykexec.image.kernel_config import NEEDS, is_older_than_tried, lacks, read
from pykexec.image.recipe import BRIDGE_MODULES

ALL = frozenset(need.options[0] for need in NEEDS)
TEXT = b"# Linux/x86\nCONFIG_EFI=y\nCONFIG_TUN=m\n# CONFIG_KEXEC_FILE is not set\nCONFIG_X=1\n"
VERSION = "6.12.1"


def carrying(text: bytes, pack: Callable[[bytes], bytes]) -> bytes:
    """A kernel's file with its configuration in it, as CONFIG_IKCONFIG has it."""
    vmlinux = bytes(5000) + b"IKCFG_ST" + gzip.compress(text) + b"IKCFG_ED" + bytes(5000)
    payload = pack(vmlinux) + struct.pack("<I", len(vmlinux))
    header = bytearray(2 * 512)
    header[0x1F1] = 1
    header[0x1FE:0x200] = b"\x55\xaa"
    header[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", header, 0x248, 100, len(payload))
    return bytes(header) + bytes(100) + payload


@pytest.mark.parametrize(
    "name", [f"boot/config-{VERSION}", "modules/config", "modules/build/.config"]
)
def test_the_configuration_lies_beside_the_kernel_or_its_modules(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_bytes(TEXT)
    kernel, modules = tmp_path / "boot" / "vmlinuz", tmp_path / "modules"
    assert read(kernel, b"", VERSION, modules) == frozenset({"EFI", "TUN"})


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        lzma.compress,
        lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
        zstandard.ZstdCompressor().compress,
    ],
    ids=["gzip", "xz", "lzma", "zstd"],
)
def test_a_kernel_may_carry_it(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    data = carrying(TEXT, pack)
    assert read(tmp_path / "vmlinuz", data, VERSION, tmp_path) == frozenset({"EFI", "TUN"})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        carrying(TEXT, bytes),  # packed in a way that nobody here unpacks
        carrying(TEXT, gzip.compress)[:1200],
        carrying(TEXT, gzip.compress).replace(b"\x1f\x8b", b"\x1f\x8a"),
        carrying(b"", gzip.compress)[:0x210],
    ],
)
def test_who_says_nothing_is_no_error(data: bytes, tmp_path: Path) -> None:
    assert read(tmp_path / "vmlinuz", data, VERSION, tmp_path) is None


def test_nothing_is_said_of_a_kernel_that_has_all() -> None:
    assert list(lacks(ALL, BRIDGE_MODULES)) == []


@pytest.mark.parametrize(
    ("missing", "line"),
    [
        (
            "EFI_SOFT_RESERVE",
            "built without CONFIG_EFI_SOFT_RESERVE: "
            "bridges go by the mailbox, slowly: there is no window",
        ),
        (
            "BLK_DEV_UBLK",
            "built without CONFIG_BLK_DEV_UBLK and CONFIG_BLK_DEV_NBD: "
            "the firmware's disks cannot be bridged",
        ),
    ],
)
def test_what_is_missing_is_named_with_what_follows(missing: str, line: str) -> None:
    assert list(lacks(ALL - {missing}, BRIDGE_MODULES)) == [line]


def test_one_of_two_is_enough() -> None:
    modules = set(BRIDGE_MODULES) - {"ublk_drv"}
    assert list(lacks(ALL - {"BLK_DEV_UBLK"} | {"BLK_DEV_NBD"}, modules)) == []


@pytest.mark.parametrize("options", [ALL, None], ids=["configured", "unknown"])
@pytest.mark.parametrize(
    ("missing", "line"),
    [
        (
            {"dax_hmem"},
            "without module dax_hmem: bridges go by the mailbox, slowly: there is no window",
        ),
        (
            {"ublk_drv", "nbd"},
            "without module ublk_drv and nbd: the firmware's disks cannot be bridged",
        ),
        ({"ublk_drv"}, None),
    ],
)
def test_a_module_may_be_in_a_package_that_is_not_installed(
    options: frozenset[str] | None, missing: set[str], line: str | None
) -> None:
    found = list(lacks(options, set(BRIDGE_MODULES) - missing))
    assert found == ([line] if line else [])


def test_where_nobody_says_anything_nothing_is_known() -> None:
    assert list(lacks(None, None)) == []


@pytest.mark.parametrize(
    ("version", "old"),
    [("4.18.0-553.el8", True), ("5.9.16", True), ("5.10.0-8-amd64", False), ("6.1.0", False)],
)
def test_an_old_linux_is_known(version: str, old: bool) -> None:
    assert is_older_than_tried(version) == old


@pytest.mark.parametrize(
    ("options", "magic"),
    [
        (None, b"\x28\xb5\x2f\xfd"),
        ({"RD_ZSTD", "RD_GZIP"}, b"\x28\xb5\x2f\xfd"),
        ({"RD_GZIP", "RD_XZ"}, b"\x1f\x8b"),
        ({"RD_XZ"}, b"\xfd7zXZ\0\0\1"),  # whose check is CRC32
        (set(), b"070701"),
    ],
)
def test_the_initramfs_is_packed_as_the_kernel_unpacks_it(
    options: set[str] | None, magic: bytes
) -> None:
    assert packer(options)(b"070701" + bytes(1000)).startswith(magic)
