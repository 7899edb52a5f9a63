# SPDX-License-Identifier: Apache-2.0
"""Disk images of machines, as other programs see them."""

from __future__ import annotations

from pathlib import Path

from pykexec.run import run
from pykexec.vm.disk import DISK_GUID, MIB, SECTOR, Esp, Ext4, Raw, make_disk

ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


def test_the_table_of_a_disk_is_the_one_that_was_asked_for(tmp_path: Path) -> None:
    disk = make_disk(tmp_path / "disk.img", [Esp({"EFI/a": b"a"}), Ext4({"b": b"b"})])

    assert "No problems found" in run(["sgdisk", "--verify", disk.path], env=ENV).decode()
    printed = run(["sgdisk", "--print", disk.path], env=ENV).decode()
    assert str(DISK_GUID).upper() in printed
    for layout, type_, label in zip(
        disk.partitions, ("EF00", "8300"), ("ESP", "data"), strict=True
    ):
        row = next(
            line for line in printed.splitlines() if line.split()[:1] == [str(layout.number)]
        )
        assert row.split()[1:3] == [str(layout.start), str(layout.start + layout.size - 1)]
        assert row.split()[-2:] == [type_, label]
        told = run(["sgdisk", f"--info={layout.number}", disk.path], env=ENV).decode()
        assert str(layout.guid).upper() in told


def test_a_raw_partition_is_what_is_in_its_file(tmp_path: Path) -> None:
    content = b"head" + bytes(3 * MIB) + b"tail"
    (tmp_path / "content").write_bytes(content)

    disk = make_disk(tmp_path / "disk.img", [Esp({}), Raw(tmp_path / "content")])

    layout = disk.partitions[1]
    start = layout.start * SECTOR
    assert layout.size * SECTOR == 4 * MIB
    assert disk.path.read_bytes()[start : start + len(content)] == content
    told = run(["sgdisk", "--info=2", disk.path], env=ENV).decode()
    assert "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7" in told
