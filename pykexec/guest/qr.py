# SPDX-License-Identifier: Apache-2.0
"""QR codes (ISO/IEC 18004) where no server can make them: letters and digits, error correction L.

What a server makes has a library; in the initramfs there is none, and a machine that shows a code
by itself has no network. Model 2, alphanumeric mode, versions up to VERSION_MAX, the mask by the
penalties of 7.8.3. Tests compare every version with such a library's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from pykexec.errors import UsageError

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
"""Of the mode, in the order of its values (7.4.4)."""
VERSION_MAX = 20
# Table 9, level L: codewords for error correction of a block, and blocks, by version.
_CORRECTION = (7, 10, 15, 20, 26, 18, 20, 24, 30, 18, 20, 24, 26, 30, 22, 24, 28, 30, 28, 28)
_BLOCKS = (1, 1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 4, 4, 6, 6, 6, 6, 7, 8)
_MODE = "0010"
_PADS = (0xEC, 0x11)
_LEVEL_L = 0b01
_FORMAT_POLYNOMIAL, _FORMAT_MASK = 0x537, 0x5412
_VERSION_POLYNOMIAL = 0x1F25
_FINDER_LIKE = re.compile("(?=10111010000|00001011101)")
_RUN = re.compile("0{5,}|1{5,}")
NR_MASKS = 8

Modules = list[list[bool]]


def qr_code(text: str) -> Modules:
    """Rows from the top, true is dark, without a margin; UsageError for what does not fit."""
    version, stream = _stream(text)
    return min((_draw(version, stream, mask) for mask in range(NR_MASKS)), key=_penalty)


def build(text: str, mask: int) -> Modules:
    """The same with one of the masks."""
    return _draw(*_stream(text), mask)


def _stream(text: str) -> tuple[int, bytes]:
    """Version and all codewords, in order."""
    version, data = _codewords(text)
    return version, _interleaved(version, data)


def _draw(version: int, stream: bytes, mask: int) -> Modules:
    size = 17 + 4 * version
    modules = [[False] * size for _ in range(size)]
    fixed = [[False] * size for _ in range(size)]
    for x, y, dark in _function_patterns(version, mask):
        modules[y][x], fixed[y][x] = dark, True
    bits = (byte >> bit & 1 for byte in stream for bit in range(7, -1, -1))
    for x, y in _path(size):
        if not fixed[y][x]:
            modules[y][x] = bool(next(bits, 0)) != _is_masked(mask, x, y)
    return modules


def _codewords(text: str) -> tuple[int, bytes]:
    """The smallest version, and its data codewords."""
    try:
        values = [ALPHABET.index(char) for char in text]
    except ValueError:
        raise UsageError("QR code: capitals and digits alone") from None
    pairs = zip(values[::2], values[1::2], strict=False)
    body = "".join(f"{45 * first + second:011b}" for first, second in pairs)
    if len(values) % 2:
        body += f"{values[-1]:06b}"
    for version in range(1, VERSION_MAX + 1):
        count_bits = 9 if version < 10 else 11
        room = 8 * (_nr_codewords(version) - _BLOCKS[version - 1] * _CORRECTION[version - 1])
        bits = f"{_MODE}{len(values):0{count_bits}b}{body}"
        if len(bits) <= room:
            bits += "0" * min(4, room - len(bits))
            bits += "0" * (-len(bits) % 8)
            data = int(bits, 2).to_bytes(len(bits) // 8)
            pads = (_PADS[index % 2] for index in range(room // 8 - len(data)))
            return version, data + bytes(pads)
    raise UsageError(f"QR code: {len(text)} characters are too many")


def _nr_codewords(version: int) -> int:
    """Of data and error correction (table 1)."""
    modules = (16 * version + 128) * version + 64
    if count := len(_alignments(version)):
        modules -= (25 * count - 10) * count - 55
    return (modules - 36 * (version >= 7)) // 8


def _alignments(version: int) -> list[int]:
    """Centres of alignment patterns, each way (annex E)."""
    if version == 1:
        return []
    count = version // 7 + 2
    step = (version * 8 + count * 3 + 5) // (count * 4 - 4) * 2
    last = 10 + 4 * version
    return [6, *(last - index * step for index in range(count - 2, -1, -1))]


def _interleaved(version: int, data: bytes) -> bytes:
    """Data by blocks, the longer ones last, and what corrects each (7.6)."""
    nr_blocks, correction = _BLOCKS[version - 1], _CORRECTION[version - 1]
    short, nr_long = divmod(len(data), nr_blocks)
    blocks, start = [], 0
    for index in range(nr_blocks):
        end = start + short + (index >= nr_blocks - nr_long)
        blocks.append(data[start:end])
        start = end
    corrections = _corrections(blocks, correction)
    longest = short + bool(nr_long)
    head = [b[index] for index in range(longest) for b in blocks if index < len(b)]
    return bytes((*head, *(c[index] for index in range(correction) for c in corrections)))


def _powers() -> list[int]:
    """Of 2 in GF(256) by x^8 + x^4 + x^3 + x^2 + 1."""
    found = [1]
    while len(found) < 255:
        value = found[-1] << 1
        found.append(value ^ 0x11D if value & 0x100 else value)
    return found


def _divisor(degree: int, powers: list[int], logarithms: dict[int, int]) -> list[int]:
    """Logarithms of the coefficients of (x - 1)(x - 2)(x - 4)..., the leading one left out."""
    found = [0] * (degree - 1) + [1]
    for root in range(degree):
        shifted = (*found[1:], 0)
        found = [
            (powers[(logarithms[a] + root) % 255] if a else 0) ^ b
            for a, b in zip(found, shifted, strict=True)
        ]
    return [logarithms[value] for value in found]


def _corrections(blocks: list[bytes], degree: int) -> list[list[int]]:
    """The remainder of each block as a polynomial (7.5.2)."""
    powers = _powers()
    logarithms = {value: power for power, value in enumerate(powers)}
    divisor, found = _divisor(degree, powers, logarithms), []
    for block in blocks:
        rest = [0] * degree
        for byte in block:
            factor = byte ^ rest.pop(0)
            rest.append(0)
            if factor:
                power = logarithms[factor]
                rest = [a ^ powers[(power + b) % 255] for a, b in zip(rest, divisor, strict=True)]
        found.append(rest)
    return found


def _function_patterns(version: int, mask: int) -> Iterator[tuple[int, int, bool]]:
    """All that is no data: finders, timing, alignment, format, version; later ones count."""
    size = 17 + 4 * version
    for index in range(size):
        yield 6, index, index % 2 == 0
        yield index, 6, index % 2 == 0
    for cx, cy in ((3, 3), (size - 4, 3), (3, size - 4)):
        for x in range(max(0, cx - 4), min(size, cx + 5)):
            for y in range(max(0, cy - 4), min(size, cy + 5)):
                yield x, y, max(abs(x - cx), abs(y - cy)) not in (2, 4)
    centres = _alignments(version)
    for cx in centres:
        for cy in centres:
            if (cx, cy) not in ((6, 6), (6, size - 7), (size - 7, 6)):
                for x in range(cx - 2, cx + 3):
                    for y in range(cy - 2, cy + 3):
                        yield x, y, max(abs(x - cx), abs(y - cy)) != 1
    yield from _format(size, mask)
    if version >= 7:
        bits = _with_remainder(version, _VERSION_POLYNOMIAL, 12)
        for index in range(18):
            a, b, dark = size - 11 + index % 3, index // 3, bool(bits >> index & 1)
            yield a, b, dark
            yield b, a, dark


def _format(size: int, mask: int) -> Iterator[tuple[int, int, bool]]:
    """Level and mask, twice (7.9)."""
    bits = _with_remainder(_LEVEL_L << 3 | mask, _FORMAT_POLYNOMIAL, 10) ^ _FORMAT_MASK
    first = [(8, y) for y in (0, 1, 2, 3, 4, 5, 7, 8)] + [(x, 8) for x in (7, 5, 4, 3, 2, 1, 0)]
    second = [(size - 1 - index, 8) for index in range(8)]
    second += [(8, size - 15 + index) for index in range(8, 15)]
    for index in range(15):
        for x, y in (first[index], second[index]):
            yield x, y, bool(bits >> index & 1)
    yield 8, size - 8, True


def _with_remainder(value: int, polynomial: int, degree: int) -> int:
    rest = value
    for _ in range(degree):
        rest = rest << 1 ^ (rest >> degree - 1) * polynomial
    return value << degree | rest


def _path(size: int) -> Iterator[tuple[int, int]]:
    """Two columns at a time from the right, up and down, around the timing pattern (7.7.3)."""
    upward = True
    for right in (*range(size - 1, 6, -2), 5, 3, 1):
        for y in range(size - 1, -1, -1) if upward else range(size):
            yield right, y
            yield right - 1, y
        upward = not upward


def _is_masked(mask: int, x: int, y: int) -> bool:
    """Table 10; x is the column."""
    terms = (
        (x + y) % 2,
        y % 2,
        x % 3,
        (x + y) % 3,
        (x // 3 + y // 2) % 2,
        x * y % 2 + x * y % 3,
        (x * y % 2 + x * y % 3) % 2,
        ((x + y) % 2 + x * y % 3) % 2,
    )
    return terms[mask] == 0


def _penalty(modules: Modules) -> int:
    """7.8.3.1: what a reader may stumble over."""
    rows = ["".join("01"[dark] for dark in row) for row in modules]
    lines = [*rows, *("".join(column) for column in zip(*rows, strict=True))]
    runs = sum(len(run) - 2 for line in lines for run in _RUN.findall(line))
    finders = sum(len(_FINDER_LIKE.findall(line)) for line in lines)
    blocks = sum(
        above[i] == above[i + 1] == below[i] == below[i + 1]
        for above, below in pairwise(rows)
        for i in range(len(rows) - 1)
    )
    dark, total = sum(row.count("1") for row in rows), len(rows) ** 2
    return runs + 3 * blocks + 40 * finders + 10 * (abs(20 * dark - 10 * total) // total)
