# SPDX-License-Identifier: Apache-2.0
"""Boot loader specification entries of type 1: what is read of them, and what is refused."""

from __future__ import annotations

import pytest

from pykexec.errors import FormatError
from pykexec.menu.bls import parse_bls_entry

# The specification's own example.
FEDORA = b"""\
# /boot/loader/entries/6a9857a393724b7a981ebb5b8495b9ea-3.8.0-2.fc19.x86_64.conf
title        Fedora 19 (Rawhide)
sort-key     fedora
machine-id   6a9857a393724b7a981ebb5b8495b9ea
version      3.8.0-2.fc19.x86_64
options      root=UUID=6d3376e4-fc93-4509-95ec-a21d68011da2 quiet
architecture x64
linux        /6a9857a393724b7a981ebb5b8495b9ea/3.8.0-2.fc19.x86_64/linux
initrd       /6a9857a393724b7a981ebb5b8495b9ea/3.8.0-2.fc19.x86_64/initrd
"""


def test_a_linux_is_started_with_its_initrds() -> None:
    entry = parse_bls_entry(FEDORA, "fedora.conf")
    assert entry
    root = r"\6a9857a393724b7a981ebb5b8495b9ea\3.8.0-2.fc19.x86_64"
    assert (entry.title, entry.path) == ("Fedora 19 (Rawhide)", rf"{root}\linux")
    options = "root=UUID=6d3376e4-fc93-4509-95ec-a21d68011da2 quiet"
    assert entry.options == rf"initrd={root}\initrd {options}"


@pytest.mark.parametrize(
    ("text", "title", "path", "options"),
    [
        ("efi /EFI/memtest.efi", "a", r"\EFI\memtest.efi", ""),
        ("title\tUKI\nuki\t/u.efi\noptions one\noptions two", "UKI", r"\u.efi", "one two"),
        ("linux /l\ninitrd /a\ninitrd /b", "a", r"\l", r"initrd=\a initrd=\b"),
        ("title one\r\ntitle two\r\nefi a.efi\r\n", "two", r"\a.efi", ""),
        ("architecture X64\nefi //EFI//a.efi", "a", r"\EFI\a.efi", ""),
    ],
)
def test_what_it_says_is_started(text: str, title: str, path: str, options: str) -> None:
    entry = parse_bls_entry(text.encode(), "a+3-1.conf")
    assert entry
    assert (entry.title, entry.path, entry.options) == (title, path, options)


def test_an_entry_for_other_machines_is_none() -> None:
    assert parse_bls_entry(b"architecture aa64\nefi /a.efi", "a.conf") is None


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "a.conf: neither linux nor efi nor uki"),
        (b"title x", "a.conf: neither linux"),
        (b"efi /../a.efi", "a.conf: '/../a.efi' is no path"),
        (b"efi /", "a.conf: '/' is no path"),
        (b"efi /a\x1b[2J", "a.conf: '/a\\x1b"),
        (b"linux /l\ninitrd /a init=/bin/sh", "a.conf: '/a init=/bin/sh' is no path"),
        (b"\xff", "a.conf: not UTF-8"),
        (b"#" * 65537, "a.conf: 65537 bytes, at most 65536"),
    ],
)
def test_what_makes_no_sense_is_named(data: bytes, fault: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse_bls_entry(data, "a.conf")
    assert str(caught.value).startswith(fault)


def test_the_newest_version_is_first_within_a_sort_key() -> None:
    texts = {
        "none.conf": "efi /a",
        "old.conf": "sort-key b\nversion 6.9-1\nefi /a",
        "new.conf": "sort-key b\nversion 6.10-1\nefi /a",
        "a.conf": "sort-key a\nversion 1\nefi /a",
    }
    entries = {name: parse_bls_entry(text.encode(), name) for name, text in texts.items()}
    order = {name: entry.order for name, entry in entries.items() if entry}
    assert sorted(order, key=lambda name: order[name]) == [
        "a.conf",
        "new.conf",
        "old.conf",
        "none.conf",
    ]
