# SPDX-License-Identifier: Apache-2.0
"""The stick: made once, its files are written in place, and nothing else of it changes."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from pykexec.certify.journal import FILL
from pykexec.certify.settings import (
    APPLICATION_PATH,
    JOURNAL_SIZE,
    PAGE_SIZE,
    REPORT_SIZE,
    SCRATCH_PATH,
    SLOTS,
    slot_paths,
)
from pykexec.disk.fat_reader import FatVolume
from pykexec.errors import FirmwareError, FormatError
from pykexec.image.stick import IMAGE_PATH, write_stick
from pykexec.run import run
from tests.unit.certify.machine import PARTITION, make_stick, opened

JOURNAL = slot_paths(1)[0]


def test_another_reader_finds_every_file(tmp_path: Path) -> None:
    path = tmp_path / "stick.img"
    size = write_stick(path, b"image" * 1000, b"application")
    assert path.stat().st_size == size and not list(tmp_path.glob("*.new"))
    assert mtype(path, IMAGE_PATH) == b"image" * 1000
    assert mtype(path, APPLICATION_PATH) == b"application"
    for number in range(1, SLOTS + 1):
        sizes = [len(mtype(path, name)) for name in slot_paths(number)]
        assert sizes == [JOURNAL_SIZE, REPORT_SIZE, PAGE_SIZE]
    assert set(mtype(path, JOURNAL)) == set(FILL)
    assert b"journal.txt" in mtype(path, "certify/README.TXT")


def mtype(path: Path, name: str) -> bytes:
    """A file, by mtools."""
    unix = name.lstrip("\\").replace("\\", "/")
    return run(["mtype", "-i", f"{path}@@{PARTITION}", f"::/{unix}"], timeout_s=60)


@pytest.mark.parametrize(
    ("offset", "size"), [(0, 1), (1, 512), (511, 700), (70_000, 1024), (JOURNAL_SIZE - 700, 700)]
)
def test_only_what_is_written_changes(offset: int, size: int, tmp_path: Path) -> None:
    blocks = make_stick(tmp_path / "stick.img")
    before = blocks.path.read_bytes()
    area = opened(blocks, JOURNAL)
    area.write(offset, b"x" * size)
    after = blocks.path.read_bytes()

    expected = bytearray(FILL * JOURNAL_SIZE)
    expected[offset : offset + size] = b"x" * size
    is_as_expected = opened(blocks, JOURNAL).read() == area.read() == bytes(expected)
    assert is_as_expected  # Not compared there: pytest would print millions of bytes.
    (piece,) = area._pieces
    start = PARTITION + piece[0] + offset // 512 * 512
    end = PARTITION + piece[0] + -(-(offset + size) // 512) * 512
    others_are_equal = before[:start] == after[:start] and before[end:] == after[end:]
    assert others_are_equal


def test_a_file_in_pieces_is_written_where_they_are(tmp_path: Path) -> None:
    blocks = make_stick(tmp_path / "stick.img")
    area = opened(blocks, JOURNAL)
    (piece,) = area._pieces
    area._pieces = [(piece[0] + 1024, 1024), (piece[0], 1024), (piece[0] + 2048, piece[1] - 2048)]
    area.write(1000, b"x" * 100)
    assert blocks.read(piece[0] + 1024 + 1000, 24) == b"x" * 24
    assert blocks.read(piece[0], 77) == b"x" * 76 + FILL


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    blocks = make_stick(tmp_path / "stick.img")
    with pytest.raises(FormatError, match=r"stick: \\certify\\9\\journal.txt: there is no such"):
        opened(blocks, "\\certify\\9\\journal.txt")
    with pytest.raises(FormatError, match="no whole blocks of 512"):
        opened(blocks, APPLICATION_PATH)


def test_nothing_is_written_behind_a_files_end(tmp_path: Path) -> None:
    area = opened(make_stick(tmp_path / "stick.img"), SCRATCH_PATH, anew=True)
    with pytest.raises(FirmwareError) as caught:
        area.write(area.size - 1, b"xx")
    assert caught.value.errno == errno.ENOSPC


def test_a_files_places_cover_it(tmp_path: Path) -> None:
    volume = FatVolume(make_stick(tmp_path / "stick.img").read, "stick")
    entry = volume.find(SCRATCH_PATH)
    assert entry is not None
    assert sum(size for _, size in volume.places(entry)) == entry.size
