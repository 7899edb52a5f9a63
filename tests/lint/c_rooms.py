# SPDX-License-Identifier: Apache-2.0
"""Who calls whom among the stub's files, read from their objects' symbols.

The one place that says how the rooms of csrc/stub stand: each uses those behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pykexec.run import run

# A boot passes through the first four; the gate and the library are what all of them stand on.
ROOMS: Final = ("start", "doors", "services", "end", "gate", "lib")
_UNDEFINED: Final = "U"


@dataclass(frozen=True, slots=True)
class Use:
    """File user, "room/name.c", calls or reads symbol, which file home defines."""

    user: str
    home: str
    symbol: str

    def __str__(self) -> str:
        return f"{self.user} uses {self.symbol} of {self.home}"


def _symbols(target: Path) -> list[tuple[str, str]]:
    lines = run(["nm", "--format=posix", target]).decode().splitlines()
    return [(line.split()[1], line.split()[0]) for line in lines]


def uses(objects: Mapping[str, Path]) -> list[Use]:
    """What the files take of each other, in order of their names; objects: "room/name.c" -> object.

    What none of them defines (csrc/common, the linker script) is not among it.
    """
    symbols = {name: _symbols(target) for name, target in sorted(objects.items())}
    # Lower case: static, nobody else's.
    homes = {
        symbol: name
        for name, found in symbols.items()
        for kind, symbol in found
        if kind != _UNDEFINED and kind.isupper()
    }
    return [
        Use(name, homes[symbol], symbol)
        for name, found in symbols.items()
        for kind, symbol in found
        if kind == _UNDEFINED and symbol in homes
    ]


def _floor(name: str, rooms: Sequence[str]) -> int:
    return rooms.index(name.partition("/")[0])


def upward(found: Iterable[Use], rooms: Sequence[str] = ROOMS) -> list[Use]:
    """Those by which a room uses one that stands before it."""
    return [use for use in found if _floor(use.home, rooms) < _floor(use.user, rooms)]


def circles(found: Sequence[Use]) -> list[Use]:
    """Those that lie on a way back to where they began: every step of every circle of files."""
    homes: dict[str, set[str]] = {}
    for use in found:
        homes.setdefault(use.user, set()).add(use.home)

    def leads(start: str, goal: str) -> bool:
        seen, waiting = {start}, [start]
        while waiting:
            name = waiting.pop()
            if name == goal:
                return True
            waiting += homes.get(name, set()) - seen
            seen |= homes.get(name, set())
        return False

    return [use for use in found if leads(use.home, use.user)]
