# SPDX-License-Identifier: Apache-2.0
"""Disks, network and TPM in three worlds of one machine, one after the other.

Our Linux on the bridged devices, EFI applications that call the same protocols, and a stock Linux
with its own drivers, which our Linux has started. All make the same requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pykexec.vm.vm import Vm
from tests.bench.counterpart import Counterpart
from tests.bench.devices_machine import (
    APPLICATIONS,
    NATIVE_OPTIONS,
    NATIVE_PATH,
    NATIVE_START,
    WINDOW_ARGUMENTS,
    application_path,
    devices_machine,
    native_kernel,
)
from tests.bench.facts import number
from tests.bench.inputs import Inputs
from tests.bench.sample import Moment, Span
from tests.bench.worlds import DISKS, Work, World, parse
from tests.vm.guest import Guest

IDLE_S = 20
_LIMIT_S = 1500
_TOOL_S = 600


@dataclass(frozen=True, slots=True)
class Idle:
    """Shares of a processor while nothing is asked of anybody."""

    guest: float
    bridges: Mapping[str, float]
    switches_per_s: float
    qemu: float
    qemu_without: float
    guest_without: float


@dataclass(frozen=True, slots=True)
class Count:
    """What a request takes of what no busy host changes; changes are those of processes."""

    bells: float
    changes: float


@dataclass(frozen=True, slots=True)
class Devices:
    """All that was measured in one machine; window is descriptors alone, without block devices."""

    cpu: str
    clocksource: str
    native_kernel: str
    bridge: World
    window: World
    application: World
    native: World
    idle: Idle
    counts: Mapping[Work, Count]


def measure(inputs: Inputs) -> Devices:
    """Boot once and go through the three worlds."""
    machine = devices_machine(inputs)
    directory = inputs.directory / "devices"
    with Counterpart() as host, Vm(machine, directory, limit_s=_LIMIT_S) as vm:
        guest = Guest(vm).ready()
        guest.ok("pykexec bridge stop")
        without, qemu_without = _idle(guest)
        guest.ok("pykexec bridge start", within=120)
        guest.ok("pykexec net up", within=120)
        during, qemu = _idle(guest)
        counts = guest.script("counts", len(DISKS), number("BENCH_ROUNDS"), within=_TOOL_S)
        bridge = _tools(guest, "/inside", host.port)
        window = guest.ok(f"/inside/window {WINDOW_ARGUMENTS}", within=_TOOL_S)
        applications = []
        for name in APPLICATIONS:
            guest.send(f"pykexec exec '{application_path(name)}' --options port={host.port:x}")
            applications.append(vm.expect(r"(?s)^BENCH:.*BENCH:end:0$", _TOOL_S)[0])
            guest.ready()
        own = _native(guest, host.port)
    tsc_khz = during["tsc_khz"]
    return Devices(
        cpu=machine.cpu,
        clocksource=during["clocksource"],
        native_kernel=native_kernel(inputs).release,
        bridge=parse(bridge, tsc_khz),
        window=parse(window, tsc_khz),
        application=parse("\n".join(applications), tsc_khz),
        native=parse(own, tsc_khz),
        idle=Idle(
            guest=during["busy"],
            bridges=during["bridges"],
            switches_per_s=during["switches_per_s"],
            qemu=qemu.cpu_s / qemu.wall_s,
            qemu_without=qemu_without.cpu_s / qemu_without.wall_s,
            guest_without=without["busy"],
        ),
        counts=by_work(counts),
    )


def by_work(counts: list[dict[str, Any]]) -> Mapping[Work, Count]:
    """What inside/counts.py has printed."""
    return {
        Work(DISKS[each["disk"]], each["write"], each["size"], each["depth"]): Count(
            each["bells"], each["changes"]
        )
        for each in counts
    }


def _idle(guest: Guest) -> tuple[dict[str, Any], Span]:
    before = _now(guest.vm)
    found: dict[str, Any] = guest.script("idle", IDLE_S, within=IDLE_S + 60)
    return found, _now(guest.vm).since(before)


def _now(vm: Vm) -> Moment:
    return Moment(vm.seconds, vm.cpu_seconds())


def _tools(guest: Guest, directory: str, port: int) -> str:
    """What the tools print; a device that fails ends the benchmark."""
    tools = ("costbench", "diskbench", f"netbench {port}", "tpmbench /dev/tpm0")
    return "\n".join(guest.ok(f"{directory}/{tool}", within=_TOOL_S) for tool in tools)


def _native(guest: Guest, port: int) -> str:
    """Have our Linux start the stock one; what the tools print there."""
    guest.send(f"pykexec exec '{NATIVE_PATH}' --options '{NATIVE_OPTIONS}'")
    guest.vm.expect("^OS:DONE", 180)
    # Guest waits for our shell's prompt; written so that its echo is not taken for it.
    guest.send("PS1='pykexec''# '")
    guest.prompt()
    guest.ok(NATIVE_START)
    guest.ok("ip link set eth0 up && ip addr add 10.0.2.15/24 dev eth0")
    output = _tools(guest, "/bench", port)
    guest.send("poweroff -f")
    guest.vm.wait_exit(60)
    return output
