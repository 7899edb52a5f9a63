# SPDX-License-Identifier: Apache-2.0
"""What the tools of a world have printed, as values: csrc/payload/*bench.c, inside/*bench.c."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from tests.bench.facts import number

_LINE = re.compile(r"^BENCH:([a-z-]+):([0-9a-f:]*)$", re.MULTILINE)
LIMITED = "limited"
DISKS = ("virtio", "ahci", LIMITED)
"""By the digit that a scratch disk is marked with; one is limited to a real speed."""
_COSTS = (
    "kernel to user",
    "user to kernel",
    "memcpy",
    "rep movsb",
    "rep movsq",
    "system call",
    "process change",
)


@dataclass(frozen=True, slots=True)
class Work:
    """One kind of request to a disk, so many at once."""

    disk: str
    write: bool
    size: int
    depth: int

    def __str__(self) -> str:
        verb = "write" if self.write else "read"
        order = "random" if self.size == number("BENCH_SMALL") else "in order"
        return f"{self.disk} {verb} {self.size // 1024} KiB {order}, {self.depth} at once"


@dataclass(frozen=True, slots=True)
class World:
    """By the TSC, which all worlds share; of several rounds the one that the host disturbed least.

    blocks: requests a second. frames: UDP frames of 1514 bytes that came, a second, and the share
    that got lost. tcp: bits a second. pings: median in milliseconds, by the pause before it in
    microseconds. tpm: milliseconds a command. costs: bytes, or times, a second.
    """

    blocks: Mapping[Work, float]
    frames: Mapping[str, float]
    lost: Mapping[str, float]
    tcp: Mapping[str, float]
    pings: Mapping[int, float]
    tpm: Mapping[str, float]
    costs: Mapping[str, float]


def parse(text: str, tsc_khz: int) -> World:
    """The world whose tools have printed text."""
    blocks: dict[Work, list[float]] = {}
    pings: dict[int, list[float]] = {}
    by_name: dict[str, dict[str, list[float]]] = {
        kind: {} for kind in ("frames", "lost", "tcp", "tpm", "costs")
    }

    def seconds(ticks: int) -> float:
        return ticks / tsc_khz / 1000

    def add(kind: str, name: str, value: float) -> None:
        by_name[kind].setdefault(name, []).append(value)

    for what, rest in _LINE.findall(text):
        values = [int(word, 16) for word in rest.split(":")]
        match what, values:
            case "block", [disk, write, size, depth, nr, ticks]:
                work = Work(DISKS[disk], bool(write), size, depth)
                blocks.setdefault(work, []).append(nr / seconds(ticks))
            case "udp-out", [sent, came, ticks]:
                add("frames", "out", came / seconds(ticks))
                add("lost", "out", 1 - came / sent)
            case "udp-in", [came, lost, ticks]:
                add("frames", "in", came / seconds(ticks))
                add("lost", "in", lost / (came + lost) if lost else 0)
            case (("tcp-out" | "tcp-in"), [size, ticks]):
                add("tcp", what.removeprefix("tcp-"), size * 8 / seconds(ticks))
            case "ping", [pause_us, _, *answers]:
                pings[pause_us] = [seconds(ticks) * 1000 for ticks in answers]
            case "cost", [kind, amount, ticks]:
                add("costs", _COSTS[kind], amount / seconds(ticks))
            case "tpm", [pcr_read, nr, ticks]:
                name = "PCR_Read" if pcr_read else "GetRandom"
                add("tpm", name, seconds(ticks) * 1000 / nr)
    return World(
        # A limited disk is faster at first, which is no merit of anybody's.
        blocks={
            work: median(rounds) if work.disk == LIMITED else max(rounds)
            for work, rounds in blocks.items()
        },
        frames={way: max(rounds) for way, rounds in by_name["frames"].items()},
        lost={way: median(rounds) for way, rounds in by_name["lost"].items()},
        tcp={way: max(rounds) for way, rounds in by_name["tcp"].items()},
        pings={pause: median(answers) for pause, answers in pings.items() if answers},
        tpm={name: min(rounds) for name, rounds in by_name["tpm"].items()},
        costs={name: max(rounds) for name, rounds in by_name["costs"].items()},
    )
