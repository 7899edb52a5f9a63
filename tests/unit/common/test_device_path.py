# SPDX-License-Identifier: Apache-2.0
"""Device paths as untrusted bytes."""

from __future__ import annotations

import pytest

from pykexec._native import ffi, lib
from tests.support.samples import END_NODE, INITRD_NODE, device_node

DISK = device_node(1, 1, b"\x00\x1f")
FILE_TYPE = (4, 4)


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (END_NODE, 4),
        (END_NODE + b"more", 4),
        (DISK + END_NODE, 10),
        (DISK + device_node(0x7F, 1) + DISK + END_NODE, 20),
        (b"", 0),
        (END_NODE[:3], 0),
        (DISK, 0),
        (DISK + END_NODE[:3], 0),
        (device_node(1, 1, length=0) + END_NODE, 0),
        (device_node(1, 1, length=3) + END_NODE, 0),
        (device_node(1, 1, length=9) + END_NODE, 0),
        (device_node(1, 1, length=0xFFFF) + END_NODE, 0),
        (device_node(0x7F, 0xFF, length=0), 0),
        (device_node(0x7F, 0xFF, b"\0"), 0),
    ],
)
def test_size_counts_up_to_the_end_node(data: bytes, size: int) -> None:
    assert lib.pk_device_path_size(data, len(data)) == size


@pytest.mark.parametrize(
    ("data", "initrd"),
    [
        (INITRD_NODE + END_NODE, True),
        (INITRD_NODE + END_NODE + b"more", True),
        (INITRD_NODE, False),
        (INITRD_NODE + END_NODE[:3], False),
        (INITRD_NODE + DISK + END_NODE, False),
        (INITRD_NODE + device_node(0x7F, 1), False),
        (DISK + INITRD_NODE + END_NODE, False),
        (INITRD_NODE[:-1] + b"\x69" + END_NODE, False),
        (device_node(4, 3, INITRD_NODE[4:] + b"\0") + END_NODE, False),
        (device_node(3, 3, INITRD_NODE[4:]) + END_NODE, False),
        (b"", False),
    ],
)
def test_the_path_that_linux_asks_its_initrd_by(data: bytes, initrd: bool) -> None:
    assert lib.pk_device_path_is_initrd(data, len(data)) is initrd


FILE = device_node(4, 4, b"a\0\0\0")
ADDRESSES = [device_node(3, subtype, b"") for subtype in (12, 13, 24, 31)]
OPTION_ROM = device_node(4, 8, bytes(20))  # an offset range: where EDK II says that it came from


@pytest.mark.parametrize(
    ("tail", "file", "address"),
    [
        (END_NODE, True, True),
        (FILE + END_NODE, True, False),
        (FILE + FILE + END_NODE, True, False),
        (b"".join(ADDRESSES) + END_NODE, False, True),
        (FILE + ADDRESSES[0] + END_NODE, False, False),
        (OPTION_ROM + END_NODE, False, False),
        (FILE + OPTION_ROM + END_NODE, False, False),
        (ADDRESSES[2] + OPTION_ROM + END_NODE, False, False),
        (device_node(3, 11, b"") + END_NODE, False, False),
        (FILE + device_node(0x7F, 1) + FILE + END_NODE, False, False),
        (FILE, False, False),
        (b"", False, False),
    ],
)
def test_what_may_follow_a_volume_and_a_network_card(
    tail: bytes, file: bool, address: bool
) -> None:
    assert lib.pk_device_path_is_file(tail, len(tail)) is file
    assert lib.pk_device_path_is_address(tail, len(tail)) is address


def append(base: bytes, path: str, capacity: int = 4096) -> bytes:
    units = [*path.encode("utf-16-le"), 0, 0]
    text = ffi.cast("u16 *", ffi.from_buffer(data := bytes(units)))
    out = ffi.new("u8[]", capacity)
    size = lib.pk_device_path_append_file(base, len(base), text, out, capacity)
    assert len(data) and size <= capacity
    return bytes(ffi.buffer(out))[:size]


def test_a_file_path_takes_the_place_of_the_end_node() -> None:
    name = "\\EFI\\ü.efi"
    node = device_node(*FILE_TYPE, (name + "\0").encode("utf-16-le"))
    assert append(DISK + END_NODE, name) == DISK + node + END_NODE
    assert append(END_NODE, "") == device_node(*FILE_TYPE, b"\0\0") + END_NODE


@pytest.mark.parametrize("base", [b"", DISK, DISK + device_node(1, 1, length=3) + END_NODE])
def test_nothing_is_appended_to_a_malformed_path(base: bytes) -> None:
    assert append(base, "x") == b""


@pytest.mark.parametrize(("missing", "fits"), [(0, True), (1, False), (18, False)])
def test_what_does_not_fit_is_not_written(missing: int, fits: bool) -> None:
    need = len(DISK) + 4 + 4 + 4
    assert bool(append(DISK + END_NODE, "x", need - missing)) is fits


@pytest.mark.parametrize(("length", "fits"), [(32764, True), (32765, False), (40000, False)])
def test_a_node_holds_at_most_65535_bytes(length: int, fits: bool) -> None:
    assert bool(append(END_NODE, "x" * length, 100_000)) is fits


def memory_path(type_: int, start: int, end: int, capacity: int = 28) -> bytes:
    out = ffi.new("u8[]", 64)
    size = lib.pk_device_path_memory(type_, start, end, out, capacity)
    return bytes(ffi.buffer(out))[:size]


def test_a_memory_mapped_path() -> None:
    body = b"\x02\0\0\0" + (0x1000).to_bytes(8, "little") + (0x1FFF).to_bytes(8, "little")
    assert memory_path(2, 0x1000, 0x1FFF) == device_node(1, 3, body) + END_NODE


@pytest.mark.parametrize(("start", "end", "capacity"), [(0, 1, 27), (0, 1, 0), (2, 1, 28)])
def test_no_memory_mapped_path(start: int, end: int, capacity: int) -> None:
    assert memory_path(2, start, end, capacity) == b""
