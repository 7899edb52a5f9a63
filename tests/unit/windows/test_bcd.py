# SPDX-License-Identifier: Apache-2.0
"""Boot configuration data: what is started where nobody chooses, and what is none."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from pykexec.disk.mbr import Identity
from pykexec.efi.guid import Guid
from pykexec.errors import FormatError
from pykexec.vm.hives import (
    BOOT_MANAGER,
    LOADER,
    RESUME,
    Node,
    bcd_object,
    bcd_tree,
    hive,
    partition_device,
    ramdisk_device,
    text,
)
from pykexec.windows.bcd import Device, RamdiskFiles, parse_bcd, parse_device, ramdisk_files
from tests.support import mbr_disk

WINDOWS = "aaaaaaaa-0000-4000-8000-aaaaaaaaaaaa"
DISK = "dddddddd-0000-4000-8000-dddddddddddd"
ESP = "eeeeeeee-0000-4000-8000-eeeeeeeeeeee"
OPTIONS = "7619dcc8-fafe-11d9-b411-000476eba25f"
Change = Callable[[Node], object]


def tree(change: Change = lambda tree: None) -> bytes:
    found = bcd_tree(WINDOWS, DISK, ESP)
    change(found)
    return hive(found)


def elements(root: Node, identifier: str) -> dict[str, Node]:
    return root.subkeys["Objects"].subkeys[f"{{{identifier}}}"].subkeys["Elements"].subkeys


def test_default_entry_and_its_resume_object() -> None:
    found = parse_bcd(tree(), "BCD")
    windows = Device("partition", Guid.parse(WINDOWS), Guid.parse(DISK))
    assert found.is_whole
    assert str(found.manager) == f"{{{BOOT_MANAGER}}} Windows Boot Manager"
    assert found.manager.device == Device("partition", Guid.parse(ESP), Guid.parse(DISK))
    assert str(found.default) == f"{{{LOADER}}} Windows Server"
    assert found.default.path == r"\Windows\system32\winload.efi"
    assert (found.default.device, found.default.os_device) == (windows, windows)
    assert found.default.system_root == r"\Windows"
    assert found.resume and found.resume.identifier == Guid.parse(RESUME)
    assert found.resume.path == r"\Windows\system32\winresume.efi"


def test_a_resume_object_that_is_not_there_is_none() -> None:
    found = parse_bcd(tree(lambda root: root.subkeys["Objects"].subkeys.pop(f"{{{RESUME}}}")), "x")
    assert found.default.resume == Guid.parse(RESUME)
    assert found.resume is None


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda root: root.subkeys.pop("Description"), "but no boot configuration data"),
        (
            lambda root: root.subkeys["Description"].values.update(KeyName=text("SYSTEM")),
            "but no boot configuration data",
        ),
        (lambda root: root.subkeys.pop("Objects"), f"no object {{{BOOT_MANAGER}}}"),
        (
            lambda root: root.subkeys["Objects"].subkeys.pop(f"{{{LOADER}}}"),
            f"no object {{{LOADER}}}, the default entry",
        ),
        (lambda root: elements(root, BOOT_MANAGER).pop("23000003"), "names no default entry"),
        (
            lambda root: elements(root, BOOT_MANAGER)["23000003"].values.update(
                Element=text("{no GUID}")
            ),
            "'no GUID' is not a GUID",
        ),
        (
            lambda root: elements(root, LOADER)["21000001"].values.update(Element=(3, bytes(31))),
            f"object {{{LOADER}}}: device of 31 bytes",
        ),
    ],
)
def test_what_the_boot_manager_could_not_use_is_named(change: Change, fault: str) -> None:
    with pytest.raises(FormatError) as error:
        parse_bcd(tree(change), r"\EFI\Microsoft\Boot\BCD")
    assert str(error.value).startswith(r"\EFI\Microsoft\Boot\BCD: ")
    assert fault in str(error.value)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (partition_device(WINDOWS, DISK)[1], f"partition {WINDOWS}"),
        (struct.pack("<16xIII4x", 5, 0, 0x10), "boot device"),
        (struct.pack("<16xIII4x", 8, 0, 0x10), "searched"),
        (
            mbr_disk.device(Identity(0x1A2B3C4D, 0x6500000))[1],
            "partition at byte 0x6500000 of MBR 1a2b3c4d",
        ),
        (
            struct.pack("<16xIII4x16s4xI16s", 6, 0, 0x48, b"\1", 2, b"\2"),
            "partition of a disk without table",
        ),
        (struct.pack("<16xIII4x", 0, 0, 0x10), "disk"),
        (struct.pack("<16xIII4x", 77, 0, 0x10), "device of type 77"),
    ],
)
def test_devices(data: bytes, text: str) -> None:
    assert str(parse_device(data, "x")) == text


def test_a_partition_that_is_cut_off_is_refused() -> None:
    with pytest.raises(FormatError, match=r"^x: partition of 71 bytes$"):
        parse_device(partition_device(WINDOWS, DISK)[1][:71], "x")


def with_ramdisk(wim: str, sdi: str | None = r"\boot\boot.sdi") -> bytes:
    """The BCD of an installer's medium: its loader is in a wim."""

    def change(root: Node) -> None:
        loader = elements(root, LOADER)
        loader["11000001"].values["Element"] = ramdisk_device(OPTIONS, wim)
        loader["12000002"].values["Element"] = text(r"\windows\system32\boot\winload.efi")
        if sdi is not None:
            options = bcd_object({0x32000004: text(sdi)}, 0x30000000)
            root.subkeys["Objects"].subkeys[f"{{{OPTIONS}}}"] = options

    return tree(change)


def test_an_installer_names_its_wim_and_what_goes_with_it() -> None:
    data = with_ramdisk(r"\sources\boot.wim")
    assert ramdisk_files(data, "BCD") == RamdiskFiles(r"\sources\boot.wim", r"\boot\boot.sdi")
    data = with_ramdisk(r"\Boot\x64\Images\Win PE (1).WIM", None)
    assert ramdisk_files(data, "BCD") == RamdiskFiles(r"\Boot\x64\Images\Win PE (1).WIM", "")


def test_an_installed_windows_names_no_wim() -> None:
    assert ramdisk_files(tree(), "BCD") == RamdiskFiles("", "")
    without = tree(lambda root: elements(root, LOADER).pop("11000001"))
    assert ramdisk_files(without, "BCD") == RamdiskFiles("", "")
