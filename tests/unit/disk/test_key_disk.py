# SPDX-License-Identifier: Apache-2.0
"""Key disks, as other programs see them: sgdisk, fsck.fat, mtools, our own readers."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pykexec.disk import fat, gpt
from pykexec.disk.key_disk import BITLOCKER, PLAIN, Form, make_key_disk
from pykexec.errors import FormatError
from pykexec.run import run

BEK = "4381F759-C4F8-4DE0-BB61-FC33A831BDA5.BEK"
FILES = {
    BEK: bytes(range(156)),
    "luks.key": b"k" * 32,
    "PLAIN.TXT": b"short name",
    "plain.txt.bak": b"two dots",
    "empty": b"",
    "EFI/keys/größe.key": b"u" * 5000,
    "EFI/keys/größer.key": b"v",
}


def views(files: dict[str, bytes]) -> dict[str, memoryview]:
    return {name: memoryview(data) for name, data in files.items()}


def on_disk(directory: Path, files: dict[str, bytes], form: Form = PLAIN) -> Path:
    path = directory / "keys.img"
    with make_key_disk(views(files), form) as disk:
        path.write_bytes(disk.view)
    return path


def partition_of(disk: Path) -> Path:
    data = disk.read_bytes()
    table = gpt.read_gpt(lambda start, size: data[start : start + size], 512, len(data) // 512)
    assert table
    first, count = table.partitions[0].first_lba, table.partitions[0].nr_blocks
    path = disk.with_suffix(".fat")
    path.write_bytes(data[first * 512 : (first + count) * 512])
    return path


@pytest.mark.parametrize(
    ("form", "kind", "label"),
    [
        (PLAIN, "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7", "PYKEXEC"),
        (BITLOCKER, "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "BEK VOLUME"),
    ],
)
def test_sgdisk_finds_no_fault(tmp_path: Path, form: Form, kind: str, label: str) -> None:
    disk = on_disk(tmp_path, FILES, form)
    assert "No problems found" in run(["sgdisk", "--verify", str(disk)]).decode()
    told = run(["sgdisk", "--info=1", str(disk)]).decode()
    assert f"GUID code: {kind}" in told and "flags: 0000000000000000" in told
    assert f"name: '{label}'" in told


def test_a_label_may_have_a_space(tmp_path: Path) -> None:
    volume = partition_of(on_disk(tmp_path, FILES, BITLOCKER))
    run(["fsck.fat", "-n", str(volume)])
    assert "Volume label is BEK VOLUME" in run(["mlabel", "-s", "-i", str(volume)]).decode()


@pytest.mark.parametrize("label", ["", " BEK", "a.b", "twelve chars"])
def test_a_label_that_fat_cannot_have_is_refused(label: str) -> None:
    with pytest.raises(FormatError, match="label"):
        fat.plan(views(FILES), label)


def test_fsck_finds_no_fault(tmp_path: Path) -> None:
    listing = run(["fsck.fat", "-n", "-v", str(partition_of(on_disk(tmp_path, FILES)))]).decode()
    assert "12 bits per entry" in listing or "12 bit" in listing
    assert "differ" not in listing and "Dirty" not in listing


@pytest.mark.parametrize("name", FILES)
def test_mtools_read_every_file(tmp_path: Path, name: str) -> None:
    volume = partition_of(on_disk(tmp_path, FILES))
    env = {"MTOOLS_LOWER_CASE": "1", "LC_ALL": "C.UTF-8"}
    assert run(["mtype", "-i", str(volume), f"::/{name}"], env=env) == FILES[name]


def test_names_are_as_they_were_given(tmp_path: Path) -> None:
    volume = partition_of(on_disk(tmp_path, FILES))
    shown = run(["mdir", "-/", "-b", "-i", str(volume), "::/"], env={"LC_ALL": "C.UTF-8"}).decode()
    for name in FILES:
        assert f"::/{name}" in shown.splitlines()


def test_the_backup_table_is_at_the_end(tmp_path: Path) -> None:
    data = bytearray(on_disk(tmp_path, FILES).read_bytes())
    data[512:1024] = bytes(512)
    table = gpt.read_gpt(lambda at, size: bytes(data[at : at + size]), 512, len(data) // 512)
    assert table and table.from_backup and table.partitions[0].name == "PYKEXEC"


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    digests = {
        hashlib.sha256(on_disk(tmp_path, files).read_bytes()).hexdigest()
        for files in (FILES, dict(reversed(FILES.items())))
    }
    assert len(digests) == 1


def test_nothing_but_the_files_depends_on_their_contents(tmp_path: Path) -> None:
    first = on_disk(tmp_path, {"a.key": b"\x55" * 32}).read_bytes()
    second = on_disk(tmp_path, {"a.key": b"\xaa" * 32}).read_bytes()
    assert first.replace(b"\x55" * 32, b"\xaa" * 32, 1) == second


# The largest is about what Debian lets a user lock in memory.
@pytest.mark.parametrize("size", [1, 511, 512, 513, 4096, 1_000_000, 2_091_008, 8_000_000])
def test_files_of_any_size_fit(tmp_path: Path, size: int) -> None:
    volume = partition_of(on_disk(tmp_path, {"data": b"d" * size}))
    run(["fsck.fat", "-n", str(volume)])
    assert run(["mtype", "-i", str(volume), "::/data"]) == b"d" * size


def test_a_hundred_similar_names_stay_apart(tmp_path: Path) -> None:
    files = {f"a similar name {n}.key": str(n).encode() for n in range(150)}
    volume = partition_of(on_disk(tmp_path, files))
    run(["fsck.fat", "-n", str(volume)])
    assert run(["mtype", "-i", str(volume), "::/a similar name 149.key"]) == b"149"


def test_a_small_disk_is_small() -> None:
    with make_key_disk(views({"luks.key": b"k" * 32})) as disk:
        assert len(disk) < 256 << 10


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "is no name"),
        ("a/", "is no name"),
        ("../a", "is no name"),
        ("a:b", "is no name"),
        ("a\nb", "is no name"),
        ("end.", "is no name"),
        ("nul.txt", "reserved"),
        ("x" * 256, "too long"),
        ("\ud800", "no Unicode"),
    ],
)
def test_names_that_fat_cannot_have_are_refused(name: str, fault: str) -> None:
    with pytest.raises(FormatError, match=fault):
        fat.plan({name: memoryview(b"")})


@pytest.mark.parametrize("files", [{"a": b"", "A": b""}, {"a": b"", "a/b": b""}])
def test_two_names_for_one_file_are_refused(files: dict[str, bytes]) -> None:
    with pytest.raises(FormatError, match="there already"):
        fat.plan(views(files))


def test_too_many_bytes_are_refused() -> None:
    with pytest.raises(FormatError, match="too many"):
        fat.plan({"large": memoryview(bytes(140 << 20))})


def test_what_lists_directories_reads_nothing_of_files(tmp_path: Path) -> None:
    secret = bytes(range(1, 33))
    volume = partition_of(on_disk(tmp_path, {**FILES, "a.key": secret})).read_bytes()
    root = volume.index(b"PYKEXEC    \x08")
    listed = [root, volume.index(b".          \x10"), volume.rindex(b"..         \x10")]
    files = [volume.index(data) for data in (secret, bytes(range(156)), b"u" * 5000)]
    read_ahead = {(place - root) >> 16 for place in listed}
    assert not read_ahead & {(place - root) >> 16 for place in files}
