# SPDX-License-Identifier: Apache-2.0
"""What is measured from inside of our Linux: hand-over, mailbox, blocks, memory; one machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pykexec.vm.vm import Vm
from tests.bench.inputs import BLOCKREAD_PATH, HELLO_PATH, Inputs, bench_machine
from tests.bench.sample import Span, at, middle, ratio
from tests.vm.guest import Guest

# EFI_ABORTED: the boot manager goes on with the boot order, which is our image again.
OPTIONS = "return=8000000000000015"


@dataclass(frozen=True, slots=True)
class HandOver:
    """From the decision to the payload's first line; faster is reset in terms of kexec.

    kexec is with no bridge running, as where nobody is expected; with_bridges has all to end.
    """

    kexec: Span
    with_bridges: Span
    reset: Span
    faster: Span
    all_kexec: tuple[Span, ...]
    all_with_bridges: tuple[Span, ...]
    all_reset: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """To the payload's first line: whole from the decision, jump from the call of reboot(2)."""

    whole: Span
    jump: Span


@dataclass(frozen=True, slots=True)
class Routes:
    """The two ways of kexec_file_load(2): the EFI application itself, and the resume image."""

    native: Route
    resume: Route


@dataclass(frozen=True, slots=True)
class Blocks:
    """Reads of one size; share is the mailbox' throughput in terms of the application's."""

    size: int
    mailbox_mib_per_s: float
    application_mib_per_s: float
    share: float


@dataclass(frozen=True, slots=True)
class GuestSide:
    """Everything that was measured in the machine."""

    hand_over: HandOver
    mailbox: Mapping[str, float]
    memory: Mapping[str, int]
    blocks: tuple[Blocks, ...]


def measure(inputs: Inputs, repetitions: int) -> GuestSide:
    """Boot once, measure, and go back and forth so often."""
    machine = bench_machine(inputs)
    limit_s = 240.0 + 220.0 * repetitions
    with Vm(machine, inputs.directory / "inside", limit_s=limit_s) as vm:
        guest = Guest(vm).ready()
        guest.ok("pykexec bridge stop", within=120)
        memory = guest.script("memory")
        mailbox = guest.script("mailbox", within=120)
        blocks = _blocks(guest)
        found: dict[str, list[Span]] = {"stop": [], "start": [], "reset": []}
        for _ in range(repetitions):
            for do, spans in found.items():
                guest.ready()
                # A person's shell has bridges, which may be on their way up just now.
                guest.ok(f"pykexec bridge {'start' if do == 'start' else 'stop'}", within=120)
                spans.append(_hand_over(guest, "reset" if do == "reset" else "kexec"))
    one, bridged, other = (middle(spans) for spans in found.values())
    every = [tuple(spans) for spans in found.values()]
    return GuestSide(
        HandOver(one, bridged, other, ratio(other, one), *every),
        mailbox,
        memory,
        blocks,
    )


def measure_routes(inputs: Inputs, repetitions: int) -> Routes:
    """Start a payload by both, in turn, so often; no bridge runs."""
    found: dict[str, list[Route]] = {"native": [], "resume": []}
    limit_s = 120.0 + 120.0 * repetitions
    with Vm(bench_machine(inputs), inputs.directory / "routes", limit_s=limit_s) as vm:
        guest = Guest(vm)
        for _ in range(repetitions):
            for name, routes in found.items():
                guest.ready()
                guest.ok("pykexec bridge stop", within=120)
                routes.append(_route(guest, name))
    return Routes(**{name: _middle(routes) for name, routes in found.items()})


def _middle(routes: list[Route]) -> Route:
    return Route(middle(route.whole for route in routes), middle(route.jump for route in routes))


def _route(guest: Guest, name: str) -> Route:
    guest.send(f"/inside/hand_over {name} '{HELLO_PATH}' '{OPTIONS}'")
    decided = at(guest.vm, "^PK:bench:decided:0")
    jumped = at(guest.vm, "^PK:agent:resume:0")
    started = at(guest.vm, "^PK:payload:started:0")
    return Route(started.since(decided), started.since(jumped))


def _hand_over(guest: Guest, route: str) -> Span:
    guest.send(f"/inside/hand_over {route} '{HELLO_PATH}' '{OPTIONS}'")
    decided = at(guest.vm, "^PK:bench:decided:0")
    return at(guest.vm, "^PK:payload:started:0").since(decided)


def _blocks(guest: Guest) -> tuple[Blocks, ...]:
    """Through the mailbox first, then by the application, which leads back to the agent."""
    sizes = {4096: 512, 1 << 20: 32}
    inside = {
        size: guest.script("blocks", size, reads, within=120) for size, reads in sizes.items()
    }
    guest.send(f"/inside/hand_over kexec '{BLOCKREAD_PATH}' ''")
    found = []
    for size, reads in sizes.items():
        match = guest.vm.expect(rf"^PK:blockread:{size:x}:{reads:x}:([0-9a-f]+)", 120)
        mib = size * reads / (1 << 20)
        through = mib / inside[size]["seconds"]
        direct = mib / (int(match[1], 16) / inside[size]["tsc_khz"] / 1000)
        found.append(Blocks(size, through, direct, through / direct))
    return tuple(found)
