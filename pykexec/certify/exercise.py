# SPDX-License-Identifier: Apache-2.0
"""Steps that use the gate: timers, calls, console, registers, the firmware's memory."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pykexec.certify.plan import TRIPS, Bench, Facts, StepError
from pykexec.firmware.snapshot import StateItem, decode_state, verify_firmware
from pykexec.memory import format_size

NR_CALLS = 200
_TICK_US, _STALL_US = 50_000, 1_000_000
_LVT_MASKED, _RTE_MASKED = 1 << 16, 1 << 16
_NEVER_WRITTEN = "acpi reclaim memory"
"""Tables. All else drivers may write: their images, data and all, are runtime services code."""
_LVT_MODES = {0: "one-shot", 1: "periodic", 2: "TSC deadline"}


def timers(bench: Bench) -> Facts:
    """Does the firmware's timer tick while Linux runs, and what drives it?"""
    from pykexec.abi import Op
    from pykexec.firmware.mailbox import Request
    from pykexec.firmware.self_test import self_test

    items = decode_state(bench.mailbox.ask(Request(Op.STATE, "state")))
    counted = self_test(bench.mailbox, _TICK_US, _STALL_US)
    facts: Facts = {
        "ticks": counted.nr_ticks,
        "expected": _STALL_US // _TICK_US,
        "stale_eois": counted.nr_stale_eois,
        "drained": counted.nr_drained,
        "drivers": timer_drivers(items),
    }
    if not counted.nr_ticks:
        raise StepError("the firmware's timer events do not come while Linux runs", facts)
    return facts


def timer_drivers(items: Sequence[StateItem]) -> list[str]:
    """What was armed to interrupt when Linux was entered first: each may be the firmware's tick."""
    before = {item.name: item.before for item in items}
    found = []
    lvt = before.get("lapic.lvt_timer", _LVT_MASKED)
    if not lvt & _LVT_MASKED:
        found.append(f"local APIC, {_LVT_MODES.get(lvt >> 17 & 3, 'reserved mode')}")
    for pin in (0, 2):
        entry = before.get(f"ioapic.rte {pin}", _RTE_MASKED)
        if not entry & _RTE_MASKED:
            found.append(f"I/O APIC input {pin} (8254 or HPET)")
    if not before.get("pic.imr1", 1) & 1:
        found.append("8259 input 0 (8254 or HPET)")
    return found


def gate(bench: Bench) -> Facts:
    """Many calls, and how long one takes; whether bulk data have the window."""
    from pykexec.bridge.window import find_window
    from pykexec.firmware.info import read_info

    before = read_info(bench.mailbox)
    begun = time.monotonic()
    for _ in range(NR_CALLS):
        if read_info(bench.mailbox).vendor != before.vendor:
            raise StepError("two calls have two answers", {})
    spent = time.monotonic() - begun
    switches = read_info(bench.mailbox).nr_switches - before.nr_switches
    facts: Facts = {
        "calls": NR_CALLS,
        "call_us": round(spent / NR_CALLS * 1e6, 1),
        "switches": switches,
        "window": find_window() or "none: data go by the mailbox, slowly",
    }
    if switches < NR_CALLS:
        raise StepError(f"{switches} world switches in {NR_CALLS} calls", facts)
    return facts


def console(bench: Bench) -> Facts:
    """Where something can be seen, and where keys come from."""
    from pykexec.abi_devices import ConsoleFlag
    from pykexec.firmware.console import Text, read_console, show
    from pykexec.firmware.handles import list_handles

    found = list_handles(bench.mailbox)
    info = read_console(bench.mailbox)
    facts: Facts = {
        "linux": _active(),
        "firmware": str(info.flags.name or "none").lower().split("|"),
        "text": f"{info.columns}x{info.rows}",
        "screen": f"{info.width}x{info.height}" if info.has_screen else "none",
        **{
            name: [str(each.path or "no path") for each in found if each.has(name)]
            for name in ("simple_text_output", "graphics_output", "simple_text_input", "serial_io")
        },
    }
    if ConsoleFlag.TEXT in info.flags:
        show(bench.mailbox, [Text("pykexec certify\r\n")])
    return facts


def _active(path: str = "/sys/class/tty/console/active") -> list[str]:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().split()
    except OSError:
        return []


def registers(bench: Bench) -> Facts:
    """The state of processor and chipset before Linux, under it, and after it."""
    report = verify_firmware(bench.mailbox)
    rows = []
    for item in report.items:
        row: list[object] = [item.name, item.before, item.during, item.left, item.after]
        flags = ("gate",) * item.gate + ("volatile",) * item.volatile
        rows.append([*row, *flags])
    facts: Facts = {
        "items": len(rows),
        "linux_has_ended": any(item.has_left for item in report.items),
        "differences": [str(difference) for difference in report.differences],
        "handoff": report.handoff_fault or "sound",
        "ticks": report.self_test.nr_ticks,
        "state": rows,
    }
    if report.differences:
        many = f"{len(report.differences)} values differ"
        raise StepError(f"{many}, {report.differences[0]}", facts)
    if report.handoff_fault:
        raise StepError(f"handoff: {report.handoff_fault}", facts)
    return facts


def remember_ram(bench: Bench) -> Facts:
    """Have the stub keep digests of reserved memory, too, before Linux ends the first time."""
    from pykexec.abi_devices import RamKind
    from pykexec.firmware.ram import remember_ram

    found = remember_ram(bench.mailbox, RamKind.RESERVED)
    return {"watched": format_size(found.watched), "left_out": format_size(found.left_out)}


def firmware_ram(bench: Bench) -> Facts:
    """What of the firmware's own memory is not as it was: since before Linux, or, of reserved
    memory, since before it ended the first time.
    """
    from pykexec.abi_devices import RamKind
    from pykexec.firmware.ram import read_changed_ram

    found = read_changed_ram(bench.mailbox, ~RamKind(0))
    trips = bench.facts(TRIPS).get("trips")
    facts: Facts = {
        "watched": format_size(found.watched),
        "left_out": format_size(found.left_out),
        "pieces": found.nr_pieces,
        "kinds": str(found.kinds.name).lower().split("|"),
        "round_trips": len(trips) if isinstance(trips, list) else 0,
        "changed": [{"range": str(each), "type": name} for each, name in found.changed],
    }
    odd = [f"{each}, {name}" for each, name in found.changed if name == _NEVER_WRITTEN]
    if odd:
        raise StepError(f"{len(odd)} pieces that nobody should write differ: {odd[0]}", facts)
    return facts
