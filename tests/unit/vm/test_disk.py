# SPDX-License-Identifier: Apache-2.0
"""Disk images of machines, as other programs see them."""

from __future__ import annotations

from pathlib import Path

from pykexec.run import run
from pykexec.vm.disk import DISK_GUID, Esp, Ext4, make_disk

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
