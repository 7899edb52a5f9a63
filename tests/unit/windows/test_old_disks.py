# SPDX-License-Identifier: Apache-2.0
"""Disks with an MBR: their volumes count, and what it means for who is started by UEFI is said."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace

from pykexec.disk.mbr import Identity
from pykexec.windows.bitlocker import Protection as Flag
from pykexec.windows.check import check
from pykexec.windows.findings import Level
from tests.support.bitlocker import Way, volume
from tests.support.mbr_disk import BASIC, EXTENDED, Record, put
from tests.support.windows_disk import (
    OLD_WINDOWS,
    PCA_2011,
    disk,
    old_bcd,
    old_disk,
    whole,
)
from tests.unit.windows.looks import (
    KEY,
    NTFS,
    OTHER_KEY,
    STARTUP,
    STRANGER,
    WAYS,
    WHAT,
    files,
    key,
    look,
    machine,
    texts,
)

MBR_NOTE = (
    "disk: has an MBR, no GPT: data volumes and sticks may, but Windows on a fixed disk is started "
    "by UEFI from a GPT alone (mbr2gpt converts it)"
)


def old(partition: Identity = OLD_WINDOWS, ways: Sequence[Way] = WAYS) -> bytes:
    """A disk with an MBR, whose default entry is on partition."""
    return bytes(old_disk(files(bcd=old_bcd(partition)), volume(ways)))


def test_volumes_of_an_mbr_are_looked_at_and_what_it_means_is_said() -> None:
    report = look(old(), [key()])
    assert report.faults == ()
    said = texts(report, Level.FINE)
    assert any(each.endswith(rf"winload.efi on partition {OLD_WINDOWS}") for each in said)
    assert f"{WHAT}: startup key {{{STARTUP.upper()}}}: key.BEK opens it" in said
    assert MBR_NOTE in texts(report, Level.NOTE)


def test_windows_own_volume_is_known_by_its_place_on_an_mbr() -> None:
    """Another one that does not open is a note then."""
    locked = old(ways=[Way(STRANGER, Flag.STARTUP_KEY, OTHER_KEY)])
    disks = [whole("disk", old()), whole("second", volume([Way(STRANGER, Flag.STARTUP_KEY, KEY)]))]
    assert check(disks, machine(PCA_2011), [key()]).faults == ()
    (fault,) = check([whole("disk", locked)], machine(PCA_2011), [key()]).faults
    assert "no secret at hand fits a protector of it" in fault.text


def test_a_partition_of_an_mbr_that_is_not_there_is_a_note() -> None:
    elsewhere = replace(OLD_WINDOWS, signature=7)
    report = look(old(elsewhere), [key()])
    missing = f"the default entry's partition {elsewhere} is on none of these disks: 0xc000000e"
    assert rf"\EFI\Microsoft\Boot\BCD: {missing}" in texts(report, Level.NOTE)
    assert report.faults == ()


def test_an_active_partition_is_for_a_bios() -> None:
    report = look(bytes(old_disk({}, volume(WAYS), flag=0x80)), [key()])
    assert f"{MBR_NOTE}; partition 2 is active: a BIOS starts it" in texts(report, Level.NOTE)
    assert [each.what for each in report.faults] == ["disks"]


def test_bitlocker_to_go_on_a_stick_is_looked_at() -> None:
    stick = bytes(old_disk({}, volume(WAYS, to_go=True)))
    report = check([whole("own", disk(files(), NTFS)), whole("disk", stick)], machine(PCA_2011))
    assert report.faults == ()
    assert f"{WHAT}: encrypted, XTS-AES 128 (SRV C: 1/1/2026)" in texts(report, Level.FINE)
    # Without a table, too: its first block ends as that of a disk.
    alone = check([whole("stick", volume(WAYS, to_go=True))], machine(PCA_2011))
    assert [each.place for each in alone.volumes] == ["stick"]


def test_a_table_that_is_none_and_a_chain_that_is_none_are_named() -> None:
    data = bytearray(old())
    struct.pack_into("<I", data, 446 + 16 + 8, 0xFFFFFFF0)
    assert texts(look(bytes(data)), Level.NOTE)[0].startswith("disk: MBR: partition 2, blocks [")
    data = bytearray(old())
    put(data, 0, Record(BASIC, 2048, len(volume(WAYS)) // 512), Record(EXTENDED, 8, 100))
    put(data, 8, Record(EXTENDED, 0, 100))
    notes = texts(look(bytes(data)), Level.NOTE)
    chain = "disk: MBR: extended partition: link at LBA 8: the next one, at LBA 8, is not within it"
    assert f"{chain}: what is behind it was not looked at" in notes
    assert MBR_NOTE in notes
