# SPDX-License-Identifier: Apache-2.0
"""Files of FAT volumes that mkfs.fat and mtools have made, and of such as nobody should."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from pykexec.disk import fat
from pykexec.disk.fat_reader import Entry, FatVolume
from pykexec.errors import FormatError
from pykexec.run import run

ROOT = Entry("", True, 0, 0)
CONTENT = random.Random(1).randbytes(70_001)


def volume(data: bytes) -> FatVolume:
    return FatVolume(lambda offset, size: data[offset : offset + size], "volume")


def of_file(path: Path) -> FatVolume:
    """Of a volume that is too large for memory."""

    def read(offset: int, size: int) -> bytes:
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read(size)

    return FatVolume(read, "volume")


def formatted(directory: Path, bits: int, size: int, *options: str) -> Path:
    path = directory / "volume"
    with open(path, "wb") as file:
        file.truncate(size)
    run(["mkfs.fat", "-F", str(bits), "-n", "A LABEL", *options, path])
    return path


def put(path: Path, content: bytes, *names: str) -> None:
    """Copy a file to each of the names."""
    source = path.parent / "source"
    source.write_bytes(content)
    for name in names:
        run(["mcopy", "-o", "-i", path, source, f"::{name}"])


SHAPES = [
    (12, 1 << 20, ()),
    (12, 1 << 20, ("-s", "1", "-f", "1")),
    (16, 16 << 20, ("-s", "4")),
    (32, 40 << 20, ("-s", "1")),
    (32, 300 << 20, ("-S", "4096", "-s", "1")),
]


@pytest.mark.parametrize(("bits", "size", "options"), SHAPES)
def test_what_mtools_wrote_is_read(
    tmp_path: Path, bits: int, size: int, options: tuple[str, ...]
) -> None:
    path = formatted(tmp_path, bits, size, *options)
    for name in ("EFI", "EFI/Microsoft", "EFI/Microsoft/Boot"):
        run(["mmd", "-i", path, f"::{name}"])
    # Between the two a file that goes: what follows is not in one piece.
    put(path, b"first" * 100, "EFI/first")
    put(path, b"gone" * 3000, "EFI/gone")
    put(path, b"second" * 100, "EFI/second")
    run(["mdel", "-i", path, "::EFI/gone"])
    put(path, CONTENT, "EFI/Microsoft/Boot/bootmgfw.efi")
    put(path, b"", "EFI/empty")
    for index in range(8):
        put(path, b"%d" % index, f"EFI/A long name with größe {index}.BEK")
    found = of_file(path)
    assert found.read_file("\\efi\\MICROSOFT\\boot\\BOOTMGFW.EFI", 1 << 20) == CONTENT
    assert found.read_file("EFI/first", 1 << 20) == b"first" * 100
    assert found.read_file("EFI/second", 1 << 20) == b"second" * 100
    assert found.read_file("EFI/empty", 0) == b""
    assert found.read_file("EFI/A long name with größe 7.BEK", 10) == b"7"
    assert found.read_file("EFI/gone", 1 << 20) is None
    assert found.read_file("EFI/first/deeper", 1 << 20) is None
    assert found.read_file("EFI/Microsoft", 1 << 20) is None
    assert [each.name for each in found.entries(ROOT)] == ["EFI"]
    with pytest.raises(FormatError, match=r"^volume: EFI/first: 500 bytes, more than 499$"):
        found.read_file("EFI/first", 499)


def test_what_our_own_writer_wrote_is_read() -> None:
    files = {"4381F759.BEK": b"k" * 156, "EFI/keys/größe.key": b"u" * 5000, "plain.txt": b"x"}
    planned = fat.plan({name: memoryview(data) for name, data in files.items()})
    out = bytearray(planned.size)
    planned.write(memoryview(out))
    found = volume(bytes(out))
    assert {name: found.read_file(name, 1 << 20) for name in files} == files


def test_a_secret_is_read_in_pieces_into_one(tmp_path: Path) -> None:
    """Clusters that do not lie together; beyond its end the file's last one has others' bytes."""
    path = formatted(tmp_path, 12, 1 << 20, "-s", "1")
    put(path, bytes(500), "A", "B", "C")
    run(["mdel", "-i", path, "::A", "::C"])
    put(path, CONTENT[:1500], "KEY.BEK")
    data = path.read_bytes()
    places: list[tuple[int, int]] = []

    def read(offset: int, out: memoryview) -> int:
        places.append((offset, len(out)))
        out[:] = data[offset : offset + len(out)]
        return len(out)

    secret = volume(data).read_secret("key.bek", 1500, read)
    assert secret and bytes(secret.view) == CONTENT[:1500]
    assert [size for _, size in places] == [512, 988]
    assert volume(data).read_secret("NONE.BEK", 1500, read) is None
    with pytest.raises(FormatError, match=r"^volume: KEY\.BEK: 1500 bytes, more than 1499$"):
        volume(data).read_secret("KEY.BEK", 1499, read)
    with pytest.raises(FormatError, match=r"^volume: KEY\.BEK: cut off at offset \d+$"):
        volume(data).read_secret("KEY.BEK", 1500, lambda offset, out: len(out) - 1)


def damaged(directory: Path, offset: int, data: bytes) -> FatVolume:
    """A FAT12 volume with a file of three clusters, and other bytes somewhere."""
    path = formatted(directory, 12, 1 << 20, "-s", "1", "-f", "1")
    put(path, bytes(1500), "FILE")
    whole = bytearray(path.read_bytes())
    whole[offset : offset + len(data)] = data
    return volume(bytes(whole))


def test_a_chain_that_ends_early_is_told(tmp_path: Path) -> None:
    found = damaged(tmp_path, 512, b"\xf8\xff\xff\xff\xff\xff")
    with pytest.raises(FormatError, match=r"^volume: FILE: cluster 4095 of \d+$"):
        found.read_file("FILE", 1500)


def test_a_directory_that_leads_back_to_itself_ends(tmp_path: Path) -> None:
    path = formatted(tmp_path, 32, 40 << 20, "-s", "1")
    whole = bytearray(path.read_bytes())
    (reserved,) = struct.unpack_from("<H", whole, 14)
    struct.pack_into("<I", whole, reserved * 512 + 2 * 4, 2)
    root = reserved * 512 + 2 * 512 * struct.unpack_from("<I", whole, 36)[0]
    # No entry that would end the listing.
    whole[root : root + 512] = (b"\xe5" + bytes(31)) * 16
    found = volume(bytes(whole))
    assert list(found.entries(ROOT)) == []


@pytest.mark.parametrize(
    ("offset", "data", "fault"),
    [
        (510, b"\0\0", "no FAT volume"),
        (0, b"\0", "no FAT volume"),
        (11, b"\1\0", "no FAT volume"),
        (13, b"\3", "3 sectors are no cluster"),
        (14, b"\0\0", "no FAT volume"),
        (19, b"\1\0", "it has no clusters"),
        (22, b"\1\0", "its table has not all"),
    ],
)
def test_what_is_no_volume_is_named(tmp_path: Path, offset: int, data: bytes, fault: str) -> None:
    with pytest.raises(FormatError, match=f"^volume: .*{fault}"):
        damaged(tmp_path, offset, data)


def test_a_file_beyond_the_end_of_the_disk_is_told(tmp_path: Path) -> None:
    path = formatted(tmp_path, 12, 1 << 20)
    put(path, bytes(100_000), "FILE")
    found = volume(path.read_bytes()[:60_000])
    with pytest.raises(FormatError, match=r"^volume: FILE: cut off at offset 60000$"):
        found.read_file("FILE", 1 << 20)
