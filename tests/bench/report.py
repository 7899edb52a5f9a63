# SPDX-License-Identifier: Apache-2.0
"""The results of a run as one value, and as tables for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pykexec.image import Built
from tests.bench.attest import Attestations
from tests.bench.devices import Devices
from tests.bench.guest_side import Blocks, HandOver
from tests.bench.sample import Span
from tests.bench.start import Start
from tests.vm import images

MIB = 1 << 20
HAND_OVER_GOAL = 20.0
START_GOAL = 1.10
SIZE_GOAL = 10 * 1000 * 1000
AGENT_GOAL_MS = 1500


@dataclass(frozen=True, slots=True)
class Results:
    """Everything; spans are medians."""

    kernel: str
    ovmf: str
    repetitions: int
    host_load: tuple[float, float]
    hand_over: HandOver
    start: Start
    mailbox: Mapping[str, float]
    blocks: tuple[Blocks, ...]
    memory: Mapping[str, int]
    sizes: Mapping[str, int]
    devices: Devices
    device_ratios: Mapping[str, float]
    attestations: Attestations


def sizes(built: Built) -> dict[str, int]:
    """Bytes of the image's parts."""
    return {
        "image": len(built.data),
        "kernel": built.section_sizes[".linux"],
        "all_but_the_kernel": built.overhead_size,
        "initramfs": built.section_sizes[".initrd"],
        "initramfs_unpacked": built.initrd_unpacked_size,
        "stub": images.stub().stat().st_size,
        "resume": images.resume().stat().st_size,
    }


def rows(results: Results) -> Iterator[tuple[str, str, str, str, str]]:
    """What, ours, the other, ratio, goal."""
    yield ("what", "pykexec", "compared with", "ratio", "goal")
    yield from _hand_over(results.hand_over)
    yield from start_rows(results.start)
    for blocks in results.blocks:
        yield (
            f"ReadBlocks of {blocks.size // 1024} KiB",
            f"{blocks.mailbox_mib_per_s:.1f} MiB/s",
            f"{blocks.application_mib_per_s:.1f} MiB/s, EFI application",
            f"{blocks.share:.2f}",
            "",
        )
    mailbox, memory = results.mailbox, results.memory
    yield ("mailbox, one by one", f"{mailbox['calls_per_s']:.0f} calls/s", "", "", "")
    yield (
        "mailbox, in batches",
        f"{mailbox['batched_requests_per_s']:.0f} requests/s",
        "",
        f"{mailbox['batched_requests_per_s'] / mailbox['calls_per_s']:.1f} x",
        "",
    )
    size = results.sizes["all_but_the_kernel"]
    yield ("image but the kernel", _mib(size), "", "", _goal(size < SIZE_GOAL, "< 10 MB"))
    for name in ("initramfs", "stub", "resume"):
        yield (f"  {name}", _mib(results.sizes[name]), "", "", "")
    for name, words in (
        ("stub_resident", "RAM, stub"),
        ("arena_peak_before_exit_boot_services", "RAM, kernel's start"),
        ("linux_used", "RAM, Linux with agent"),
    ):
        yield (words, _mib(memory[name]), f"of {_mib(memory['arena'])} arena", "", "")
    agent = results.start.agent_cpu_ms
    met = _goal(agent < AGENT_GOAL_MS, "< 1500 ms")
    yield ("/init to agent ready, guest CPU", f"{agent} ms", "", "", met)
    yield (
        "kernel's clock at agent ready",
        f"{results.start.uptime_ms} ms",
        f"{results.start.uki_uptime_ms} ms, UKI",
        f"{results.start.uptime_ms / results.start.uki_uptime_ms:.2f}",
        "",
    )


def _hand_over(hand_over: HandOver) -> Iterator[tuple[str, str, str, str, str]]:
    for clock in ("wall_s", "cpu_s"):
        faster = getattr(hand_over.faster, clock)
        yield (
            f"decision to payload, {_CLOCKS[clock]}",
            f"{getattr(hand_over.kexec, clock):.2f} s",
            f"{getattr(hand_over.reset, clock):.2f} s, BootNext and reset",
            f"{faster:.1f} x faster",
            _goal(faster >= HAND_OVER_GOAL, f">= {HAND_OVER_GOAL:.0f} x"),
        )
    bridged = hand_over.with_bridges.wall_s
    more = f"{bridged / hand_over.kexec.wall_s:.2f}"
    yield ("decision to payload, bridges up", f"{bridged:.2f} s", "without them", more, "")


_CLOCKS = {"wall_s": "wall", "cpu_s": "CPU"}


def _pair(
    what: str, ours: Span, other: Span, ratio: Span
) -> Iterator[tuple[str, str, str, str, str]]:
    for clock, name in _CLOCKS.items():
        value = getattr(ratio, clock)
        yield (
            f"{what}, {name}",
            f"{getattr(ours, clock):.2f} s",
            f"{getattr(other, clock):.2f} s",
            f"{value:.2f}",
            _goal(value < START_GOAL, f"< {START_GOAL:.2f}"),
        )


def start_rows(start: Start) -> Iterator[tuple[str, str, str, str, str]]:
    """From the firmware to the agent: what, ours, the other, ratio, goal."""
    for name, other, ratio in (
        ("UKI of systemd-stub", start.uki, start.to_uki),
        ("kernel as EFI stub", start.efi_stub, start.to_efi_stub),
    ):
        yield from _pair(f"firmware to agent, against {name}", start.pykexec, other, ratio)


def stage_rows(start: Start) -> Iterator[tuple[str, str, str]]:
    """Where the time from firmware to agent goes."""
    yield ("firmware to agent, by stage", "wall", "CPU")
    for name, span in start.stages.items():
        yield (f"  {name}", f"{span.wall_s:.2f} s", f"{span.cpu_s:.2f} s")


def _goal(met: bool, text: str) -> str:
    return f"{text}: {'met' if met else 'MISSED'}"


def _mib(size: int) -> str:
    return f"{size / MIB:.2f} MiB"
