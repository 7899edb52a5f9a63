# SPDX-License-Identifier: Apache-2.0
"""Ways to spoil bytes, for tests that know no better ones."""

from __future__ import annotations

import random
from collections.abc import Callable

Mutation = Callable[[random.Random, bytes], bytes]


def flip(chance: random.Random, data: bytes) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def overwrite(chance: random.Random, data: bytes) -> bytes:
    at, size = chance.randrange(len(data)), chance.choice((1, 2, 4, 8))
    value = chance.choice((b"\0", b"\xff", b"\x7f", chance.randbytes(1)))
    return (data[:at] + value * size + data[at + size :])[: len(data)]


def cut(chance: random.Random, data: bytes) -> bytes:
    return data[: chance.randrange(len(data))]


def insert(chance: random.Random, data: bytes) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + chance.randbytes(chance.randint(1, 8)) + data[at:]


def remove(chance: random.Random, data: bytes) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + data[at + chance.randint(1, 64) :]


def repeat(chance: random.Random, data: bytes) -> bytes:
    start = chance.randrange(len(data))
    end = chance.randint(start + 1, min(len(data), start + 256))
    return data[:end] + data[start:end] + data[end:]


MUTATIONS: tuple[Mutation, ...] = (flip, overwrite, cut, insert, remove, repeat)


def spoilt(chance: random.Random, data: bytes) -> bytes:
    """data with one mutation that changes it."""
    while (found := chance.choice(MUTATIONS)(chance, data)) == data:
        pass
    return found
