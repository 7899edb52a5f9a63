# SPDX-License-Identifier: Apache-2.0
"""The devices' figures as ratios and goals, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from tests.bench.devices import Devices, Idle
from tests.bench.facts import number
from tests.bench.worlds import Work, World

Row = tuple[str, str, str, str, str, str, str, str]

LARGE_GOAL = 0.90
SMALL_GOAL = 0.50
NETWORK_GOAL = 10.0
PING_GOAL_MS = 3.0
IDLE_GOAL = 0.05
# What the design is measured against: so many full frames each time that somebody looks.
POLLED_FRAMES = 10
POLL_PERIOD_S = 0.010
FRAME_SIZE = 1514
POLLING_BITS = POLLED_FRAMES * FRAME_SIZE * 8 / POLL_PERIOD_S

_MIB = 1 << 20
_NOTHING = ""


def rows(devices: Devices) -> Iterator[Row]:
    """One a line; ratios are the bridge's in terms of the application's and the driver's."""
    bridge, application, native = devices.bridge, devices.application, devices.native
    yield (
        "devices", "bridge", "window alone", "EFI application", "ratio", "native driver", "ratio",
        "goal",
    )  # fmt: skip
    for work in bridge.blocks:
        yield _block(work, devices)
    for way in bridge.frames:
        words = [frames(world, way) for world in (bridge, application, native)]
        values = [world.frames.get(way) for world in (bridge, application, native)]
        yield _row(f"UDP frames {way}", words, values, _NOTHING)
    for way in bridge.tcp:
        words = [megabits(world.tcp.get(way)) for world in (bridge, application, native)]
        values = [world.tcp.get(way) for world in (bridge, application, native)]
        times = bridge.tcp[way] / POLLING_BITS
        goal = _goal(times >= NETWORK_GOAL, f">= {NETWORK_GOAL:g} x polling, is {times:.1f} x")
        yield _row(f"TCP {way}", words, values, goal)
    for pause in bridge.pings:
        values = [world.pings.get(pause) for world in (bridge, application, native)]
        goal = _goal(bridge.pings[pause] < PING_GOAL_MS, f"< {PING_GOAL_MS:g} ms")
        yield _row(f"ping, every {pause / 1000:g} ms", milliseconds(values), values, goal)
    for command in bridge.tpm:
        values = [world.tpm.get(command) for world in (bridge, application, native)]
        yield _row(f"TPM2_{command}", milliseconds(values), values, _NOTHING)
    for kind, value in bridge.costs.items():
        words = [_cost(value), _NOTHING, _cost(native.costs.get(kind))]
        yield _row(kind, words, [value, None, native.costs.get(kind)], _NOTHING)
    for work, count in devices.counts.items():
        changes = f"{count.changes:.2f} changes of processes"
        yield _line(f"  {work}: a request", f"{count.bells:.3f} bells", changes, _NOTHING)
    yield from _idle(devices.idle)


def share(one: float | None, other: float | None) -> float | None:
    """one in terms of other, where both were measured."""
    return one / other if one is not None and other else None


def _row(
    what: str, words: list[str], values: list[float | None], goal: str, window: str = _NOTHING
) -> Row:
    ours, direct, own = values
    ratios = ratio(share(ours, direct)), ratio(share(ours, own))
    return (what, words[0], window, words[1], ratios[0], words[2], ratios[1], goal)


def _block(work: Work, devices: Devices) -> Row:
    """Against the application's one request at a time, which is all that Block I/O has."""
    ours = devices.bridge.blocks[work]
    direct = devices.application.blocks.get(replace(work, depth=1))
    own = devices.native.blocks.get(work)
    least = SMALL_GOAL if work.size == number("BENCH_SMALL") else LARGE_GOAL
    found = share(ours, direct)
    words = [requests(work, value) for value in (ours, direct, own)]
    goal = _goal(found >= least, f">= {least:.2f}") if found is not None else _NOTHING
    window = requests(work, devices.window.blocks.get(work))
    return _row(str(work), words, [ours, direct, own], goal, window)


def _idle(idle: Idle) -> Iterator[Row]:
    total = sum(idle.bridges.values())
    met = _goal(total < IDLE_GOAL, f"< {IDLE_GOAL:.0%}")
    yield _line("idle: processes of the bridges", f"{total:.1%}", _NOTHING, met)
    for name, value in idle.bridges.items():
        yield _line(f"  {name}", f"{value:.1%}", _NOTHING, _NOTHING)
    more = idle.guest - idle.guest_without
    met = _goal(more < IDLE_GOAL, f"< {IDLE_GOAL:.0%} more")
    yield _line("idle: guest", f"{idle.guest:.1%}", f"{idle.guest_without:.1%} without", met)
    more = idle.qemu - idle.qemu_without
    met = _goal(more < IDLE_GOAL, f"< {IDLE_GOAL:.0%} more")
    yield _line("idle: QEMU", f"{idle.qemu:.1%}", f"{idle.qemu_without:.1%} without", met)
    yield _line("idle: switches", f"{idle.switches_per_s:.0f}/s", _NOTHING, _NOTHING)


def _line(what: str, ours: str, other: str, goal: str) -> Row:
    return (what, ours, _NOTHING, other, _NOTHING, _NOTHING, _NOTHING, goal)


def requests(work: Work, a_second: float | None) -> str:
    """Requests of that kind a second, as people read them."""
    if a_second is None:
        return _NOTHING
    mib = a_second * work.size / _MIB
    return f"{mib:.1f} MiB/s" if work.size >= _MIB else f"{a_second:.0f} IOPS, {mib:.1f} MiB/s"


def frames(world: World, way: str) -> str:
    """Full frames a second of one way, and what was lost of them."""
    if way not in world.frames:
        return _NOTHING
    bits = megabits(world.frames[way] * FRAME_SIZE * 8)
    lost = f", {world.lost[way]:.0%} lost" if world.lost[way] >= 0.005 else ""
    return f"{world.frames[way]:.0f}/s, {bits}{lost}"


def megabits(bits: float | None) -> str:
    """Bits a second."""
    return _NOTHING if bits is None else f"{bits / 1e6:.1f} Mbit/s"


def milliseconds(values: list[float | None]) -> list[str]:
    """Times in milliseconds."""
    return [_NOTHING if value is None else f"{value:.2f} ms" for value in values]


def _cost(a_second: float | None) -> str:
    """Bytes are many, times are few."""
    if a_second is None:
        return _NOTHING
    return f"{a_second / _MIB:.0f} MiB/s" if a_second > 10 * _MIB else f"{1e6 / a_second:.1f} us"


def ratio(value: float | None) -> str:
    """A share of share()."""
    return _NOTHING if value is None else f"{value:.2f}"


def _goal(met: bool, words: str) -> str:
    return f"{words}: {'met' if met else 'MISSED'}"


def summary(devices: Devices) -> Mapping[str, float]:
    """The ratios that the goals are about, for the JSON file."""
    found = {}
    for work in devices.bridge.blocks:
        direct = devices.application.blocks.get(replace(work, depth=1))
        value = share(devices.bridge.blocks[work], direct)
        if value is not None:
            found[str(work)] = value
    for way, bits in devices.bridge.tcp.items():
        found[f"TCP {way}, times polling"] = bits / POLLING_BITS
    return found
