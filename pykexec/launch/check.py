# SPDX-License-Identifier: Apache-2.0
"""What a machine lacks for a launch, before anything is written to it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pykexec.errors import FormatError
from pykexec.launch.dom0 import measure
from pykexec.launch.dom0.pci import Topology, check_devices, read_topology
from pykexec.launch.manifest import Manifest

IOMMU_TABLES = ("DMAR", "IVRS")
"""ACPI's, of Intel and AMD."""
BANK = "sha256"


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition; use is what has it now, "" if nothing does."""

    device: str
    use: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """A machine: the IOMMUs that Linux uses or the firmware tells of; the TPM's version, "" without
    one, and its register of measure.PCR in BANK, "" without such a bank.
    """

    iommus: tuple[str, ...]
    tpm: str
    pcr: str
    partitions: Mapping[str, Partition]
    topology: Topology


def look(root: Path = Path("/")) -> Facts:
    """This machine's, by sysfs and procfs below root; OSError, FormatError."""
    sysfs = root / "sys"
    tables = root / "sys/firmware/acpi/tables"
    tpm = sysfs / "class/tpm/tpm0"
    return Facts(
        iommus=(
            *sorted(_names(sysfs / "class/iommu")),
            *(name for name in IOMMU_TABLES if (tables / name).exists()),
        ),
        tpm=_text(tpm / "tpm_version_major"),
        pcr=_text(tpm / f"pcr-{BANK}" / str(measure.PCR)).lower(),
        partitions=_partitions(root),
        topology=read_topology(str(sysfs / "bus/pci/devices")),
    )


def lacks(manifest: Manifest, facts: Facts) -> Iterator[str]:
    """What the machine lacks for a launch, a line each."""
    passed = [domain for domain in manifest.domains if domain.devices]
    if passed and not facts.iommus:
        yield "no IOMMU: neither Linux nor ACPI (DMAR, IVRS) knows one; switch it on in the setup"
    if facts.tpm != "2":
        yield f"TPM: {f'version {facts.tpm}' if facts.tpm else 'there is none'}, not 2.0"
    elif not facts.pcr:
        yield f"TPM: no bank {BANK}, or no access to it"
    elif facts.pcr.strip("0"):
        yield f"TPM: PCR {measure.PCR} is in use ({facts.pcr[:16]}...): a launch begins at zero"
    for domain in passed:
        try:
            check_devices(facts.topology, domain.devices)
        except FormatError as error:
            yield f"domain {domain.name}: {error}"
    wanted = {"hidden": manifest.hidden, **{d.name: d.disk for d in manifest.domains if d.disk}}
    for name, guid in wanted.items():
        found = facts.partitions.get(guid)
        if not found:
            yield f"{name}: there is no partition {guid}"
        elif found.use:
            yield f"{name}: {found.device} is in use: {found.use}"


def _partitions(root: Path) -> dict[str, Partition]:
    folder = root / "dev/disk/by-partuuid"
    mounted = _mounted(_text(root / "proc/self/mountinfo"))
    found = {}
    for guid in _names(folder):
        device = os.path.basename(os.path.realpath(folder / guid))
        block = root / "sys/class/block" / device
        use = mounted.get(_text(block / "dev"), "")
        if holders := sorted(_names(block / "holders")):
            use = f"by {', '.join(holders)}"
        found[guid] = Partition(f"/dev/{device}", use)
    return found


def _mounted(mountinfo: str) -> dict[str, str]:
    """Device numbers, and where what is on them is mounted (proc_pid_mountinfo(5))."""
    lines = (line.split(" ") for line in mountinfo.splitlines())
    return {words[2]: f"mounted on {words[4]}" for words in lines if len(words) > 4}


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except (FileNotFoundError, PermissionError):
        return ""
