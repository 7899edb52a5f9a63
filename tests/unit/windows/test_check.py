# SPDX-License-Identifier: Apache-2.0
"""What is said of a disk with Windows on it, and whether that keeps it from starting unattended."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Sequence
from dataclasses import replace

import pytest

from pykexec.efi.authenticode import certificate
from pykexec.efi.pe import authenticode_digest, parse
from pykexec.efi.signature_list import SHA256, SignatureList
from pykexec.windows.bitlocker import Protection as Flag
from pykexec.windows.check import check
from pykexec.windows.findings import Level, Report
from pykexec.windows.keys import StartupKey
from pykexec.windows.machine import Machine
from tests.support.bitlocker import VOLUME, Way, bek_file, volume
from tests.support.windows_disk import (
    CA_2023,
    ESP,
    OWNER,
    PCA_2011,
    UEFI_CA_2011,
    WINDOWS,
    authority,
    bcd,
    certificates,
    disk,
    whole,
)
from tests.unit.image.inputs import pe_bytes
from tests.unit.windows.looks import (
    BY_TPM,
    KEY,
    NTFS,
    OTHER_KEY,
    RECOVERY,
    STARTUP,
    STRANGER,
    WAYS,
    WHAT,
    boot_manager,
    files,
    key,
    look,
    looked_at,
    machine,
    texts,
)


def test_a_disk_whose_volume_the_key_opens_starts() -> None:
    report = looked_at(files(), keys=[key()])
    assert report.faults == ()
    assert report.summary == "nothing was found that keeps Windows from starting unattended"
    boot = r"disk partition 1: \EFI\Microsoft\Boot"
    assert texts(report, Level.FINE) == [
        rf"{boot}\bootmgfw.efi: signed by Microsoft Windows < {PCA_2011}",
        rf"{boot}\bootmgfw.efi: db allows it, by {PCA_2011} (not Microsoft's: "
        f"{hashlib.sha256(authority(PCA_2011).der).hexdigest()[:16]}...)",
        rf"{boot}\BCD: starts {{01234567-89ab-cdef-0123-456789abcdef}} Windows Server: "
        r"\Windows\system32\winload.efi on partition aaaaaaaa-0000-4000-8000-aaaaaaaaaaaa",
        f"{WHAT}: encrypted, XTS-AES 128 (SRV C: 1/1/2026)",
        f"{WHAT}: startup key {{{STARTUP.upper()}}}: key.BEK opens it",
    ]


def test_programs_are_told_the_protectors_and_which_secret_opens_them() -> None:
    (found,) = looked_at(files(), keys=[key()]).volumes
    startup, recovery = found.protectors
    assert (startup.identifier, startup.kind, startup.secret) == (STARTUP, "startup key", "key.BEK")
    assert startup.proven
    assert (recovery.kind, recovery.secret, recovery.proven) == ("recovery password", None, False)


def test_a_startup_key_in_the_root_of_a_volume_is_found() -> None:
    content = {**files(), f"{STARTUP.upper()}.bek": bek_file(STARTUP, KEY), "other.BEK": b"none"}
    report = looked_at(content)
    assert report.faults == ()
    assert any("other.BEK: 4 bytes are too few" in each for each in texts(report, Level.NOTE))


@pytest.mark.parametrize(
    ("ways", "keys", "fault"),
    [
        (
            WAYS,
            [],
            f"no secret at hand fits a protector of it (startup key {{{STARTUP.upper()}}}, "
            f"recovery password {{{RECOVERY.upper()}}}): Windows asks for recovery",
        ),
        (
            [],
            [],
            "no secret at hand fits a protector of it (none at all): Windows asks for recovery",
        ),
        (
            WAYS,
            [key(STRANGER)],
            f"no secret at hand fits a protector of it (startup key {{{STARTUP.upper()}}}, "
            f"recovery password {{{RECOVERY.upper()}}}): Windows asks for recovery",
        ),
        (
            WAYS,
            [key(value=OTHER_KEY)],
            f"key.BEK {{{STARTUP}}} has the GUID of its startup key, and does not open it",
        ),
        (
            [Way(BY_TPM, Flag.TPM | Flag.PIN, pcrs=(7, 11))],
            [],
            f"TPM and PIN {{{BY_TPM}}} waits for somebody to type it",
        ),
    ],
)
def test_a_volume_that_does_not_open_is_a_fault(
    ways: Sequence[Way], keys: Sequence[StartupKey], fault: str
) -> None:
    report = looked_at(files(), ways, keys)
    assert texts(report, Level.FAULT) == [f"{WHAT}: {fault}"]
    assert report.summary == "Windows will not start unattended: 1 reason"


def test_a_startup_key_of_another_volume_is_named_with_its_guid() -> None:
    report = looked_at(files(), keys=[key(), key(STRANGER, name="stranger.BEK")])
    assert report.faults == ()
    stranger = f"stranger.BEK {{{STRANGER}}}: is for none of these volumes"
    assert any(each.startswith(stranger) for each in texts(report, Level.NOTE))


def test_a_startup_key_that_was_made_for_another_volume_is_refused() -> None:
    made = replace(key(), volume=VOLUME.parse(STRANGER))
    (fault,) = looked_at(files(), keys=[made]).faults
    assert f"says that it was made for another volume, {{{STRANGER}}}" in fault.text


def test_a_suspended_volume_opens_by_itself() -> None:
    report = looked_at(files(), [Way(STRANGER, 0, OTHER_KEY), *WAYS])
    assert report.faults == ()
    assert any("protection is suspended" in each for each in texts(report, Level.FINE))


def test_what_the_tpm_will_do_is_a_note() -> None:
    report = looked_at(files(), [Way(BY_TPM, Flag.TPM, pcrs=(0, 2, 4, 11))])
    assert report.faults == ()
    expected = f"{WHAT}: TPM {{{BY_TPM}}}: the TPM opens it if PCR 0, 2, 4, 11 are as they were"
    assert expected in texts(report, Level.NOTE)


@pytest.mark.parametrize("flags", [Flag.TPM, Flag.TPM | Flag.STARTUP_KEY])
def test_what_was_sealed_to_pcr_7_does_not_open_behind_another_authority(flags: Flag) -> None:
    ways = [Way(STARTUP, flags, pcrs=(7, 11))]
    other = machine(PCA_2011, authorities=[certificate(authority(UEFI_CA_2011).der)])
    report = looked_at(files(), ways, [key()], other)
    (fault,) = report.faults
    assert fault.text.endswith(
        f"sealed to PCR 7, 11, and {UEFI_CA_2011} vouched for something in this boot: "
        "Windows asks for recovery"
    )
    assert (
        f"PCR 7 binding: not possible, {UEFI_CA_2011} vouched for something on the way: "
        "Windows seals to PCR 0, 2, 4, 11"
    ) in texts(report, Level.NOTE)


def test_tpm_and_startup_key_needs_the_key() -> None:
    ways = [Way(STARTUP, Flag.TPM | Flag.STARTUP_KEY, pcrs=(0, 2, 4, 11))]
    (fault,) = looked_at(files(), ways).faults
    assert f"(TPM and startup key {{{STARTUP}}})" in fault.text
    report = looked_at(files(), ways, [key(name="half.BEK")])
    assert report.faults == ()
    half = "half.BEK is one half of it; the TPM opens it if"
    assert any(half in each for each in texts(report, Level.NOTE))


@pytest.mark.parametrize(
    ("content", "of", "fault"),
    [
        ({}, machine(PCA_2011), r"disks: no volume has \EFI\Microsoft\Boot\bootmgfw.efi"),
        (
            files(bootmgfw=boot_manager(CA_2023)),
            machine(PCA_2011, UEFI_CA_2011),
            f"db has no certificate of {CA_2023} that its signature leads to: firmware refuses it",
        ),
        (files(), machine(UEFI_CA_2011), f"db has no certificate of {PCA_2011} that its signature"),
        (files(bootmgfw=pe_bytes()), machine(PCA_2011), "has no signature: firmware refuses it"),
        (files(bootmgfw=b"MZ"), machine(PCA_2011), "truncated PE image (DOS header)"),
        (
            files(),
            replace(machine(PCA_2011), dbx=certificates(authority(PCA_2011).der)),
            f"dbx forbids it, by {PCA_2011}",
        ),
        (files(bcd=None), machine(PCA_2011), r"\BCD: is not there: the boot manager stops with"),
        (
            files(bcd=b"no hive" * 2000),
            machine(PCA_2011),
            r"\BCD: no registry hive (no regf at offset 0): the boot manager stops with 0xc000014c",
        ),
        (
            files(bcd=bcd(VOLUME)),
            machine(PCA_2011),
            f"the default entry's partition {VOLUME} is on none of these disks: 0xc000000e",
        ),
    ],
)
def test_what_keeps_the_boot_manager_from_starting_is_named(
    content: dict[str, bytes], of: Machine, fault: str
) -> None:
    report = looked_at(content, keys=[key()], of=of)
    (found,) = texts(report, Level.FAULT)
    assert fault in found


def test_a_signature_is_nothing_where_secure_boot_is_off() -> None:
    report = looked_at(files(), keys=[key()], of=Machine(False, (), ()))
    assert report.faults == ()
    notes = texts(report, Level.NOTE)
    assert any("Secure Boot is off: the firmware looks at no signature" in each for each in notes)
    assert any("PCR 7 binding: not possible, Secure Boot is off" in each for each in notes)


def test_a_table_of_partitions_that_is_none_is_named() -> None:
    data = bytearray(disk(files(), volume(WAYS)))
    data[512 + 16] ^= 1
    data[-512 + 16] ^= 1
    report = look(bytes(data))
    assert texts(report, Level.NOTE)[0].startswith("disk: GPT header at LBA 1: wrong checksum")
    assert [each.what for each in report.faults] == ["disks"]


def test_metadata_that_is_none_is_named() -> None:
    data = bytearray(volume(WAYS))
    for offset in (0x10000, 0x40000, 0x70000):
        data[offset + 100] ^= 1
    (fault,) = look(disk(files(), bytes(data)), [key()]).faults
    assert str(fault).startswith("disk partition 2: no copy of BitLocker's metadata is right: ")


def test_a_data_volume_whose_metadata_is_none_keeps_nobody_from_starting() -> None:
    bad = bytearray(volume(WAYS))
    for offset in (0x10000, 0x40000, 0x70000):
        bad[offset + 100] ^= 1
    report = look_at(disk(files(), volume(WAYS)), bytes(bad), [key()])
    assert report.faults == ()
    assert any(each.startswith("second: no copy") for each in texts(report, Level.NOTE))


def look_at(first: bytes, second: bytes, keys: Sequence[StartupKey] = ()) -> Report:
    disks = [whole("disk", first), whole("second", second)]
    return check(disks, machine(PCA_2011), keys)


def test_only_the_boot_manager_that_is_started_counts() -> None:
    """Another disk may have a Windows of its own, and what is wrong with that is its own matter."""
    bad = disk(files(bcd=b"no hive"), volume(WAYS)).replace(ESP.data, VOLUME.data)
    table = bytearray(bad)
    for lba, entries in ((1, 2), (len(bad) // 512 - 1, len(bad) // 512 - 33)):
        crc = zlib.crc32(table[entries * 512 : entries * 512 + 128 * 128])
        struct.pack_into("<I", table, lba * 512 + 88, crc)
        table[lba * 512 + 16 : lba * 512 + 20] = bytes(4)
        struct.pack_into("<I", table, lba * 512 + 16, zlib.crc32(table[lba * 512 :][:92]))
    good = disk(files(), volume(WAYS))
    disks = [whole("other", bytes(table)), whole("own", good)]
    of = machine(PCA_2011)
    report = check(disks, of, [key()], esp=ESP)
    assert report.faults == ()
    assert [each.what for each in check(disks, of, [key()]).faults] == [
        r"other partition 1: \EFI\Microsoft\Boot\BCD"
    ]
    (fault,) = check(disks, of, [key()], esp=WINDOWS).faults
    assert fault.text.startswith(f"no partition {WINDOWS} has")


def test_a_boot_manager_that_db_has_by_digest_needs_no_signature() -> None:
    image = pe_bytes()
    digest = OWNER.data + authenticode_digest(image, parse(image, "x"))
    of = replace(machine(), db=(SignatureList(SHA256, b"", len(digest), (digest,)),))
    report = looked_at(files(bootmgfw=image), keys=[key()], of=of)
    assert report.faults == ()
    assert any("db allows it, by digest" in each for each in texts(report, Level.FINE))


def test_a_windows_that_is_not_encrypted_needs_no_key() -> None:
    report = look(disk(files(), NTFS))
    assert report.faults == ()
    own = "disk partition 2: Windows' own, and not encrypted by BitLocker"
    assert own in texts(report, Level.FINE)


def test_only_windows_own_volume_must_open() -> None:
    """Data volumes are opened by Windows, with keys that lie on its own."""
    report = look_at(disk(files(), NTFS), volume(WAYS))
    assert report.faults == ()
    assert any("no secret at hand fits" in each for each in texts(report, Level.NOTE))
