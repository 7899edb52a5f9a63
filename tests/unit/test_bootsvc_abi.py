# SPDX-License-Identifier: Apache-2.0
"""The kernel patches and the stub agree about the operations, the structs and the table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykexec._native import ffi, lib

ROOT = Path(__file__).resolve().parents[2]
HEADER = "include/linux/efi-bootsvc.h"
GUIDS = ROOT / "csrc/include/efi/guids.h"

# What is called differently there.
OPERATIONS = {
    "IMAGE_STAGE": "PAYLOAD_STAGE",
    "IMAGE_DATA": "PAYLOAD_DATA",
}
STRUCTS = {
    "bootsvc_request": "descriptor",
    "bootsvc_image_request": "payload_request",
    "bootsvc_image_data": "payload_data",
}
WIDTHS = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "efi_guid_t": 16}


def _patches() -> list[str]:
    lines = (ROOT / "kernel-patches/series").read_text().splitlines()
    names = [line for line in lines if line and not line.startswith("#")]
    return [(ROOT / "kernel-patches" / name).read_text() for name in names]


def _header() -> str:
    """The kernel's header as the series leaves it: the lines that its patches add, in order."""
    lines: list[str] = []
    for text in _patches():
        for part in re.split(r"^diff --git ", text, flags=re.M)[1:]:
            if part.startswith(f"a/{HEADER} "):
                lines += [line[1:] for line in part.splitlines() if re.match(r"\+(?!\+\+)", line)]
    return "\n".join(lines)


def _structs() -> Iterator[tuple[str, str]]:
    pattern = r"^struct efi_(bootsvc_\w+) \{\n([^}]*)^\} __packed;"
    for match in re.finditer(pattern, _header(), re.M):
        yield match[1], match[2]


def _size(body: str) -> int:
    constants = {"EFI_BOOTSVC_NET_SLOTS": 64}
    total = 0
    for kind, count in re.findall(r"^\s+(\w+)\s+\w+(?:\[(\w+)\])?;", body, re.M):
        total += WIDTHS[kind] * (int(constants.get(count, count)) if count else 1)
    return total


def test_operations_have_the_same_numbers() -> None:
    found = dict(re.findall(r"\bEFI_BOOTSVC_(\w+)\s+= (\d+),", _header()))
    assert len(found) > 20
    for name, number in found.items():
        assert getattr(lib, f"PK_OP_{OPERATIONS.get(name, name)}") == int(number), name


@pytest.mark.parametrize("limit", ["NET_SLOTS", "NET_SLOT_SIZE", "NET_FRAMES"])
def test_limits_are_the_same(limit: str) -> None:
    match = re.search(rf"#define EFI_BOOTSVC_{limit}\s+(\d+)", _header())
    assert match and int(match[1]) == getattr(lib, f"PK_{limit}")


def test_structs_have_the_same_sizes() -> None:
    compared = []
    for name, body in _structs():
        ours = STRUCTS.get(name, name.removeprefix("bootsvc_"))
        if name != "bootsvc_table":  # the stub alone knows it, and both assert its size
            assert _size(body) == ffi.sizeof(f"struct pk_{ours}"), name
            compared.append(name)
    assert len(compared) > 15, compared


def test_the_table_has_the_same_guid() -> None:
    number = r"(0x[0-9a-f]+)"
    pattern = r"^\+#define LINUX_EFI_BOOTSVC_TABLE_GUID\s+EFI_GUID\((.*)\)"
    define = re.search(pattern, "".join(_patches()), re.M)
    ours = re.search(r"X\(linux_bootsvc_table, (.*)\)", GUIDS.read_text())
    assert define and ours
    assert re.findall(number, define[1]) == re.findall(number, ours[1])
