# SPDX-License-Identifier: Apache-2.0
"""The patched kernel's figures as tables and ratios."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.bench.devices_report import (
    frames,
    megabits,
    milliseconds,
    ratio,
    requests,
    share,
)
from tests.bench.kernel import Kernel
from tests.bench.kernel_machines import KITS, Kit
from tests.bench.sample import Span
from tests.bench.worlds import World

WORLDS = ("native", "bridge", "driver")

Row = tuple[str, str, str, str, str, str]


def rows(kernel: Kernel) -> Iterator[Row]:
    """One a line; ratios are the native driver's in terms of the bridge's and of Linux' own."""
    yield ("devices", "native", "bridge", "Linux' own driver", ": bridge", ": own")
    for kit in KITS:
        for what, values, words in _values(kit, kernel.worlds[kit.name]):
            to_bridge, to_own = (ratio(share(values[0], other)) for other in values[1:])
            yield (what, words[0], words[1], words[2], to_bridge, to_own)
    yield from _others(kernel)


def ratios(kernel: Kernel) -> Mapping[str, Mapping[str, float]]:
    """The same ratios for the JSON file: of rates more is better, of times (ms) less."""
    return {
        what: {
            f"to {name}": value
            for name, other in zip(WORLDS[1:], values[1:], strict=True)
            if (value := share(values[0], other)) is not None
        }
        for kit in KITS
        for what, values, _ in _values(kit, kernel.worlds[kit.name])
    }


def _values(
    kit: Kit, by_name: Mapping[str, World]
) -> Iterator[tuple[str, list[float | None], list[str]]]:
    """What was measured, its value in each world, and the same for people."""
    worlds = [by_name[name] for name in WORLDS]
    nic, tpm = kit.nic.model.removesuffix("-pci"), kit.tpm.upper()
    first = worlds[0]
    for work in first.blocks:
        values = [world.blocks.get(work) for world in worlds]
        yield str(work), values, [requests(work, value) for value in values]
    for way in first.frames:
        values = [world.frames.get(way) for world in worlds]
        yield f"{nic}: UDP frames {way}", values, [frames(world, way) for world in worlds]
    for way in first.tcp:
        values = [world.tcp.get(way) for world in worlds]
        yield f"{nic}: TCP {way}", values, [megabits(value) for value in values]
    for pause in first.pings:
        values = [world.pings.get(pause) for world in worlds]
        yield f"{nic}: ping every {pause / 1000:g} ms", values, milliseconds(values)
    for command in first.tpm:
        values = [world.tpm.get(command) for world in worlds]
        yield f"{tpm}: TPM2_{command}", values, milliseconds(values)


def _others(kernel: Kernel) -> Iterator[Row]:
    routes, boots = kernel.hand_over, kernel.start
    yield ("hand-over", "EFI application", "resume image", "", ": resume", "")
    for what, one, other in (
        ("decision to payload", routes.native.whole, routes.resume.whole),
        ("reboot(2) to payload", routes.native.jump, routes.resume.jump),
    ):
        yield from _spans(what, one, other, None)
    yield ("boot", "our image", "with stock kernel", "systemd-stub", ": stock", ": systemd-stub")
    yield from _spans("firmware to agent", boots.pykexec, kernel.stock, boots.uki)


def _spans(what: str, one: Span, other: Span, third: Span | None) -> Iterator[Row]:
    for clock, name in (("wall_s", "wall"), ("cpu_s", "CPU")):
        values = [None if span is None else getattr(span, clock) for span in (one, other, third)]
        ours, theirs, uki = ("" if value is None else f"{value:.2f} s" for value in values)
        to_theirs, to_uki = (ratio(share(values[0], value)) for value in values[1:])
        yield (f"{what}, {name}", ours, theirs, uki, to_theirs, to_uki)
