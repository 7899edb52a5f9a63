# SPDX-License-Identifier: Apache-2.0
"""Installing, updating, rolling back and removing, each in an order in which the power may go at
every write: before BootOrder or BootNext names an image it is whole in its slot, and before a slot
is written to nothing but an operator leads there.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from pykexec.efi.device_path_node import Node
from pykexec.efi.guid import Guid
from pykexec.errors import FormatError, UsageError
from pykexec.firmware.last_end import forget_last_end
from pykexec.install import nvram as firmware
from pykexec.install.image import Identity, downgrades, identify
from pykexec.install.nvram import Nvram
from pykexec.install.slots import (
    ARMED,
    DIRECTORY,
    FALLBACK,
    SLOTS,
    WRITTEN,
    InSlot,
    Slots,
    other,
    path_of,
    variable_name,
)
from pykexec.install.trial import begin, promote
from pykexec.install.volume import TEMPORARY, Volume, make_room, put
from pykexec.log import describe

PLACES = ("first", "last", "trial", "none")
"""Where an installation goes in BootOrder; trial: nowhere before its first boot has gone well."""

_VARIABLE_COST = 128
"""Bytes that firmware takes for a variable beside what is in it: EDK II 60, and the name."""
_RECORD_MAX = 1200
"""Bytes of our own variable, with all texts as long as they get."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where an image is installed; drive is the partition's node of a device path."""

    volume: Volume
    nvram: Nvram
    drive: Node
    partition: Guid
    report: Callable[[str], None]

    def known(self) -> Slots:
        """What is installed; UsageError if nothing is, or that lies on another partition."""
        slots = firmware.read_slots(self.nvram)
        if slots is None:
            raise UsageError("no image of pykexec is installed here: install one first")
        if slots.partition != self.partition:
            raise UsageError(f"it is installed on the partition {slots.partition}: say --esp")
        return slots


def install(
    machine: Machine, data: bytes, identity: Identity, place: str, *, fallback: bool, force: bool
) -> None:
    """Put a first image into slot a. UsageError, OSError with nothing changed where it cannot be.

    fallback puts it where firmware looks that knows no boot option, too: where nothing is, what is
    there is ours, or by force.
    """
    known = firmware.read_slots(machine.nvram)
    if known is not None and known.active:
        raise UsageError("an image is installed already: --update takes another one")
    first = InSlot(SLOTS[0], identity.sha256, str(identity))
    files = {path_of(first.slot): data}
    if fallback:
        _check_fallback(machine, force)
        files[FALLBACK] = data
    make_room(machine.volume, files)
    _check_variables(machine)
    slots = Slots(machine.partition, has_fallback=fallback)
    if known is not None:
        over = begin(machine.nvram, known, "")
        slots = replace(slots, failed=over.failed, reason=over.reason)
    # One that was to be tried, and never came to be active, makes room.
    numbers = firmware.entries_of(machine.nvram, machine.partition)
    firmware.clear_boot_next(machine.nvram, numbers)
    for path, content in files.items():
        put(machine.volume, path, content)
    number = firmware.ensure_entry(machine.nvram, machine.drive, first.slot)
    if place == "trial":
        _arm(machine, replace(slots, trial=first, stage=WRITTEN), number)
        machine.report(f"{first}: tried once at the next start, Boot{number:04X}")
        return
    order = [each for each in firmware.boot_order(machine.nvram) if each != number]
    if place != "none":
        order = [number, *order] if place == "first" else [*order, number]
        firmware.set_boot_order(machine.nvram, order)
    firmware.write_slots(machine.nvram, replace(slots, active=first))
    machine.report(f"{first}: installed, Boot{number:04X}, {place} in BootOrder")


def update(machine: Machine, data: bytes, identity: Identity, *, force: bool) -> None:
    """Put an image into the slot that is not active, and have it tried once at the next start.

    FormatError for one that is older than the active one, unless by force; OSError, UsageError.
    """
    slots = machine.known()
    active = slots.active
    _check_age(machine, identity, active, force)
    slot = other(active.slot) if active else SLOTS[0]
    path = path_of(slot)
    first = make_room(machine.volume, {path: data}, path)
    _check_variables(machine)
    new = InSlot(slot, identity.sha256, str(identity))
    numbers = firmware.entries_of(machine.nvram, machine.partition, slot)
    slots = begin(machine.nvram, slots, "")
    # From here on nothing leads to the slot: not once, and not when the active one fails.
    firmware.clear_boot_next(machine.nvram, numbers)
    _leave_out(machine, numbers)
    is_previous = slots.previous is not None and slots.previous.slot == slot
    slots = replace(slots, trial=None, stage="", previous=None if is_previous else slots.previous)
    firmware.write_slots(machine.nvram, slots)
    if first:
        machine.report(f"{path}: goes first, for there is no room beside it")
        machine.volume.remove(path)
        machine.volume.sync_directory(DIRECTORY)
    put(machine.volume, path, data)
    number = firmware.ensure_entry(machine.nvram, machine.drive, slot)
    _arm(machine, replace(slots, trial=new, stage=WRITTEN), number)
    machine.report(f"{new}: tried once at the next start, Boot{number:04X}")
    if slots.has_fallback and active:
        _refresh_fallback(machine, active)


