# SPDX-License-Identifier: Apache-2.0
"""What a machine lacks for a launch is said before anything is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pykexec.cli import main
from pykexec.disk.gpt import BASIC_DATA_TYPE, FIRST_USABLE_LBA, Partition, Table, write_gpt
from pykexec.efi.guid import Guid
from pykexec.launch import check
from pykexec.launch.check import Facts, lacks, look
from pykexec.launch.dom0.command_lines import LaunchError
from pykexec.launch.dom0.partitions import find_partition
from pykexec.launch.manifest import parse_manifest
from tests.unit.launch.inputs import HIDDEN, MANIFEST, NIC
from tests.unit.launch.test_pci import function, space

NOTHING = parse_manifest(MANIFEST.encode(), "m.toml")
DISK = "89abcdef-0123-4567-89ab-cdef01234567"
WITH_DISK = parse_manifest(MANIFEST.replace('mac = "', f'disk = "{DISK}"\nmac = "').encode(), "m")
GOOD = Facts(
    ("dmar0",), "2", "0" * 64, {HIDDEN: check.Partition("/dev/sda3")}, {NIC: function(NIC)}
)


def test_a_machine_that_has_all_lacks_nothing() -> None:
    assert list(lacks(NOTHING, GOOD)) == []


@pytest.mark.parametrize(
    ("facts", "fault"),
    [
        (replace(GOOD, iommus=()), "no IOMMU: neither Linux nor ACPI (DMAR, IVRS) knows one"),
        (replace(GOOD, tpm=""), "TPM: there is none, not 2.0"),
        (replace(GOOD, tpm="1"), "TPM: version 1, not 2.0"),
        (replace(GOOD, pcr=""), "TPM: no bank sha256, or no access to it"),
        (replace(GOOD, pcr="ab" * 32), "TPM: PCR 13 is in use (abababababababab...)"),
        (
            replace(GOOD, topology={}),
            f"domain filter: {NIC}: this machine has no such PCI function",
        ),
        (replace(GOOD, partitions={}), f"hidden: there is no partition {HIDDEN}"),
        (
            replace(GOOD, partitions={HIDDEN: check.Partition("/dev/sda3", "mounted on /home")}),
            "hidden: /dev/sda3 is in use: mounted on /home",
        ),
    ],
)
def test_what_is_missing_is_named(facts: Facts, fault: str) -> None:
    (line,) = lacks(NOTHING, facts)
    assert line.startswith(fault)


def test_a_domain_s_disk_has_to_be_there_too() -> None:
    assert list(lacks(WITH_DISK, GOOD)) == [f"pc: there is no partition {DISK}"]


def write(root: Path, path: str, data: bytes | str = "") -> Path:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data if isinstance(data, bytes) else data.encode())
    return target


@pytest.fixture(name="root")
def root_fixture(tmp_path: Path) -> Path:
    """A machine: an IOMMU that ACPI tells of, a TPM, a mounted partition and one with a holder."""
    write(tmp_path, "sys/firmware/acpi/tables/IVRS")
    write(tmp_path, "sys/class/tpm/tpm0/tpm_version_major", "2\n")
    write(tmp_path, "sys/class/tpm/tpm0/pcr-sha256/13", "A" * 64)
    write(tmp_path, f"sys/bus/pci/devices/{NIC}/config", space())
    write(tmp_path, "dev/sda1")
    write(tmp_path, "dev/sda3")
    write(tmp_path, "sys/class/block/sda1/dev", "8:1\n")
    write(tmp_path, "sys/class/block/sda3/dev", "8:3\n")
    write(tmp_path, "sys/class/block/sda3/holders/dm-0")
    write(tmp_path, "proc/self/mountinfo", "36 35 8:1 / /boot rw,noatime - ext4 /dev/sda1 rw\n")
    for guid, name in ((DISK, "sda1"), (HIDDEN, "sda3")):
        link = tmp_path / "dev/disk/by-partuuid" / guid
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(tmp_path / "dev" / name)
    return tmp_path


def test_this_machine_is_looked_at_by_sysfs_alone(root: Path) -> None:
    found = look(root)
    assert (found.iommus, found.tpm, found.pcr) == (("IVRS",), "2", "a" * 64)
    assert found.partitions == {
        DISK: check.Partition("/dev/sda1", "mounted on /boot"),
        HIDDEN: check.Partition("/dev/sda3", "by dm-0"),
    }
    assert list(found.topology) == [NIC]


def test_the_verb_says_what_is_missing_and_ends_so(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(root, "m.toml", MANIFEST)
    monkeypatch.setattr(check, "look", lambda: look(root))
    assert main(["launch", "check", str(path)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "office: TPM: PCR 13 is in use (aaaaaaaaaaaaaaaa...): a launch begins at zero",
        "office: hidden: /dev/sda3 is in use: by dm-0",
    ]
    monkeypatch.setattr(check, "look", lambda: GOOD)
    assert main(["launch", "check", str(path)]) == 0
    assert capsys.readouterr().out == "office: this machine has all that the launch needs\n"


def test_a_partition_is_found_by_the_table_of_its_disk(tmp_path: Path) -> None:
    nr_blocks = 4096
    disk = bytearray(nr_blocks * 512)
    parts = (
        Partition(1, BASIC_DATA_TYPE, Guid.parse(DISK), FIRST_USABLE_LBA, 8, 0, "user"),
        Partition(3, BASIC_DATA_TYPE, Guid.parse(HIDDEN), FIRST_USABLE_LBA + 8, 8, 0, "hidden"),
    )
    write_gpt(memoryview(disk), Table(Guid.parse(NIL), parts, False))
    blocks, dev = tmp_path / "block", tmp_path / "dev"
    write(tmp_path, "dev/nvme0n1", bytes(disk))
    for name in ("nvme0n1", "empty"):
        write(blocks, f"{name}/size", str(nr_blocks))
        write(blocks, f"{name}/queue/logical_block_size", "512")
    for number in (1, 3):
        write(blocks, f"nvme0n1/nvme0n1p{number}/partition", f"{number}\n")
        write(blocks, f"nvme0n1p{number}/partition", f"{number}\n")
    assert find_partition(HIDDEN, blocks, str(dev)) == f"{dev}/nvme0n1p3"
    with pytest.raises(LaunchError, match=f"^partition {NIL}: there is none"):
        find_partition(NIL, blocks, str(dev))
    write(tmp_path, "dev/empty", bytes(disk))
    write(blocks, "empty/empty3/partition", "3\n")
    with pytest.raises(LaunchError, match="there are 2"):
        find_partition(HIDDEN, blocks, str(dev))


NIL = "00000000-0000-0000-0000-000000000001"
