# SPDX-License-Identifier: Apache-2.0
"""What the agent makes of a trial, by variables alone: it is up; it has gone well; it has not.

Whoever runs and is not on trial knows that the trial is over: the firmware uses BootNext up before
it starts what that names (UEFI 2.10, 3.1.2).
"""

from __future__ import annotations

from dataclasses import replace

from pykexec.errors import UsageError
from pykexec.install import nvram as firmware
from pykexec.install.nvram import Nvram
from pykexec.install.slots import ARMED, STARTED, WRITTEN, InSlot, Slots

_REASONS = {
    WRITTEN: "interrupted before it was to be tried",
    ARMED: "the firmware did not start it, or it ended before its agent was up",
    STARTED: "it neither attested nor reached its payload",
}


def running_trial(slots: Slots, here: str) -> InSlot | None:
    """The trial that this boot is; here is the slot that was booted, "" for none."""
    return slots.trial if slots.trial and slots.trial.slot == here else None


def begin(nvram: Nvram, slots: Slots, here: str, last_end: str = "") -> Slots:
    """What is known once the agent is up: that a trial is, or why it has failed. The failed image
    is not booted any more, whatever BootOrder had.
    """
    trial = slots.trial
    if trial is None:
        return slots
    if trial.slot == here:
        new = replace(slots, stage=STARTED)
        firmware.write_slots(nvram, new)
        return new
    numbers = firmware.entries_of(nvram, slots.partition, trial.slot)
    if firmware.boot_next(nvram) in numbers:
        return slots  # It is still to come.
    order = firmware.boot_order(nvram)
    if set(order) & set(numbers):
        firmware.set_boot_order(nvram, [each for each in order if each not in numbers])
    why = "; last end: ".join(filter(None, (_REASONS[slots.stage], last_end)))
    new = replace(slots, trial=None, stage="", failed=trial, reason=why)
    firmware.write_slots(nvram, new)
    return new


def succeed(nvram: Nvram, slots: Slots, here: str) -> Slots:
    """The boot has come as far as it has to: from now on the machine boots this image."""
    trial = running_trial(slots, here)
    if trial is None:
        return slots
    promote(nvram, slots, trial)
    return firmware.read_slots(nvram) or slots


def told(nvram: Nvram) -> None:
    """The server knows why the last update has failed: it is kept no longer."""
    slots = firmware.read_slots(nvram)
    if slots and slots.failed:
        firmware.write_slots(nvram, replace(slots, failed=None, reason=""))


def facts(slots: Slots, here: str) -> dict[str, str]:
    """What the server is told; {} where nothing of this boot came from a slot."""
    found = {"slot": here} if here else {}
    if running_trial(slots, here):
        found["trial"] = "yes"
    if slots.failed:
        failed = slots.failed
        found |= {"failed": failed.version, "failed_sha256": failed.sha256, "reason": slots.reason}
    return found


def promote(nvram: Nvram, slots: Slots, new: InSlot) -> None:
    """Have new boot in place of the active image, which comes right behind it; one that BootOrder
    does not have is not put there. UsageError if the boot option of new is gone.
    """
    numbers = firmware.entries_of(nvram, slots.partition, new.slot)
    if not numbers:
        raise UsageError(f"slot {new.slot} has no boot option any more")
    before = slots.active
    olds = firmware.entries_of(nvram, slots.partition, before.slot) if before else []
    order = firmware.boot_order(nvram)
    behind = [number for number in order if number in olds]
    if behind or before is None:
        ours = {*numbers, *behind}
        at = order.index(behind[0]) if behind else 0
        front = [number for number in order[:at] if number not in ours]
        back = [number for number in order[at:] if number not in ours]
        firmware.set_boot_order(nvram, [*front, numbers[0], *behind, *back])
    kept = before if before != new else slots.previous
    firmware.write_slots(nvram, replace(slots, active=new, previous=kept, trial=None, stage=""))
