# SPDX-License-Identifier: Apache-2.0
"""Physical memory: ranges and maps of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_MEMINFO = "/proc/meminfo"


@dataclass(frozen=True, slots=True)
class Range:
    """Half-open physical interval [start, end)."""

    start: int
    end: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.start

    def overlaps(self, other: Range) -> bool:
        """Do the two share a byte?"""
        return self.start < other.end and other.start < self.end

    def __contains__(self, address: int) -> bool:
        return self.start <= address < self.end

    def __str__(self) -> str:
        return f"[{self.start:#x}, {self.end:#x})"


@dataclass(frozen=True, slots=True)
class MemoryDescriptor:
    """One EFI memory descriptor: where, EFI_MEMORY_TYPE and attribute bits."""

    range: Range
    type: int
    attribute: int

    @property
    def type_name(self) -> str:
        """The type in words; types that the specification does not name by number."""
        from pykexec.abi import MemoryType

        try:
            return MemoryType(self.type).name.lower().replace("_", " ")
        except ValueError:
            return f"type {self.type:#x}"


@dataclass(frozen=True, slots=True)
class MemoryMap:
    """Descriptors in address order."""

    descriptors: tuple[MemoryDescriptor, ...]

    def __iter__(self) -> Iterator[MemoryDescriptor]:
        return iter(self.descriptors)

    def __len__(self) -> int:
        return len(self.descriptors)

    def size_by_type(self) -> dict[str, int]:
        """Bytes of each type, biggest first."""
        sizes: dict[str, int] = {}
        for descriptor in self.descriptors:
            name = descriptor.type_name
            sizes[name] = sizes.get(name, 0) + descriptor.range.size
        return dict(sorted(sizes.items(), key=lambda item: (-item[1], item[0])))

    def free(self, given_back: Iterable[Range] = ()) -> tuple[int, int]:
        """Bytes of conventional memory, and of its largest piece, once what is given back belongs
        to it.
        """
        from pykexec.abi import MemoryType

        ranges = [each.range for each in self if each.type == MemoryType.CONVENTIONAL_MEMORY]
        total = largest = start = end = 0
        for piece in sorted([*ranges, *given_back], key=lambda piece: piece.start):
            start = start if piece.start <= end else piece.start
            end = max(end, piece.end)
            total, largest = total + piece.size, max(largest, end - start)
        return total, largest


def available_memory(meminfo: str | None = None) -> int:
    """Bytes that proc_meminfo(5) calls available, in the given text or now."""
    if meminfo is None:
        with open(_MEMINFO, encoding="ascii") as file:
            meminfo = file.read()
    return next(
        int(line.split()[1]) * 1024
        for line in meminfo.splitlines()
        if line.startswith("MemAvailable:")
    )


def format_size(size: int) -> str:
    """Bytes in the largest binary unit that keeps them readable: "4 KiB", "256 MiB"."""
    units = ("B", "KiB", "MiB", "GiB", "TiB")
    power = 0
    value = float(size)
    while value >= 1024 and power < len(units) - 1:
        value /= 1024
        power += 1
    return f"{value:.1f}".removesuffix(".0") + f" {units[power]}"
