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

from pykexec.image.kernel_config import NEEDS, lacks, read

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
    assert list(lacks(ALL, "quiet efi=debug")) == []


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
    assert list(lacks(ALL - {missing}, "quiet")) == [line]


def test_one_of_two_is_enough() -> None:
    assert list(lacks(ALL - {"BLK_DEV_UBLK"} | {"BLK_DEV_NBD"}, "")) == []


@pytest.mark.parametrize("option", ["PREEMPT_RT", "EFI_DISABLE_RUNTIME"])
def test_runtime_services_may_have_to_be_asked_for(option: str) -> None:
    (line,) = lacks(ALL | {option}, "quiet efi=debug")
    assert line.startswith(f"built with CONFIG_{option}: ") and line.endswith("efi=runtime")
    assert list(lacks(ALL | {option}, "quiet efi=debug,runtime")) == []


@pytest.mark.parametrize("cmdline", ["efi=nosoftreserve", "quiet efi=debug,nosoftreserve"])
def test_a_command_line_may_take_the_window_away(cmdline: str) -> None:
    assert list(lacks(ALL, cmdline)) == [
        "told efi=nosoftreserve: bridges go by the mailbox, slowly: there is no window"
    ]
