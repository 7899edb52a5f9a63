# SPDX-License-Identifier: Apache-2.0
"""What is offered of a disk's ESP."""

from __future__ import annotations

from pykexec.config.menu import Entry
from pykexec.config.payload import PayloadConfig
from pykexec.disk import fat
from pykexec.menu.disks import disk_entries
from tests.support.windows_disk import ESP, disk, whole

FILES = {
    "loader/entries/debian-12.conf": b"title Debian\nversion 12\nsort-key d\nefi /a.efi\n",
    "loader/entries/debian-13.conf": b"title Debian\nversion 13\nsort-key d\nefi /b.efi\n",
    "loader/entries/arm.conf": b"architecture aa64\nefi /c.efi\n",
    "loader/entries/broken.conf": b"title nothing\n",
    "loader/entries/notes.txt": b"efi /d.efi\n",
    "loader/entries/huge.conf": b"#" * 70000,
    "EFI/Linux/one.efi": b"",
    "EFI/Linux/two.EFI": b"",
    "EFI/BOOT/BOOTX64.EFI": b"",
}


def found(title: str, path: str) -> Entry:
    return Entry(title, "efi", PayloadConfig(path, str(ESP)), is_found=True)


def test_an_esp_offers_entries_and_unified_images_and_the_rest_is_said() -> None:
    said: list[str] = []
    image = whole("disk 1", disk(FILES, b""), 512)
    assert disk_entries([image], said.append) == [
        found("Debian", r"\b.efi"),
        found("Debian", r"\a.efi"),
        found("two", r"\EFI\Linux\two.EFI"),
        found("one", r"\EFI\Linux\one.efi"),
    ]
    assert len(said) == 2
    assert any(line.startswith("broken.conf: neither linux") for line in said)
    assert any("huge.conf: 70000 bytes, more than 65536" in line for line in said)


def test_another_partition_offers_nothing() -> None:
    """The second one of this disk has the bytes of an ESP, and is none."""
    esp = fat.plan({"EFI/Linux/a.efi": memoryview(b"")}, "DATA")
    volume = bytearray(esp.size)
    esp.write(memoryview(volume), 0)
    image = whole("disk 1", disk({}, bytes(volume)), 512)
    assert disk_entries([image], lambda line: None) == []


def test_a_disk_that_cannot_be_read_does_not_hide_the_next_one() -> None:
    said: list[str] = []
    broken = bytearray(disk(FILES, b""))
    broken[512:1024] = bytes(512)
    broken[-512:] = bytes(512)
    good = whole("disk 2", disk({"EFI/Linux/a.efi": b""}, b""), 512)
    entries = disk_entries([whole("disk 1", bytes(broken), 512), good], said.append)
    assert [entry.name for entry in entries] == ["a"]
    assert len(said) == 1 and said[0].startswith("disk 1: ")
