# SPDX-License-Identifier: Apache-2.0
"""Wims that wimlib has made are whole; what is cut off, damaged or of another kind is said."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykexec.errors import FormatError
from pykexec.run import run
from pykexec.windows.wim import CHUNK_SIZE, HEADER_SIZE, WimCheck
from tests.support.wims import make_wim

FLAGS, PART, NR_IMAGES, BOOT_INDEX = 16, 40, 44, 120
LOOKUP, XML, BOOT, INTEGRITY = 48, 72, 96, 124


@pytest.fixture(name="wim", scope="module")
def wim_fixture(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Compressed, bootable, with an integrity table."""
    return make_wim(tmp_path_factory.mktemp("wim"), "--check").read_bytes()


def check(data: bytes, size: int | None = None, step: int = 1 << 20) -> None:
    """Look at data in pieces of step bytes, of a file of size bytes."""
    found = WimCheck("boot.wim", len(data) if size is None else size)
    for start in range(0, len(data), step):
        found.update(data[start : start + step])
    found.finish()


def changed(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def place(data: bytes, at: int) -> tuple[int, int]:
    """Where the header says that something begins and ends."""
    size, start = struct.unpack_from("<QQ", data, at)
    return start, start + (size & (1 << 56) - 1)


def resource(start: int, size: int, flags: int = 0) -> bytes:
    return struct.pack("<QQQ", flags << 56 | size, start, size)


@pytest.mark.parametrize("step", [1, 100, 207, 209, 4096, 1 << 20])
def test_a_wim_is_whole_in_pieces_of_any_size(step: int, wim: bytes) -> None:
    check(wim, step=step)


@pytest.mark.parametrize(
    "options",
    [
        ("--compress=none",),
        ("--compress=XPRESS",),
        ("--compress=LZX", "--check"),
        (),
    ],
)
def test_wims_of_every_compression_are_taken(options: tuple[str, ...], tmp_path: Path) -> None:
    check(make_wim(tmp_path, *options).read_bytes())


def test_integrity_of_several_chunks_is_what_wimlib_says(tmp_path: Path) -> None:
    path = make_wim(tmp_path, "--check", "--compress=none", size=2 * CHUNK_SIZE + 12345)
    run(["wimlib-imagex", "verify", str(path)])
    data = path.read_bytes()
    check(data)
    for at in (HEADER_SIZE, HEADER_SIZE + CHUNK_SIZE - 1, HEADER_SIZE + 2 * CHUNK_SIZE + 5):
        start = HEADER_SIZE + (at - HEADER_SIZE) // CHUNK_SIZE * CHUNK_SIZE
        fault = rf"^boot\.wim: is damaged: bytes \[{start:#x}, 0x"
        with pytest.raises(FormatError, match=fault):
            check(changed(data, at, bytes([data[at] ^ 1])))


def test_several_images_are_counted(tmp_path: Path) -> None:
    path = make_wim(tmp_path, "--check")
    run(["wimlib-imagex", "append", f"{path}.tree", str(path), "second", "--no-acls", "--check"])
    check(path.read_bytes())


def ends(wim: bytes) -> Iterator[tuple[int, str]]:
    """Where a file may end, and what is said then."""
    yield 0, "is cut off: 0 bytes, and its header has 208$"
    yield HEADER_SIZE - 1, "is cut off: 207 bytes, and its header has 208$"
    lookup, integrity = place(wim, LOOKUP)[1], place(wim, INTEGRITY)[1]
    yield HEADER_SIZE, rf"is cut off: its lookup table ends at {lookup}, the file at 208$"
    yield lookup - 1, rf"is cut off: its lookup table ends at {lookup}, the file at {lookup - 1}$"
    yield len(wim) - 1, f"is cut off: its .* ends at {len(wim)}, the file at {len(wim) - 1}$"
    assert integrity <= len(wim)


def test_a_wim_that_is_cut_off_is_named_with_where_it_should_end(wim: bytes) -> None:
    for size, fault in ends(wim):
        with pytest.raises(FormatError, match=rf"^boot\.wim: {fault}"):
            check(wim[:size])


def test_what_is_cut_off_is_said_as_soon_as_the_header_is_there(wim: bytes) -> None:
    found = WimCheck("boot.wim", len(wim) - 1)
    with pytest.raises(FormatError, match="is cut off"):
        found.update(wim[:HEADER_SIZE])


def test_a_transfer_that_ends_early_is_said(wim: bytes) -> None:
    fault = f"is cut off after {len(wim) - 5} of {len(wim)} bytes"
    with pytest.raises(FormatError, match=fault):
        check(wim[:-5], size=len(wim))


@pytest.mark.parametrize(
    ("at", "new", "fault"),
    [
        (0, b"PK\x03\x04", "is no wim: it does not begin with MSWIM"),
        (8, b"\xd1", "is no wim: its header says that it has 209 bytes"),
        (12, b"\x00\x0e\x00", "is a solid wim"),
        (12, b"\x00\x0f\x01", "is a wim of version 0x10f00"),
        (FLAGS, b"\x40", "is not finished"),
        (PART, struct.pack("<HH", 1, 3), "is part 1 of 3 of a split wim"),
        (BOOT_INDEX, bytes(4), "has no image to boot: 0 of 1 is marked bootable"),
        (BOOT_INDEX, b"\x02", "has no image to boot: 2 of 1 is marked"),
        (LOOKUP, resource(0, 0), "has no lookup table"),
        (BOOT, resource(0, 0), "has no boot image"),
        (XML, resource(100, 50), "has its XML data at 0x64, in its header"),
        (XML, resource((1 << 64) - 1, (1 << 56) - 1), "is cut off: its XML data ends at"),
        (NR_IMAGES, b"\x02", "has 1 images, and its header says 2"),
        (INTEGRITY, resource(300, 12), "has an integrity table of 12 bytes, which is none"),
        (INTEGRITY, resource(300, 5), "has an integrity table of 5 bytes, which is none"),
    ],
)
def test_what_is_no_wim_to_boot_is_said(at: int, new: bytes, fault: str, wim: bytes) -> None:
    with pytest.raises(FormatError, match=rf"^boot\.wim: {fault}"):
        check(changed(wim, at, new))


def test_a_lookup_table_that_cannot_be_one_is_said(wim: bytes) -> None:
    start, end = place(wim, LOOKUP)
    for new in (resource(start, end - start - 1), resource(start, end - start, 0x04)):
        with pytest.raises(FormatError, match=r"has a lookup table of \d+ bytes, which is none"):
            check(changed(wim, LOOKUP, new))


def test_an_entry_that_leads_out_of_the_file_is_said(wim: bytes) -> None:
    start = place(wim, LOOKUP)[0]
    beyond = changed(wim, start, resource(len(wim), 10))
    with pytest.raises(FormatError, match="is cut off: its resource of entry 0 ends at"):
        check(beyond)
    elsewhere = changed(wim, start + 24, b"\x02")
    with pytest.raises(FormatError, match="has the resource of entry 0 in part 2 of a split wim"):
        check(elsewhere)


def test_a_wim_that_no_image_of_is_bootable_is_refused(tmp_path: Path) -> None:
    data = make_wim(tmp_path, bootable=False).read_bytes()
    with pytest.raises(FormatError, match="has no image to boot: 0 of 1 is marked bootable"):
        check(data)


def test_a_solid_wim_is_refused(tmp_path: Path) -> None:
    data = make_wim(tmp_path, "--solid", name="install.esd").read_bytes()
    with pytest.raises(FormatError, match=r"is a solid wim \(ESD\)"):
        check(data)
