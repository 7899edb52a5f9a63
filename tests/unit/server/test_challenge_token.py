# SPDX-License-Identifier: Apache-2.0
"""Tokens of challenges: only their server opens them, and only as they were."""

from __future__ import annotations

import pytest

from pykexec.attest.fields import base64url, from_base64url
from pykexec.attest.protocol import TOKEN_MAX
from pykexec.server.challenge_token import Pending, Tokens

PENDING = Pending(b"n" * 32, b"c" * 32, b"i" * 32, "sha256", tuple(range(16)), 1_800_000_000)


def test_the_same_key_opens_a_token() -> None:
    assert Tokens(b"k" * 32).open(Tokens(b"k" * 32).seal(PENDING)) == PENDING


def test_another_key_opens_nothing() -> None:
    assert Tokens(b"l" * 32).open(Tokens(b"k" * 32).seal(PENDING)) is None


@pytest.mark.parametrize("index", [0, 12, 40, -1])
def test_a_changed_token_opens_nothing(index: int) -> None:
    data = bytearray(from_base64url(Tokens(b"k" * 32).seal(PENDING), "token"))
    data[index] ^= 1
    assert Tokens(b"k" * 32).open(base64url(bytes(data))) is None


@pytest.mark.parametrize("token", ["", "A", "AAAA", "=" * 100, "A" * 100, "é"])
def test_what_is_no_token_opens_nothing(token: str) -> None:
    assert Tokens(b"k" * 32).open(token) is None


def test_it_fits_the_protocol_and_tells_nothing() -> None:
    token = Tokens(b"k" * 32).seal(PENDING)
    assert len(token) < TOKEN_MAX // 8
    assert base64url(b"c" * 24) not in token and "cccc" not in repr(PENDING)