def _arm(machine: Machine, slots: Slots, number: int) -> None:
    """BootNext is the one write that makes the next start another one."""
    forget_last_end(machine.nvram.root)
    firmware.write_slots(machine.nvram, slots)
    firmware.set_boot_next(machine.nvram, number)
    firmware.write_slots(machine.nvram, replace(slots, stage=ARMED))


def rollback(machine: Machine) -> None:
    """Boot what was active before; where a trial waits, call it off. UsageError if there is neither
    or the file is not what it was.
    """
    slots = machine.known()
    if slots.trial:
        numbers = firmware.entries_of(machine.nvram, machine.partition, slots.trial.slot)
        firmware.clear_boot_next(machine.nvram, numbers)
        reason = "called off by the operator"
        gone = replace(slots, trial=None, stage="", failed=slots.trial, reason=reason)
        firmware.write_slots(machine.nvram, gone)
        machine.report(f"{slots.trial}: is not tried")
        return
    back, active = slots.previous, slots.active
    if back is None or active is None:
        raise UsageError("there is no image from before to go back to")
    if machine.volume.sha256(path_of(back.slot)) != back.sha256:
        raise UsageError(f"cannot go back: {path_of(back.slot)} is not there as it was")
    promote(machine.nvram, replace(slots, failed=active, reason="taken back by the operator"), back)
    machine.report(f"{back}: boots from now on")


def remove(machine: Machine, *, force: bool) -> None:
    """Take everything away again, BootOrder first. UsageError where nothing else would boot, unless
    by force.
    """
    slots = firmware.read_slots(machine.nvram)
    if slots is not None:
        machine.known()
    numbers = firmware.entries_of(machine.nvram, machine.partition)
    order = firmware.boot_order(machine.nvram)
    if order and not set(order) - set(numbers) and not force:
        raise UsageError("BootOrder has nothing else: nothing would boot (--force)")
    firmware.clear_boot_next(machine.nvram, numbers)
    _leave_out(machine, numbers)
    for number in numbers:
        machine.nvram.drop(firmware.entry_name(number))
    gone = [*map(path_of, SLOTS), f"{DIRECTORY}/{TEMPORARY}"]
    if slots is not None and slots.has_fallback and _is_ours(machine):
        gone.append(FALLBACK)
    for path in gone:
        if machine.volume.size(path):
            machine.volume.remove(path)
            machine.volume.sync_directory(path.rpartition("/")[0])
    machine.nvram.drop(variable_name())
    machine.report("removed; what else is in EFI/pykexec stays")


def _check_age(machine: Machine, new: Identity, active: InSlot | None, force: bool) -> None:
    if active is None or force:
        return
    path = path_of(active.slot)
    try:
        old = identify(machine.volume.read(path) or b"", path)
    except FormatError as error:
        fault = f"cannot be compared with what is in use: {describe(error)}"
        raise FormatError(f"the new image {fault} (--force)") from None
    if faults := list(downgrades(new, old)):
        raise FormatError(f"a downgrade: {'; '.join(faults)} (--force)")


def _check_variables(machine: Machine) -> None:
    """OSError where what is to be written would not fit, as far as that can be known."""
    sizes = [len(bytes(firmware.entry_for(machine.drive, slot))) for slot in SLOTS]
    order = 2 * len(firmware.boot_order(machine.nvram)) + 8
    # What is replaced is there until the new one is: the record counts twice.
    needed = sum(sizes) + order + 2 * _RECORD_MAX + 6 * _VARIABLE_COST
    room = machine.nvram.room()
    if room is not None and room < needed:
        fault = f"the firmware has room for {room} bytes of variables, {needed} are needed"
        raise OSError(errno.ENOSPC, fault)


def _leave_out(machine: Machine, numbers: list[int]) -> None:
    order = firmware.boot_order(machine.nvram)
    if set(order) & set(numbers):
        rest = [number for number in order if number not in numbers]
        firmware.set_boot_order(machine.nvram, rest)


def _check_fallback(machine: Machine, force: bool) -> None:
    if machine.volume.size(FALLBACK) and not force and not _is_ours(machine):
        raise UsageError(f"{FALLBACK}: is another's (--force)")


def _is_ours(machine: Machine) -> bool:
    try:
        identify(machine.volume.read(FALLBACK) or b"", FALLBACK)
    except FormatError:
        return False
    return True


def _refresh_fallback(machine: Machine, active: InSlot) -> None:
    """With the image that has proven itself, if it is another's meanwhile: never the new one."""
    if machine.volume.sha256(FALLBACK) == active.sha256 or not _is_ours(machine):
        return
    data = machine.volume.read(path_of(active.slot)) or b""
    if hashlib.sha256(data).hexdigest() != active.sha256:
        return
    make_room(machine.volume, {FALLBACK: data})
    put(machine.volume, FALLBACK, data)
    machine.report(f"{FALLBACK}: is {active} now")
