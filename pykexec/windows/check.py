# SPDX-License-Identifier: Apache-2.0
"""Looks at disks with Windows on them, and says what will happen when it is started."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from pykexec.disk.fat_reader import Entry, FatVolume
from pykexec.efi.guid import Guid
from pykexec.errors import FormatError
from pykexec.log import reason
from pykexec.windows import bcd, binding, boot_manager, volumes
from pykexec.windows.bcd import BootConfiguration
from pykexec.windows.bitlocker import Volume, is_bitlocker, read_volume
from pykexec.windows.disks import Disk, Layout, Place, layout
from pykexec.windows.findings import (
    EntryReport,
    Finding,
    Report,
    VolumeReport,
    fault,
    fine,
    note,
)
from pykexec.windows.keys import RecoveryPassword, StartupKey, startup_key
from pykexec.windows.machine import Machine

_MBR = (
    "has an MBR, no GPT: data volumes and sticks may, but Windows on a fixed disk is started by "
    "UEFI from a GPT alone (mbr2gpt converts it)"
)
_BEK_MAX = 4096
_BEKS_MAX = 64
"""Files; each is small, and a disk may hold anything."""


@dataclass(slots=True)
class _Look:
    """What was found so far."""

    machine: Machine
    keys: list[StartupKey]
    passwords: Sequence[RecoveryPassword]
    esp: Guid | None
    findings: list[Finding] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    volumes: list[tuple[Place, Volume]] = field(default_factory=list)
    broken: list[tuple[Place, str]] = field(default_factory=list)
    reports: list[VolumeReport] = field(default_factory=list)
    configuration: BootConfiguration | None = None
    nr_managers: int = 0


def check(
    disks: Sequence[Disk],
    machine: Machine,
    keys: Sequence[StartupKey] = (),
    passwords: Sequence[RecoveryPassword] = (),
    esp: Guid | None = None,
) -> Report:
    """Look at all of it; what cannot be read is a finding, and nothing is ever written.

    esp is the partition whose boot manager is started, None where that may be any.
    """
    look = _Look(machine, list(keys), passwords, esp)
    with ExitStack() as stack:
        for disk in disks:
            try:
                found = layout(disk)
            except (FormatError, OSError) as error:
                look.findings.append(note(disk.name, reason(error, disk.name)))
                continue
            look.findings += _old_table(disk.name, found)
            look.places += found.places
            for place in found.places:
                try:
                    _place(look, place, stack)
                except (FormatError, OSError) as error:
                    look.broken.append((place, reason(error, place.name)))
        _conclude(look)
    entries = bcd.entries(look.configuration) if look.configuration else ()
    return Report(tuple(look.findings), tuple(map(_entry, entries)), tuple(look.reports))


def _old_table(disk: str, found: Layout) -> Iterator[Finding]:
    """What an MBR means for who is started by UEFI."""
    if found.old is None:
        return
    if found.old.fault:
        yield note(disk, f"{found.old.fault}: what is behind it was not looked at")
    active = [str(each.number) for each in found.old.partitions if each.active]
    bios = f"; partition {', '.join(active)} is active: a BIOS starts it" if active else ""
    yield note(disk, f"{_MBR}{bios}")


def _place(look: _Look, place: Place, stack: ExitStack) -> None:
    """One volume: BitLocker's, or one with files that concern us."""
    if is_bitlocker(place.read):
        volume = read_volume(place.read, place.name)
        look.volumes += [(place, volume)] if volume else []
    elif fat := _fat(place):
        _keys(look, place, fat, stack)
        if look.esp in (None, place.partition) and fat.find(boot_manager.PATH):
            _boot_manager(look, place, fat)


def _fat(place: Place) -> FatVolume | None:
    try:
        return FatVolume(place.read, place.name)
    except FormatError:
        return None  # Another file system, and none of our business.


def _keys(look: _Look, place: Place, fat: FatVolume, stack: ExitStack) -> None:
    """.BEK files in the root, where Windows looks for them, too."""
    found = [each for each in fat.entries(Entry("", True, 0, 0)) if _is_bek(each)]
    for entry in found[:_BEKS_MAX]:
        source = f"{place.name}: \\{entry.name}"
        try:
            if secret := fat.read_secret(entry.name, _BEK_MAX, place.read_secret):
                look.keys.append(startup_key(stack.enter_context(secret).view, source))
        except FormatError as error:
            look.findings.append(note(source, reason(error, source)))


def _is_bek(entry: Entry) -> bool:
    return not entry.is_directory and entry.name.upper().endswith(".BEK")


def _boot_manager(look: _Look, place: Place, fat: FatVolume) -> None:
    look.nr_managers += 1
    what = f"{place.name}: {boot_manager.PATH}"
    data = fat.read_file(boot_manager.PATH, boot_manager.SIZE_MAX) or b""
    look.findings += boot_manager.signature(data, what, look.machine)
    what = f"{place.name}: {bcd.PATH}"
    found = boot_manager.configuration(fat.read_file(bcd.PATH, bcd.SIZE_MAX), what)
    if isinstance(found, Finding):
        look.findings.append(found)
    else:
        look.findings += boot_manager.entries(found, what)
        look.configuration = look.configuration or found


def _conclude(look: _Look) -> None:
    """What can be said only once everything was seen."""
    if not look.nr_managers:
        where = "no volume" if look.esp is None else f"no partition {look.esp}"
        text = f"{where} has {boot_manager.PATH}: there is no Windows to start"
        look.findings.append(fault("disks", text))
    default = look.configuration.default if look.configuration else None
    if look.configuration:
        look.findings += boot_manager.missing_partition(look.configuration, look.places)
    windows = default.os_device.partition if default and default.os_device else None
    is_here = windows is not None and any(each.partition == windows for each in look.places)
    # Where the configuration does not tell which volume is Windows' own, each may be.
    needed = [each for each in look.places if not is_here or each.partition == windows]
    for place, text in look.broken:
        look.findings.append((fault if place in needed else note)(place.name, text))
    for place, volume in look.volumes:
        trials = volumes.tried(volume, look.keys)
        look.findings += volumes.judge(place, volume, trials, look.machine, needed=place in needed)
        look.findings += volumes.recoveries(place, volume, look.passwords)
        look.reports.append(volumes.report(place, volume, trials))
    known = [place for place, _ in (*look.volumes, *look.broken)]
    for place in needed if is_here else ():
        if place not in known:
            look.findings.append(fine(place.name, "Windows' own, and not encrypted by BitLocker"))
    look.findings += volumes.strangers(look.keys, look.volumes)
    look.findings += binding.binding(look.machine)


def _entry(found: bcd.Entry) -> EntryReport:
    device = found.os_device or found.device
    return EntryReport(
        str(found.identifier), found.description, str(device) if device else "", found.path
    )
