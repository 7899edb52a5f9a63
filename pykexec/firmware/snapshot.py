# SPDX-License-Identifier: Apache-2.0
"""Is what Linux gives back the firmware that started it? The machine's state, item by item."""

from __future__ import annotations

from dataclasses import dataclass

from pykexec.abi import Op, StateFlag
from pykexec.firmware.handoff import handoff_fault, read_handoff_bytes
from pykexec.firmware.mailbox import Mailbox, Request
from pykexec.firmware.self_test import SelfTest, self_test
from pykexec.firmware.wire import answer_error, struct_size, unpack

_WHAT = "state"


@dataclass(frozen=True, slots=True)
class StateItem:
    """One value at four moments; left and after count only if has_left.

    before: when Linux was entered first. during: now, inside the firmware's
    world. left: as Linux left it at its last end. after: once restored. told: what Linux changes
    stays so.
    """

    name: str
    before: int
    during: int
    left: int
    after: int
    has_left: bool
    gate: bool
    volatile: bool
    told: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """An item that is not what it was; moment is "during" or "after"."""

    name: str
    moment: str
    before: int
    found: int

    def __str__(self) -> str:
        return f"{self.name}: {self.before:#x} before, {self.found:#x} {self.moment}"


@dataclass(frozen=True, slots=True)
class FirmwareReport:
    """The whole comparison; handoff_fault is "" if the handoff is sound.

    told are differences that are known, and held against nobody: nothing could undo them, or needs
    to. self_test tells whether the firmware's own timer still drives its events.
    """

    items: tuple[StateItem, ...]
    differences: tuple[Difference, ...]
    told: tuple[Difference, ...]
    handoff_fault: str
    self_test: SelfTest

    @property
    def is_same(self) -> bool:
        """Nothing differs, the handoff is sound, the firmware has time."""
        return not self.differences and not self.handoff_fault and self.self_test.nr_ticks > 0


def decode_state(body: bytes) -> tuple[StateItem, ...]:
    """The pk_state_entry structs of an answer."""
    step = struct_size("pk_state_entry")
    if len(body) % step:
        raise answer_error(_WHAT, len(body) - len(body) % step, "entry is cut off")
    return tuple(_item(body, offset) for offset in range(0, len(body), step))


def _item(body: bytes, offset: int) -> StateItem:
    raw = unpack("pk_state_entry", body, offset, _WHAT)
    return StateItem(
        name=raw.name.rstrip(b"\0").decode("ascii", "backslashreplace"),
        before=raw.before,
        during=raw.during,
        left=raw.left,
        after=raw.after,
        has_left=bool(raw.flags & StateFlag.HAS_LEFT),
        gate=bool(raw.flags & StateFlag.GATE),
        volatile=bool(raw.flags & StateFlag.VOLATILE),
        told=bool(raw.flags & StateFlag.TOLD),
    )


def compare(items: tuple[StateItem, ...], *, told: bool = False) -> tuple[Difference, ...]:
    """What the gate does not switch, and what the way back did not restore, of items that are told
    or of the others.
    """
    differences = []
    for item in items:
        if item.volatile or item.told is not told:
            continue
        if item.gate and item.during != item.before:
            differences.append(Difference(item.name, "during", item.before, item.during))
        if item.has_left and item.after != item.before:
            differences.append(Difference(item.name, "after", item.before, item.after))
    return tuple(differences)


def verify_firmware(mailbox: Mailbox) -> FirmwareReport:
    """Read every state item and the handoff, compare, and let the firmware's timer run."""
    items = decode_state(mailbox.ask(Request(Op.STATE, _WHAT)))
    fault = handoff_fault(read_handoff_bytes(mailbox))
    told = compare(items, told=True)
    return FirmwareReport(items, compare(items), told, fault, self_test(mailbox))
