# SPDX-License-Identifier: Apache-2.0
"""The firmware's boot options: which are shown, and how each is started."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from pykexec.config.menu import Entry
from pykexec.config.payload import PayloadConfig
from pykexec.efi.device_path import DevicePath
from pykexec.efi.device_path_node import file_node, hard_drive_node
from pykexec.efi.guid import Guid
from pykexec.efi.ucs2 import encode_ucs2
from pykexec.efi.variables import (
    LoadOption,
    Variable,
    global_name,
    name_boot_next,
    read_variable,
    write_variable,
)
from pykexec.menu.firmware import firmware_entries

PARTITION = Guid.parse("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
FILE = DevicePath((hard_drive_node(1, 2048, 4096, PARTITION), file_node(r"\EFI\a.efi")))
NETWORK = DevicePath.from_text("PciRoot(0x0)/Pci(0x3,0x0)/MAC(525400123456,0x1)")


def option(
    name: str = "Debian", path: DevicePath = FILE, data: bytes = b"", attributes: int = 1
) -> bytes:
    """What Boot#### holds."""
    return bytes(LoadOption(attributes, name, path, data))


def firmware(root: Path, options: dict[int, bytes], **others: bytes) -> list[Entry]:
    """What is offered where efivarfs has these."""
    variables = {f"Boot{number:04X}": data for number, data in options.items()} | others
    for name, data in variables.items():
        write_variable(global_name(name), Variable(7, data), root)
    return firmware_entries(root)


def numbers(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}H", *values)


def test_they_come_in_the_boot_order_without_the_one_that_we_came_by(tmp_path: Path) -> None:
    options = {number: option(f"option {number}") for number in (0, 1, 2, 10)}
    order, current = numbers(10, 2, 7), numbers(2)
    entries = firmware(tmp_path, options, BootOrder=order, BootCurrent=current)
    assert [entry.number for entry in entries] == [10, 0, 1]
    assert {(entry.kind, entry.is_found, entry.spends) for entry in entries} == {
        ("boot-option", True, True)
    }


@pytest.mark.parametrize("attributes", [0, 1 | 8, 1 | 0x100])
def test_one_that_is_switched_off_or_hidden_or_no_boot_is_not_shown(
    attributes: int, tmp_path: Path
) -> None:
    assert firmware(tmp_path, {1: option(attributes=attributes)}) == []


@pytest.mark.parametrize(
    ("path", "data", "payload"),
    [
        (FILE, b"", PayloadConfig(r"\EFI\a.efi", str(PARTITION))),
        (FILE, encode_ucs2("quiet"), PayloadConfig(r"\EFI\a.efi", str(PARTITION), "quiet")),
        (FILE, b"WINDOWS\0\1\0\0\0", None),
        (FILE, "quiet".encode("utf-16-le"), None),
        (FILE, encode_ucs2("a\x1b[2J"), None),
        (FILE, encode_ucs2("quiet") + b"\1\0", None),
        (NETWORK, b"", None),
        (DevicePath(FILE.nodes[:1]), b"", None),
        (DevicePath((file_node(r"\EFI\a.efi"),)), b"", None),
    ],
)
def test_a_file_with_options_that_are_text_is_started_by_us(
    path: DevicePath, data: bytes, payload: PayloadConfig | None, tmp_path: Path
) -> None:
    (entry,) = firmware(tmp_path, {1: option(path=path, data=data)})
    assert (entry.payload, entry.number) == (payload, 1)


def test_one_without_a_name_has_its_number(tmp_path: Path) -> None:
    assert firmware(tmp_path, {0xA: option(" ")})[0].name == "Boot000A"


@pytest.mark.parametrize("broken", [b"", b"\1\0\0\0", b"\1\0\0\0\xff\xffa\0"])
def test_one_that_is_none_hides_no_other(broken: bytes, tmp_path: Path) -> None:
    entries = firmware(tmp_path, {1: broken, 2: option()}, BootOrder=b"\1", BootCurrent=b"")
    assert [entry.number for entry in entries] == [2]


def test_the_next_start_is_named_and_nothing_else_changed(tmp_path: Path) -> None:
    firmware(tmp_path, {3: option()}, BootOrder=numbers(3))
    name_boot_next(3, tmp_path)
    assert read_variable(global_name("BootNext"), tmp_path) == Variable(7, b"\3\0")
    assert read_variable(global_name("BootOrder"), tmp_path).data == numbers(3)
