# SPDX-License-Identifier: Apache-2.0
"""What the boot menu reads: entries of disks, the firmware's options, what a terminal sends."""

from __future__ import annotations

from pykexec.efi.variables import parse_load_option, parse_numbers
from pykexec.menu.bls import parse_bls_entry
from pykexec.menu.firmware import payload
from pykexec.menu.keys import Decoder, Size
from pykexec.menu.state import Row, begin, press, resize


def bls_entry(data: bytes) -> None:
    """What is started lies on the entry's own volume."""
    found = parse_bls_entry(data, "x")
    assert found is None or (found.path.startswith("\\") and ".." not in found.path.split("\\"))


def bls_entries() -> list[bytes]:
    return [
        b"title Linux\nversion 6.1\nsort-key a\nlinux /linux\ninitrd /initrd\noptions quiet\n",
        b"# UKI\nefi /EFI/Linux/a.efi\narchitecture x64\n",
    ]


def option(data: bytes) -> None:
    """A boot option, and the order of them."""
    parse_numbers(data)
    found = payload(parse_load_option(data))
    assert found is None or found.path.startswith("\\")


def terminal(data: bytes) -> None:
    """Whatever comes over a line leaves a menu that can go on."""
    menu, decoder = begin((Row("a", options=""), Row("b"))), Decoder()
    for event in [*decoder.feed(data), *decoder.flush()]:
        if isinstance(event, Size):
            menu = resize(menu, event.columns, event.lines)
        else:
            menu = press(menu, event)


def lines() -> list[bytes]:
    return [b"\x1b[B\x1b[25;80R/b\r\r", b"e quiet\x1b[D\x7f\x1b"]
