# SPDX-License-Identifier: Apache-2.0
"""What the attester asks again when no answer comes, and whether it is the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pykexec.attest.client import Server, attest
from pykexec.attest.protocol import (
    ATTESTATIONS_PATH,
    CHALLENGES_PATH,
    AttestReply,
)
from pykexec.attest.verdict import Finding, Verdict
from pykexec.tpm.client import Tpm
from tests.support.attest_judge import Judge, cut, edited, hang_up, status
from tests.support.booted_tpm import Booted
from tests.support.https_server import Answer

PASSING = [status(503), status(429), status(500), hang_up, cut]


@pytest.mark.parametrize("fault", PASSING)
def test_a_challenge_that_does_not_come_is_asked_for_again(
    booted: Booted,
    tpm: Tpm,
    whom: Server,
    judge: Judge,
    fault: Callable[[Answer], Answer | None],
) -> None:
    judge.faults = {CHALLENGES_PATH: [fault]}
    with attest(whom, tpm, booted.facts) as answer:
        answer.check()
    assert (len(judge.challenges), answer.request.token) == (2, "1")


@pytest.mark.parametrize("fault", PASSING)
def test_what_may_have_been_answered_is_asked_again_unchanged(
    booted: Booted,
    tpm: Tpm,
    whom: Server,
    judge: Judge,
    fault: Callable[[Answer], Answer | None],
) -> None:
    judge.faults = {ATTESTATIONS_PATH: [fault]}
    with attest(whom, tpm, booted.facts) as answer:
        answer.check()
    assert len(judge.challenges) == 1
    assert {request.encode() for request in judge.attested} == {answer.request.encode()}


@pytest.mark.parametrize("code", ["challenge.replayed", "challenge.expired"])
def test_a_challenge_that_is_used_up_is_replaced(
    booted: Booted, tpm: Tpm, whom: Server, judge: Judge, code: str
) -> None:
    used_up = AttestReply(Verdict((Finding(code, "too late"),))).encode()
    judge.faults = {ATTESTATIONS_PATH: [hang_up, lambda _: Answer(200, used_up)]}
    with attest(whom, tpm, booted.facts) as answer:
        answer.check()
    assert (len(judge.challenges), answer.request.token) == (2, "1")


def test_a_challenge_that_is_over_is_not_answered_again(
    booted: Booted, tpm: Tpm, whom: Server, judge: Judge
) -> None:
    judge.faults = {
        CHALLENGES_PATH: [edited(expires_s=0)],
        ATTESTATIONS_PATH: [hang_up],
    }
    with attest(whom, tpm, booted.facts) as answer:
        answer.check()
    assert len({request.evidence.statement for request in judge.attested}) == len(judge.challenges)
