# SPDX-License-Identifier: Apache-2.0
"""Moments of a virtual machine's life, in the host's time and in QEMU's processor time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from pykexec.vm.vm import Vm


@dataclass(frozen=True, slots=True)
class Span:
    """How long something took: by the clock, and of QEMU's processor time."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Moment:
    """When a machine was seen to be somewhere."""

    wall_s: float
    cpu_s: float

    def since(self, earlier: Moment) -> Span:
        """The span from earlier to now."""
        return Span(self.wall_s - earlier.wall_s, self.cpu_s - earlier.cpu_s)


def at(vm: Vm, pattern: str, within: float = 120.0) -> Moment:
    """The moment when pattern comes on the console."""
    vm.expect(pattern, within)
    return Moment(vm.seconds, vm.cpu_seconds())


def middle(spans: Iterable[Span]) -> Span:
    """The medians."""
    spans = list(spans)
    return Span(median(span.wall_s for span in spans), median(span.cpu_s for span in spans))


def ratio(one: Span, other: Span) -> Span:
    """one in terms of other, for both clocks."""
    return Span(one.wall_s / other.wall_s, one.cpu_s / max(other.cpu_s, 0.01))
