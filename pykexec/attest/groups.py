# SPDX-License-Identifier: Apache-2.0
"""Bytes as people read them out and type them: groups of ten, the last character of each a check.

Digits and letters are Crockford's base32: no I, L, O or U, and whoever types one of the first three
means 1, 1 and 0. The check character is a sum over GF(32) with another weight at each place and for
the group's number: one wrong character, any two exchanged, and a group in another's place are found
for certain, anything else 31 times of 32.
"""

from __future__ import annotations

from collections.abc import Sequence

from pykexec.attest.fields import ProtocolError

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
GROUP = 10
_DATA = GROUP - 1
_BITS = 5
_MEANT = str.maketrans({"O": "0", "I": "1", "L": "1"})
_BETWEEN = " \t-."
_VALUES = {char: value for value, char in enumerate(ALPHABET)}


def _powers() -> list[int]:
    """Of a generator of GF(32) by x^5 + x^2 + 1."""
    found = [1]
    while len(found) < 31:
        value = found[-1] << 1
        found.append(value ^ 0x25 if value & 0x20 else value)
    return found


_POWERS = _powers()
_LOGARITHMS = {value: power for power, value in enumerate(_POWERS)}


def nr_groups(size: int) -> int:
    """How many groups so many bytes take."""
    return -(-size * 8 // (_DATA * _BITS))


def to_groups(data: bytes) -> tuple[str, ...]:
    """The bytes, filled up with zero bits."""
    count = nr_groups(len(data))
    length = count * _DATA
    number = int.from_bytes(data) << (length * _BITS - len(data) * 8)
    values = [number >> _BITS * (length - 1 - index) & 31 for index in range(length)]
    groups = (values[index : index + _DATA] for index in range(0, length, _DATA))
    return tuple(
        "".join(ALPHABET[value] for value in (*group, _check(group, index)))
        for index, group in enumerate(groups)
    )


def from_groups(groups: Sequence[str], size: int) -> bytes:
    """The size bytes of good groups; ProtocolError where they are of another number."""
    number = 0
    for group in groups:
        for char in group[:_DATA]:
            number = number << _BITS | _VALUES[char]
    spare = len(groups) * _DATA * _BITS - size * 8
    if len(groups) != nr_groups(size) or number & ((1 << spare) - 1):
        raise ProtocolError("answer: it has another length")
    return (number >> spare).to_bytes(size)


def first_byte(group: str) -> int:
    """Of a good group that is the first one."""
    return _VALUES[group[0]] << 3 | _VALUES[group[1]] >> 2


def letters_of(typed: str) -> str:
    """What somebody means who typed this."""
    return "".join(char for char in typed.upper() if char not in _BETWEEN).translate(_MEANT)


def is_group(letters: str, index: int) -> bool:
    """Whether it is the group of that place, from 0."""
    if len(letters) != GROUP or not all(char in _VALUES for char in letters):
        return False
    values = [_VALUES[char] for char in letters]
    return values[_DATA] == _check(values[:_DATA], index)


def _check(values: list[int], index: int) -> int:
    check = 0
    for power, value in enumerate((*values, index & 31), 1):
        if value:
            check ^= _POWERS[(_LOGARITHMS[value] + power) % 31]
    return check
