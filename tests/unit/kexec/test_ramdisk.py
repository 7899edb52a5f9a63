# SPDX-License-Identifier: Apache-2.0
"""What RAM disks are filled from, their sizes, and which files load-driver takes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pykexec.efi.guid import named_guids
from pykexec.efi.pe import check_loadable
from pykexec.errors import FormatError, NotResidentError, UsageError
from pykexec.firmware.mailbox import Mailbox
from pykexec.kexec.ramdisk import TYPES, Image, add, open_image, padded_size
from tests.unit.image.inputs import pe_bytes


@pytest.mark.parametrize(
    ("size", "kind", "padded"),
    [
        (1, "virtual-disk", 512),
        (512, "virtual-disk", 512),
        (513, "persistent-virtual-disk", 1024),
        (1, "virtual-cd", 2048),
        (2049, "persistent-virtual-cd", 4096),
    ],
)
def test_a_disk_has_whole_blocks(size: int, kind: str, padded: int) -> None:
    assert padded_size(size, kind) == padded


def test_every_type_has_its_guid() -> None:
    assert [str(named_guids()[name.replace("-", "_")]) for name in TYPES] == [
        "77ab535a-45fc-624b-5560-f7b281d1f96e",
        "3d5abd30-4175-87ce-6d64-d2ade523c4bb",
        "5cea02c9-4d07-69d3-269f-4496fbe096f9",
        "08018188-42cd-bb48-100f-5387d53ded3d",
    ]


def test_a_file_comes_in_pieces_of_a_message(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(b"a" * (1 << 20) + b"b")
    with open_image(str(path)) as image:
        assert (image.source, image.size) == (str(path), (1 << 20) + 1)
        assert list(image.pieces()) == [b"a" * (1 << 20), b"b"]


def test_standard_input_may_be_a_pipe() -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, b"from a pipe")
    os.close(write_end)
    saved = os.dup(0)
    os.dup2(read_end, 0)
    try:
        with open_image("-") as image:
            assert (image.size, b"".join(image.pieces())) == (11, b"from a pipe")
    finally:
        os.dup2(saved, 0)
        os.close(saved)
        os.close(read_end)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("absent", "No such file or directory"),
        (".", "neither a regular file nor a block device"),
        ("pipe", "neither a regular file nor a block device"),
    ],
)
def test_what_is_no_disk_image_is_named(name: str, fault: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    path = f"{tmp_path}/{name}"
    with pytest.raises(FormatError, match=f"^{path}: {fault}"), open_image(path):
        pass


@pytest.fixture(name="mailbox")
def mailbox_fixture(tmp_path: Path) -> Mailbox:
    """A mailbox that nobody answers: what is wrong must be found before it is asked."""
    (tmp_path / f"PykexecMailbox-{named_guids()['pykexec_mailbox']}").touch()
    return Mailbox(tmp_path)


def test_an_empty_image_and_an_unknown_type_never_reach_the_firmware(mailbox: Mailbox) -> None:
    image = Image("disk.img", 0, lambda: iter(()))
    with pytest.raises(FormatError, match=r"^disk\.img: is empty"):
        add(mailbox, image)
    with pytest.raises(UsageError, match="'floppy': not one of virtual-disk, virtual-cd"):
        add(mailbox, image, "floppy")


@pytest.mark.parametrize(
    ("kind", "wishes", "fault"),
    [
        ("virtual-disk", {"shape": "usb"}, "'usb': not one of ram-disk, block"),
        ("virtual-disk", {"removable": True}, "never removable"),
        ("virtual-disk", {"shape": "block", "persist": True}, "that does not persist"),
        ("virtual-cd", {"shape": "block"}, "is a virtual disk"),
    ],
)
def test_what_is_no_disk_never_reaches_the_firmware(
    mailbox: Mailbox, kind: str, wishes: dict[str, Any], fault: str
) -> None:
    image = Image("disk.img", 512, lambda: iter((bytes(512),)))
    with pytest.raises(UsageError, match=fault):
        add(mailbox, image, kind, **wishes)


@pytest.mark.parametrize("subsystem", [10, 11, 12])
def test_applications_and_drivers_can_be_loaded(subsystem: int) -> None:
    assert check_loadable(pe_bytes(subsystem=subsystem), "a.efi").subsystem == subsystem


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (pe_bytes(subsystem=3), "subsystem 3, neither an EFI application nor a driver"),
        (pe_bytes(subsystem=13), "EFI ROM, neither an EFI application nor a driver"),
        (pe_bytes(machine=0xAA64, subsystem=11), "wrong machine type: aarch64, not x86-64"),
        (pe_bytes(subsystem=11)[:1400], "truncated"),
        (pe_bytes(subsystem=11, image_size=0x1000), "is outside the image"),
    ],
)
def test_what_firmware_cannot_load_is_named(data: bytes, fault: str) -> None:
    with pytest.raises(FormatError, match=f"^a.efi: .*{fault}|^a.efi: {fault}"):
        check_loadable(data, "a.efi")


@pytest.mark.parametrize(
    "words", [["ramdisk", "list"], ["ramdisk", "remove", "1"], ["load-driver", "a.efi"]]
)
def test_without_a_mailbox_the_verbs_say_so(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    from pykexec.cli import main

    assert main(words) == NotResidentError.exit_code
    assert "pykexec: PykexecMailbox: " in capsys.readouterr().err
