# SPDX-License-Identifier: Apache-2.0
"""Events in words: what is known is told, what is hostile stays on its line."""

from __future__ import annotations

import struct

import pytest

from pykexec.efi.device_path import DevicePath
from pykexec.efi.device_path_node import file_node
from pykexec.efi.guid import named_guids
from pykexec.efi.variables import LoadOption
from pykexec.tpm.event_text import TYPES, describe, type_name
from pykexec.tpm.eventlog import Event

NUMBERS = {name: number for number, name in TYPES.items()}
PATH = DevicePath((file_node(r"\EFI\BOOT\BOOTX64.EFI"),))
GLOBAL = named_guids()["global_variable"].data


def said(type_: str, data: bytes) -> str:
    return describe(Event(0, 4, NUMBERS[type_], {}, data))


def variable(name: str, value: bytes, size: int | None = None) -> bytes:
    size = len(value) if size is None else size
    return struct.pack("<16sQQ", GLOBAL, len(name), size) + name.encode("utf-16-le") + value


def image(path: bytes, size: int | None = None) -> bytes:
    return struct.pack("<QQQQ", 0x1000, 4096, 0, len(path) if size is None else size) + path


@pytest.mark.parametrize(
    ("type_", "data", "text"),
    [
        ("EV_SEPARATOR", bytes(4), "00000000"),
        ("EV_SEPARATOR", b"\x01\0\0\0", "00000001"),
        ("EV_IPL", b"grub_cmd: boot\0", "grub_cmd: boot"),
        ("EV_IPL", ".linux\0".encode("utf-16-le"), ".linux"),
        ("EV_IPL", bytes(range(20)), "000102030405060708090a0b0c0d0e0f ... 20 bytes"),
        ("EV_IPL", b"", ""),
        ("EV_EFI_ACTION", b"Calling EFI Application", "Calling EFI Application"),
        ("EV_S_CRTM_VERSION", "1.0\0".encode("utf-16-le"), "1.0"),
        ("EV_NO_ACTION", b"StartupLocality\0\x03", "StartupLocality 3"),
        ("EV_NO_ACTION", b"Spec ID Event03\0" + bytes(20), "Spec ID Event03"),
        ("EV_EFI_VARIABLE_BOOT", variable("SecureBoot", b"\x01"), "(global_variable): 01"),
        ("EV_EFI_VARIABLE_BOOT2", variable("BootOrder", b"\x01\0\x0a\0"), ": 0001 000A"),
        (
            "EV_EFI_VARIABLE_BOOT",
            variable("Boot0001", bytes(LoadOption(1, "disk", PATH))),
            r"disk, \EFI\BOOT\BOOTX64.EFI",
        ),
        ("EV_EFI_BOOT_SERVICES_APPLICATION", image(bytes(PATH)), r"BOOTX64.EFI, 4096 bytes"),
        ("EV_EFI_BOOT_SERVICES_DRIVER", image(b""), "4096 bytes in memory"),
        ("EV_EFI_PLATFORM_FIRMWARE_BLOB", struct.pack("<QQ", 0x820000, 9), "9 bytes at 0x820000"),
        (
            "EV_EFI_HANDOFF_TABLES",
            struct.pack("<Q", 1) + named_guids()["acpi20_table"].data + bytes(8),
            "acpi20_table",
        ),
        ("EV_EFI_GPT_EVENT", bytes(56) + GLOBAL + bytes(20) + struct.pack("<Q", 3), "3 partitions"),
    ],
)
def test_data_that_is_known_is_told(type_: str, data: bytes, text: str) -> None:
    assert said(type_, data).endswith(text)
    assert "malformed" not in said(type_, data)


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("EV_EFI_VARIABLE_BOOT", b"short"),
        ("EV_EFI_VARIABLE_BOOT", variable("Boot0001", b"\x01")),
        ("EV_EFI_VARIABLE_BOOT", variable("SecureBoot", b"\x01", size=2)),
        ("EV_EFI_VARIABLE_BOOT", variable("SecureBoot", b"\x01", size=2**64 - 1)),
        ("EV_EFI_BOOT_SERVICES_APPLICATION", image(bytes(PATH), size=5)),
        ("EV_EFI_BOOT_SERVICES_APPLICATION", image(bytes(PATH)[:-1])),
        ("EV_EFI_PLATFORM_FIRMWARE_BLOB", bytes(15)),
        ("EV_EFI_PLATFORM_FIRMWARE_BLOB2", b"\xff"),
        ("EV_EFI_HANDOFF_TABLES", struct.pack("<Q", 2**63)),
        ("EV_EFI_HANDOFF_TABLES2", b""),
        ("EV_EFI_GPT_EVENT", bytes(10)),
    ],
)
def test_data_that_lies_is_called_so(type_: str, data: bytes) -> None:
    assert said(type_, data).startswith("malformed: ")


def test_no_event_can_leave_its_line_or_drive_the_terminal() -> None:
    for data in (
        variable("\x1b[2J\nPCR 0", b"x"),
        image(bytes(DevicePath((file_node("\r\x1b"),)))),
    ):
        for name in ("EV_EFI_VARIABLE_BOOT", "EV_EFI_BOOT_SERVICES_APPLICATION", "EV_IPL"):
            assert said(name, data).isprintable()
    assert len(said("EV_IPL", b"x" * 5000)) == 160


def test_an_unknown_type_is_a_number() -> None:
    assert type_name(0x12345) == "0x00012345"
