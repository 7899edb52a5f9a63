# SPDX-License-Identifier: Apache-2.0
"""What is installed, in words and for machines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from pykexec.install import nvram as firmware
from pykexec.install.change import Machine
from pykexec.install.slots import ARMED, FALLBACK, STARTED, WRITTEN, InSlot, path_of

_STAGES = {
    WRITTEN: "written, and not named in BootNext yet",
    ARMED: "tried once at the next start",
    STARTED: "being tried: its agent was up",
}


def status_lines(machine: Machine) -> Iterator[str]:
    """A line each."""
    slots = machine.known()
    order = firmware.boot_order(machine.nvram)
    yield f"partition: {slots.partition}"
    for name in ("active", "previous"):
        image: InSlot | None = getattr(slots, name)
        yield f"{name}: {_described(machine, image, order) if image else 'none'}"
    if slots.trial:
        yield f"on trial: {_described(machine, slots.trial, order)}; {_STAGES[slots.stage]}"
    if slots.failed:
        yield f"given up: {slots.failed}: {slots.reason}"
    if slots.has_fallback:
        yield f"fallback: {FALLBACK}"


def status_values(machine: Machine) -> dict[str, object]:
    """The same as JSON has it."""
    slots = machine.known()
    values = {**asdict(slots), "partition": str(slots.partition)}
    order = firmware.boot_order(machine.nvram)
    return {**values, "boot_order": [f"Boot{number:04X}" for number in order]}


def _described(machine: Machine, image: InSlot, order: tuple[int, ...]) -> str:
    places = []
    for number in firmware.entries_of(machine.nvram, machine.partition, image.slot):
        where = f", place {order.index(number) + 1}" if number in order else ""
        places.append(f"Boot{number:04X}{where}")
    return f"{image} ({'; '.join([*places, *_faults(machine, image, bool(places))])})"


def _faults(machine: Machine, image: InSlot, has_entry: bool) -> Iterator[str]:
    if not has_entry:
        yield "no boot option"
    found = machine.volume.sha256(path_of(image.slot))
    if found != image.sha256:
        yield "its file is another one" if found else "its file is gone"
