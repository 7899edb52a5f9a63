# SPDX-License-Identifier: Apache-2.0
"""What Windows and other systems leave on disks: what is done with it, and valid inputs."""

from __future__ import annotations

import json
import struct
import tempfile
from contextlib import nullcontext, suppress
from pathlib import Path

from pykexec.disk import bek, fat, mbr
from pykexec.efi.guid import Guid
from pykexec.errors import FormatError
from pykexec.policy.recovery import reported
from pykexec.vm.hives import bcd_tree
from pykexec.vm.hives import hive as bcd_hive
from pykexec.windows import bitlocker as volume
from pykexec.windows.bcd import parse_bcd, ramdisk_files
from pykexec.windows.check import check
from pykexec.windows.hive import BASE_SIZE, Hive, checksum
from pykexec.windows.machine import Machine
from pykexec.windows.unlock import opens
from pykexec.windows.wim import WimCheck
from tests.fuzz.samples import signed_images
from tests.support import bitlocker as volumes
from tests.support import installer, windows_disk
from tests.support.mbr_disk import BASIC, EXTENDED, Record, put
from tests.support.wims import hollow_wim, make_wim
from tests.support.windows_disk import whole as whole_disk

_GUID = "01234567-89ab-cdef-0123-456789abcdef"
_PROOF_SIZE = 80
_DEPTH, _WIDTH = 8, 64


def bitlocker(data: bytes) -> None:
    """As a block of metadata whose checksum is right, what follows it, and as a volume."""
    volume.read_volume(lambda offset, size: data[offset : offset + size], "x")
    found = volume.parse_metadata(data, data[-_PROOF_SIZE:], "x")
    for protector in found.protectors:
        assert str(protector).isprintable()
        assert not opens(found, protector, bytes(32))


def hive(data: bytes) -> None:
    """Every key and value, as deep as a path goes, and as a boot configuration; the checksum is
    made right.
    """
    whole = bytearray(data)
    if len(whole) >= BASE_SIZE:
        struct.pack_into("<I", whole, 508, checksum(data))
    found = Hive(bytes(whole), "x")
    level = [found.root]
    for _ in range(_DEPTH):
        for key in level:
            assert all(value.texts is not None for value in found.values(key))
        level = [child for key in level for child in found.subkeys(key)][:_WIDTH]
    for path in (ramdisk_files(bytes(whole), "x").wim, parse_bcd(bytes(whole), "x").default.path):
        assert "\0" not in path


def wim(data: bytes) -> None:
    """In two pieces, as a file of just these bytes and as one of which a byte is missing."""
    for size in (len(data) + 1, len(data)):
        found = WimCheck("x", size)
        with suppress(FormatError) if size > len(data) else nullcontext():
            found.update(data[:100])
            found.update(data[100:])
            found.finish()


def disk(data: bytes) -> None:
    """A disk may hold anything: what is said of it is a report."""
    report = check([whole_disk("x", data, 512)], Machine(True, (), (), ()))
    assert report.findings and all("\n" not in str(each) for each in report.findings)


def old_table(data: bytes) -> None:
    """Whatever the chain is like: partitions on the disk, apart from each other, not too many."""
    nr_blocks = len(data) // 512
    found = mbr.read_mbr(lambda offset, size: data[offset : offset + size], 512, nr_blocks)
    ranges = sorted((each.first_lba, each.end) for each in found.partitions) if found else []
    assert len(ranges) <= 4 + mbr.LOGICAL_MAX
    free = 1
    for first, end in ranges:
        assert free <= first < end <= nr_blocks
        free = end


def beks() -> list[bytes]:
    identifier = Guid.parse(_GUID)
    made = []
    for of_volume in (None, identifier):
        out = bytearray(bek.size(of_volume))
        bek.write(memoryview(out), memoryview(bytes(32)), identifier, of_volume, 0)
        made.append(bytes(out))
    return made


def bitlocker_metadata() -> list[bytes]:
    """One protector of each shape, with what vouches for them behind."""
    key = bytes(range(1, 33))
    ways = [
        volumes.Way(_GUID, 0x0000, key),
        volumes.Way(_GUID, 0x0200, key),
        volumes.Way(_GUID, 0x0700, pcrs=(7, 11)),
    ]
    block = volumes.metadata(ways)
    return [block, block + volumes.validation(block)]


def hives() -> list[bytes]:
    plain = [bcd_hive(bcd_tree(_GUID, _GUID, _GUID), lists) for lists in ("lf", "li", "ri")]
    return [*plain, installer.configuration()]


def wims() -> list[bytes]:
    """One without and one with an integrity table."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "boot.wim"
        hollow_wim(path, 100)
        return [path.read_bytes(), make_wim(Path(directory), "--check", name="a").read_bytes()]


def disks() -> list[bytes]:
    """An ESP, BitLocker's signature, and that in partitions of an MBR."""
    files = {windows_disk.BOOTMGFW: signed_images()[0], windows_disk.BCD: windows_disk.bcd()}
    files["a.BEK"] = beks()[1]
    planned = fat.plan({name: memoryview(data) for name, data in files.items()})
    out = bytearray(planned.size)
    planned.write(memoryview(out))
    old = bytearray(old_tables()[0])
    for lba, to_go in ((1, False), (5, True)):
        old[lba * 512 : (lba + 1) * 512] = volumes.volume([], to_go)[:512]
    return [bytes(out), volumes.volume([])[:512], bytes(old)]


def old_tables() -> list[bytes]:
    """A primary partition, and two in a chain."""
    out = bytearray(9 * 512)
    put(out, 0, Record(BASIC, 1, 2, flag=0x80), Record(EXTENDED, 4, 5))
    put(out, 4, Record(BASIC, 1, 1), Record(EXTENDED, 3, 2))
    put(out, 7, Record(BASIC, 1, 1))
    return [bytes(out)]


def reports() -> list[bytes]:
    """What `pykexec windows check --json` says of protectors by TPM and by startup key."""
    tpm = {"kind": "TPM", "pcrs": [7, 11], "proven": False}
    startup = {"kind": "startup key", "pcrs": None, "proven": True}
    found = [("C", [tpm]), ("D", [tpm, startup]), ("E", [startup])]
    volumes = [{"place": place, "protectors": protectors} for place, protectors in found]
    return [json.dumps({"volumes": volumes[:count]}).encode() for count in range(len(volumes) + 1)]


def report(data: bytes) -> None:
    """Registers that there are, or why none are told."""
    found = reported(data, "x")
    assert found if isinstance(found, str) else all(isinstance(pcr, int) for pcr in found)
