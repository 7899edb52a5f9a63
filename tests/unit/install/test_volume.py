# SPDX-License-Identifier: Apache-2.0
"""A file gets onto the partition by way of another name, synced and read back before it counts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pykexec.install.volume import TEMPORARY, MountedVolume, make_room, put
from tests.support.boot_manager import OLD
from tests.support.esp_disk import CLUSTER, EspDisk

PATH = "EFI/pykexec/a.efi"


def test_a_file_is_there_and_nothing_else(tmp_path: Path) -> None:
    volume = MountedVolume(tmp_path)
    for data in (b"old", b"new" * 9999):
        put(volume, PATH, data)
        assert volume.read(PATH) == data
        assert volume.size(PATH) == len(data)
    assert os.listdir(tmp_path / "EFI/pykexec") == ["a.efi"]
    volume.remove(PATH)
    volume.remove(PATH)
    assert (volume.read(PATH), volume.size(PATH)) == (None, 0)
    free, cluster = volume.room()
    assert free > cluster > 0


def test_what_a_power_cut_has_left_is_taken_away(tmp_path: Path) -> None:
    left = tmp_path / "EFI/pykexec" / TEMPORARY
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    put(MountedVolume(tmp_path), PATH, b"whole")
    assert not left.exists()


@pytest.mark.parametrize("call", ["mkdir", "fsync", "replace"])
def test_what_fails_leaves_the_file_as_it_was(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = MountedVolume(tmp_path)
    if call != "mkdir":
        put(volume, PATH, b"old")

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="No space left"):
        put(volume, PATH, b"new")
    monkeypatch.undo()
    assert volume.read(PATH) == (None if call == "mkdir" else b"old")


def test_every_byte_is_synced_before_its_name_counts() -> None:
    steps: list[str] = []
    disk = EspDisk(steps.append)
    put(disk, PATH, OLD)
    assert steps == [
        "mkdir EFI/pykexec",
        f"write EFI/pykexec/{TEMPORARY}",
        f"sync EFI/pykexec/{TEMPORARY}",
        f"rename EFI/pykexec/{TEMPORARY} to {PATH}",
        "sync directory EFI/pykexec",
    ]


def test_room_is_counted_in_clusters_and_the_expendable_file_goes_only_where_it_must() -> None:
    disk = EspDisk(lambda _: None)
    disk.size_max = 10 * CLUSTER
    disk.add(PATH, bytes(3 * CLUSTER))
    assert not make_room(disk, {"EFI/pykexec/b.efi": bytes(3 * CLUSTER)}, PATH)
    assert make_room(disk, {PATH: bytes(6 * CLUSTER)}, PATH)
    with pytest.raises(OSError, match="40 KiB are free, 44 KiB are needed"):
        make_room(disk, {PATH: bytes(6 * CLUSTER + 1)}, PATH)
