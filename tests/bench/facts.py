# SPDX-License-Identifier: Apache-2.0
"""The numbers of csrc/payload/bench.h, for the host's side of the benchmarks."""

from __future__ import annotations

import re
from functools import cache

from tests.vm import images

_NUMBER = re.compile(r"\b(BENCH_\w+)\s*=\s*(0x[0-9a-f]+|\d+)(?: << (\d+))?\s*[,}]")
_TEXT = re.compile(r'#define (BENCH_\w+) "(.*)"')


@cache
def _source() -> str:
    return (images.CSRC / "payload" / "bench.h").read_text()


@cache
def number(name: str) -> int:
    """The value of an enum constant."""
    values = {m[1]: int(m[2], 0) << int(m[3] or 0) for m in _NUMBER.finditer(_source())}
    return values[name]


@cache
def text(name: str) -> str:
    """The value of a string macro."""
    return {match[1]: match[2] for match in _TEXT.finditer(_source())}[name]
