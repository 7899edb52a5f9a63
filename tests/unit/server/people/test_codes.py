# SPDX-License-Identifier: Apache-2.0
"""What a person types, and what a machine brings along."""

from __future__ import annotations

import re

from pykexec.attest.approval import ALPHABET
from pykexec.server.people.codes import Codes, Ticket, new_reference

CODES = Codes(b"k" * 32)


def test_a_code_is_eight_consonants_that_follow_from_reference_and_key() -> None:
    code = CODES.code("reference")
    assert re.fullmatch(f"[{ALPHABET}]{{4}}-[{ALPHABET}]{{4}}", code)
    assert not set("AEIOUY0123456789") & set(ALPHABET)
    assert CODES.code("reference") == code
    assert len({code, CODES.code("another"), Codes(b"K" * 32).code("reference")}) == 3


def test_a_code_is_known_however_it_is_typed() -> None:
    code = CODES.code("reference")
    for typed in (code, code.lower(), code.replace("-", ""), f" {code} "):
        assert CODES.is_code(typed, CODES.digest(CODES.code("reference")))
        assert CODES.digest(typed) == CODES.digest(code)
    for typed in ("", code[:-1], code + "B", CODES.code("another")):
        assert not CODES.is_code(typed, CODES.digest(CODES.code("reference")))


def test_a_ticket_comes_back_whole_or_not_at_all() -> None:
    ticket = Ticket(new_reference(), b"n" * 32, b"c" * 32)
    sealed = CODES.seal(ticket)
    assert CODES.open(sealed) == ticket
    assert CODES.seal(ticket) != sealed
    for bad in (
        "",
        "A" * 40,
        sealed[:-2],
        sealed[:30] + ("A" if sealed[30] != "A" else "B") + sealed[31:],
    ):
        assert CODES.open(bad) is None
    assert Codes(b"K" * 32).open(sealed) is None
