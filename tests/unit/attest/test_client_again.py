# SPDX-License-Identifier: Apache-2.0
"""What the attester asks again when no answer comes, and whether it is the same."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from pykexec.attest import client
from pykexec.attest.client import Server, attest
from pykexec.attest.protocol import (
    ATTESTATIONS_PATH,
    CHALLENGES_PATH,
    AttestReply,
)
from pykexec.attest.verdict import Finding, Verdict
from pykexec.errors import NetworkError
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


def test_the_last_try_comes_before_the_time_is_up(
    booted: Booted, tpm: Tpm, whom: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    really = time.sleep

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        really(seconds)

    monkeypatch.setattr(time, "sleep", pause)
    monkeypatch.setattr(client, "_pause_s", lambda attempt: 100.0)
    dead = replace(whom, address="https://127.0.0.1:1", timeout_s=3)
    with pytest.raises(NetworkError, match="cannot connect: Connection refused"):
        attest(dead, tpm, booted.facts)
    assert len(pauses) == 1
    assert 0 < pauses[0] <= 1
