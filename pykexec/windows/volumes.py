# SPDX-License-Identifier: Apache-2.0
"""BitLocker volumes and the keys at hand: which protector opens in this boot, and what is asked for
where none does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pykexec.windows.binding import disturbs
from pykexec.windows.bitlocker import Protection as Flag
from pykexec.windows.bitlocker import Protector, Volume
from pykexec.windows.disks import Place
from pykexec.windows.findings import (
    Finding,
    Level,
    Protection,
    VolumeReport,
    fault,
    fine,
    note,
)
from pykexec.windows.keys import RecoveryPassword, StartupKey
from pykexec.windows.machine import Machine
from pykexec.windows.unlock import opens, opens_by_password


@dataclass(frozen=True, slots=True)
class Trial:
    """A key that may be a protector's, None for the one that lies beside it in the clear, and
    whether it has opened the volume.
    """

    protector: Protector
    key: StartupKey | None
    opens: bool


def tried(volume: Volume, keys: Sequence[StartupKey]) -> tuple[Trial, ...]:
    """Every protector with every key of its GUID; what the TPM has the other half of opens
    nothing here.
    """
    found = []
    for protector in volume.protectors:
        if not protector.protection:
            clear = protector.clear_key
            works = clear is not None and opens(volume, protector, clear)
            found.append(Trial(protector, None, works))
            continue
        for key in keys:
            if key.identifier == protector.identifier:
                is_whole = protector.protection == Flag.STARTUP_KEY
                works = is_whole and opens(volume, protector, key.key)
                found.append(Trial(protector, key, works))
    return tuple(found)


def name(place: Place, volume: Volume) -> str:
    """What a volume is called in findings."""
    return f"{place.name}: BitLocker volume {{{str(volume.identifier).upper()}}}"


def judge(
    place: Place, volume: Volume, trials: Sequence[Trial], machine: Machine, needed: bool
) -> Iterator[Finding]:
    """What a volume has, and whether it opens; only of one that is needed a fault is one."""
    what = name(place, volume)
    described = f" ({volume.description})" if volume.description else ""
    yield fine(what, f"{volume.state}, {volume.method}{described}")
    for text in volume.faults:
        yield note(what, f"a copy of its metadata does not count: {text}")
    found = [
        finding for each in volume.protectors for finding in _way(each, volume, trials, machine)
    ]
    ways = [each for each in found if each.level is not Level.FAULT]
    for finding in found:
        level = Level.NOTE if finding.level is Level.FAULT and (ways or not needed) else None
        yield Finding(level or finding.level, what, finding.text)
    if not ways and not any(each.level is Level.FAULT for each in found):
        kinds = ", ".join(map(str, volume.protectors)) or "none at all"
        text = f"no secret at hand fits a protector of it ({kinds}): Windows asks for recovery"
        yield fault(what, text) if needed else note(what, text)


def _way(
    protector: Protector, volume: Volume, trials: Sequence[Trial], machine: Machine
) -> Iterator[Finding]:
    """What comes of one protector in a boot that nobody watches; nothing where it is for people, or
    its key is not at hand.
    """
    flags, what = protector.protection, ""
    mine = [each for each in trials if each.protector is protector]
    if not flags:
        if any(each.opens for each in mine):
            yield fine(what, f"{protector} opens it: protection is suspended")
        else:
            yield fault(what, f"{protector} does not open it: its metadata is damaged")
    elif flags & Flag.PIN:
        yield fault(what, f"{protector} waits for somebody to type it")
    elif flags == Flag.TPM:
        yield _by_tpm(protector, machine, "")
    for each in mine:
        if each.key and flags == Flag.STARTUP_KEY:
            yield _by_key(protector, volume, each.key, each.opens)
        elif each.key and flags == Flag.TPM | Flag.STARTUP_KEY:
            yield _by_tpm(protector, machine, f"{each.key.source} is one half of it; ")


def _by_key(protector: Protector, volume: Volume, key: StartupKey, works: bool) -> Finding:
    if key.volume is not None and key.volume != volume.identifier:
        made = f"{{{str(key.volume).upper()}}}"
        return fault("", f"{key} says that it was made for another volume, {made}")
    if not works:
        return fault("", f"{key} has the GUID of its {protector.kind}, and does not open it")
    return fine("", f"{protector}: {key.source} opens it")


def _by_tpm(protector: Protector, machine: Machine, half: str) -> Finding:
    if protector.pcrs and (why := disturbs(protector.pcrs, machine)):
        text = f"{half}sealed to {protector.sealed_to}, and {why}: Windows asks for recovery"
        return fault("", f"{protector}: {text}")
    registers = protector.sealed_to or "its registers"
    return note("", f"{protector}: {half}the TPM opens it if {registers} are as they were")


def strangers(
    keys: Sequence[StartupKey], volumes: Sequence[tuple[Place, Volume]]
) -> Iterator[Finding]:
    """Keys that no volume here has a protector for."""
    known = {each.identifier for _, volume in volumes for each in volume.protectors}
    for key in keys:
        if key.identifier not in known:
            yield note(str(key), "is for none of these volumes: none has a protector of its GUID")


def recoveries(
    place: Place, volume: Volume, passwords: Sequence[RecoveryPassword]
) -> Iterator[Finding]:
    """Whose recovery password each is; that of none is told, too."""
    what = name(place, volume)
    for protector in volume.protectors:
        if protector.protection == Flag.RECOVERY_PASSWORD:
            for each in passwords:
                fits = opens_by_password(volume, protector, each.text)
                text = f"{protector}: {each.source} is {'' if fits else 'not '}its password"
                yield fine(what, text) if fits else note(what, text)


def report(place: Place, volume: Volume, trials: Sequence[Trial]) -> VolumeReport:
    """The volume for programs."""
    return VolumeReport(
        place.name,
        str(volume.identifier),
        volume.method,
        volume.state,
        tuple(_report(each, trials) for each in volume.protectors),
    )


def _report(protector: Protector, trials: Sequence[Trial]) -> Protection:
    """Of several keys one that opens it counts."""
    mine = (each for each in trials if each.protector is protector)
    best = max(mine, key=lambda each: each.opens, default=None)
    source = best.key.source if best and best.key else None
    proven = best is not None and best.opens
    return Protection(str(protector.identifier), protector.kind, protector.pcrs, source, proven)
