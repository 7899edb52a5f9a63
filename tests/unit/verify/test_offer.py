# SPDX-License-Identifier: Apache-2.0
"""What counts of an offer, and for what."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pykexec.attest.protocol import QUOTED_PCRS
from pykexec.verify.offer import judge_offer
from pykexec.verify.verify import Counters
from tests.support.attest_machine import PAYLOAD, Machine
from tests.support.attest_tpm import Attest
from tests.support.offers import offer, real_ak


def accepted(machine: Machine) -> dict[str, object]:
    """As a server keeps it."""
    registers = {str(number): machine.pcrs["sha256"][number].hex() for number in QUOTED_PCRS}
    facts: dict[str, object] = {"machine": dict(machine.facts), "payload": dict(PAYLOAD)}
    return {"bank": "sha256", "pcrs": registers, **facts}


def codes_of(
    machine: Machine, last: Counters | None = None, accept: dict[str, object] | None = None
) -> list[str]:
    judged = judge_offer(offer(machine), {**accepted(machine), **(accept or {})}, last)
    return [finding.code for finding in judged.verdict.reasons]


def test_what_is_as_it_was_is_taken() -> None:
    assert codes_of(real_ak(Machine())) == []


@pytest.mark.parametrize(
    ("accept", "code"),
    [
        ({"machine": {"serial": "other"}}, "quote.statement"),
        ({"payload": {}}, "quote.statement"),
        ({"bank": "sha384"}, "quote.selection"),
        ({"pcrs": {}}, "pcr.selection"),
    ],
)
def test_what_is_not_as_it_was_is_named(accept: dict[str, object], code: str) -> None:
    assert code in codes_of(real_ak(Machine()), accept=accept)


def test_counters_that_went_back_are_named() -> None:
    machine = real_ak(Machine())
    assert codes_of(machine, Counters(0, 9, 0)) == ["counters.reset"]
    assert codes_of(machine, Counters(2**60, machine.reset_count, 0)) == ["counters.clock"]


def test_counters_are_those_of_a_quote_for_this_statement_alone() -> None:
    """An old quote, of which anybody may have seen one, moves nothing."""
    machine = real_ak(Machine())

    def other(attest: Attest) -> Attest:
        return replace(attest, extra_data=bytes(32), reset_count=2**32 - 1)

    judged = judge_offer(offer(machine, change=other), accepted(machine), None)
    assert judged.signed and judged.counters is None
    good = judge_offer(offer(machine), accepted(machine), None)
    assert good.counters and good.counters.reset_count == machine.reset_count
