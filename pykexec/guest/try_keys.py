# SPDX-License-Identifier: Apache-2.0
"""Keys that came with a release, tried on the volumes of this machine, read-only, and the server
told of it: so nobody has to believe that a key that was handed in is the right one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pykexec.attest.key_report import KeyVerdict, parse_rights, report_of
from pykexec.attest.opened import OpenedSecret
from pykexec.disk.luks_unlock import Room
from pykexec.errors import FormatError
from pykexec.windows.disks import Disk, Place

if TYPE_CHECKING:
    from pykexec.attest.client import Server
    from pykexec.firmware.mailbox import Mailbox

_REPORT_S = 15.0


@dataclass(frozen=True, slots=True)
class _Trial:
    """One volume; fits None: that could not be told."""

    fits: bool | None
    text: str


_Try = Callable[[OpenedSecret, Place, Room], Iterator[_Trial]]


def try_and_report(
    mailbox: Mailbox, server: Server, opened: Sequence[OpenedSecret], left_s: float
) -> None:
    """Try what the server wants to know, say it in lines, and report it; nothing where it wants
    nothing. NetworkError and the like when the server is not told: it asks again in the next boot.
    """
    rights = next((each for each in opened if each.use == "report"), None)
    if rights is None:
        return
    from pykexec.attest import protocol
    from pykexec.attest.client import below
    from pykexec.firmware.handoff import read_handoff
    from pykexec.memory import available_memory
    from pykexec.net.http import post
    from pykexec.net.transfer import Deadline, Limits
    from pykexec.windows.disks import firmware_disks

    ticket, key, wanted = parse_rights(bytes(rights.value.view))
    room = Room(available_memory(), read_handoff(mailbox).arena.size)
    verdicts = try_keys(opened, wanted, firmware_disks(mailbox), room)
    for verdict in verdicts:
        words = {True: "opens its volume", False: "does not open its volume", None: "not known"}
        print(f"key {verdict.name}: {words[verdict.fits]}: {verdict.text}", flush=True)
    total_s = min(_REPORT_S, max(left_s, 1.0))
    limits = Limits(4096, server.silence_s, total_s, authorities=server.authorities)
    url = below(server.address, protocol.KEYS_PATH)
    post(url, report_of(ticket, key, verdicts).encode(), limits, Deadline(limits))


def try_keys(
    opened: Sequence[OpenedSecret],
    wanted: Sequence[tuple[str, str]],
    disks: Sequence[Disk],
    room: Room,
) -> list[KeyVerdict]:
    """A verdict for each secret that is wanted, by name and use."""
    places = list(_places(disks))
    found = []
    for secret in opened:
        if (secret.name, secret.use) in wanted and (kind := _KINDS.get(secret.kind)):
            trial = _conclude(kind, secret, places, room)
            found.append(KeyVerdict(secret.name, secret.use, trial.fits, trial.text))
    return found


def _places(disks: Sequence[Disk]) -> Iterator[Place]:
    from pykexec.windows.disks import layout

    for disk in disks:
        try:
            yield from layout(disk).places
        except (FormatError, OSError):
            continue  # What has no table that can be read has no volume either.


def _conclude(kind: _Try, secret: OpenedSecret, places: Sequence[Place], room: Room) -> _Trial:
    """One volume that opens is enough; that none does is said only if all could be tried."""
    trials: list[_Trial] = []
    for place in places:
        try:
            trials += kind(secret, place, room)
        except (FormatError, OSError) as error:
            trials.append(_Trial(None, str(error)))
        if trials and trials[-1].fits:
            return trials[-1]
    if not trials:
        return _Trial(None, "this machine has no such volume")
    untried = [trial for trial in trials if trial.fits is None]
    texts = "; ".join(trial.text for trial in untried or trials)
    return _Trial(None if untried else False, texts)


def _luks(secret: OpenedSecret, place: Place, room: Room) -> Iterator[_Trial]:
    from pykexec.disk.luks import read_luks
    from pykexec.disk.luks_unlock import try_luks

    volume = read_luks(place.read, place.name)
    if volume is not None and _is_meant(secret, volume.uuid):
        trial = try_luks(volume, place.read, secret.value.view, room)
        yield _Trial(trial.fits, f"{place.name}: {trial.text}")


def _recovery_password(secret: OpenedSecret, place: Place, _: Room) -> Iterator[_Trial]:
    from pykexec.windows.bitlocker import Protection, read_volume
    from pykexec.windows.unlock import opens_by_password

    volume = read_volume(place.read, place.name)
    if volume is None or not _is_meant(secret, str(volume.identifier)):
        return
    protectors = [p for p in volume.protectors if p.protection == Protection.RECOVERY_PASSWORD]
    for protector in protectors:
        if opens_by_password(volume, protector, secret.value.view):
            yield _Trial(True, f"{place.name}: {protector}")
            return
    yield _Trial(False, f"{place.name}: none of {len(protectors)} recovery passwords is this")


def _startup_key(secret: OpenedSecret, place: Place, _: Room) -> Iterator[_Trial]:
    from pykexec.attest.deliver import startup_key_file
    from pykexec.windows.bitlocker import Protection, read_volume
    from pykexec.windows.keys import startup_key
    from pykexec.windows.unlock import opens

    volume = read_volume(place.read, place.name)
    if volume is None or not _is_meant(secret, str(volume.identifier)):
        return
    with ExitStack() as stack:
        name, view = startup_key_file(stack, secret)
        key = startup_key(view, name)
        for protector in volume.protectors:
            if protector.identifier != key.identifier:
                continue
            if protector.protection != Protection.STARTUP_KEY:
                yield _Trial(None, f"{place.name}: {protector}: it is one half of it")
            elif opens(volume, protector, key.key):
                yield _Trial(True, f"{place.name}: {protector}")
            else:
                yield _Trial(False, f"{place.name}: {protector} is not opened by it")
            return
    yield _Trial(False, f"{place.name}: no protector is called {key.identifier}")


def _is_meant(secret: OpenedSecret, identifier: str) -> bool:
    """By the parameter volume, if that names one by its GUID or UUID."""
    named = secret.parameters.get("volume", "").strip("{}").lower()
    return identifier.lower() == named if len(named) == len(identifier) else True


_KINDS: dict[str, _Try] = {
    "luks-key": _luks,
    "luks-passphrase": _luks,
    "bitlocker-recovery-password": _recovery_password,
    "bitlocker-external-key": _startup_key,
}
