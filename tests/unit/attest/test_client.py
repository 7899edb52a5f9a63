# SPDX-License-Identifier: Apache-2.0
"""The attester, with a real TPM in software, against a server that judges and one that fails."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pykexec.attest import decode, protocol
from pykexec.attest.client import Answer as Attested
from pykexec.attest.client import Facts, Server, attest
from pykexec.attest.fields import ProtocolError, base64url
from pykexec.attest.opened import Release
from pykexec.attest.protocol import (
    ATTESTATIONS_PATH,
    CHALLENGES_PATH,
    RELEASE_PCR,
)
from pykexec.attest.spend import spend
from pykexec.attest.verdict import Finding
from pykexec.errors import DeniedError, FormatError, NetworkError, TpmError, UsageError
from pykexec.tpm.client import Tpm
from pykexec.tpm.transport import FirmwareLog
from tests.support.attest_judge import Judge, body, edited, hang_up, status
from tests.support.attest_log import encode_log
from tests.support.booted_tpm import BANKS, MACHINE, PAYLOAD, Booted
from tests.support.https_server import Answer, HttpsServer
from tests.support.samples_tls import certified


def locked_memory() -> str:
    """What this process has locked: an open secret is in it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line for line in lines if line.startswith("VmLck:"))


def released(release: Release) -> list[tuple[str, str, dict[str, str], bytes]]:
    return [
        (secret.name, secret.kind, dict(secret.parameters), bytes(secret.value.view))
        for secret in release.secrets
    ]


@pytest.mark.parametrize("ek", ["auto", "rsa2048", "ecc-p384"])
def test_what_is_released_is_opened(booted: Booted, tpm: Tpm, whom: Server, ek: str) -> None:
    with attest(replace(whom, ek=ek), tpm, booted.facts) as answer:
        assert answer.reply.verdict.reasons == ()
        with answer.open_release(lambda: booted.spend(tpm)) as release:
            assert released(release) == [
                ("root", "luks-key", {"volume": "root"}, b"\x00\xffkey"),
                ("note", "file", {"file": "note.txt"}, b"hello"),
            ]
            views = [secret.value.view for secret in release.secrets]
    assert not any(map(any, views))


def test_both_requests_go_by_one_connection(
    booted: Booted, tpm: Tpm, whom: Server, server: HttpsServer
) -> None:
    with attest(whom, tpm, booted.facts):
        assert server.ended.acquire(timeout=5)
    assert [path for path, _ in server.requests] == [CHALLENGES_PATH, ATTESTATIONS_PATH]
    assert server.nr_connections == 1


@pytest.mark.parametrize("bank", BANKS)
def test_the_configured_bank_is_quoted(
    booted: Booted, tpm: Tpm, whom: Server, judge: Judge, bank: str
) -> None:
    with attest(replace(whom, bank=bank), tpm, booted.facts) as answer:
        answer.check()
    assert (judge.challenges[0].bank, judge.attested[0].evidence.bank) == (bank, bank)


def test_the_evidence_says_what_the_agent_knows(
    booted: Booted, tpm: Tpm, whom: Server, judge: Judge
) -> None:
    stages: list[str] = []
    with attest(whom, tpm, booted.facts, stages.append):
        pass
    statement = decode.parse_statement(judge.attested[0].evidence.statement)
    assert (statement.machine, statement.payload) == (MACHINE, PAYLOAD)
    assert stages == ["quote"]


def test_the_boot_is_spent_before_a_secret_is_opened(
    booted: Booted, tpm: Tpm, whom: Server
) -> None:
    seen: list[str] = []

    def fails() -> None:
        seen.append(locked_memory())
        raise TpmError("not extended")

    with attest(whom, tpm, booted.facts) as answer:
        before = locked_memory()
        with pytest.raises(TpmError, match="not extended"):
            answer.open_release(fails)
        assert seen == [before] == [locked_memory()]


def test_a_spent_boot_is_seen_by_the_server(booted: Booted, tpm: Tpm, whom: Server) -> None:
    booted.spend(tpm)
    with attest(whom, tpm, booted.facts) as answer:
        assert any(answer.request.evidence.pcrs[RELEASE_PCR])
        answer.check()  # The log explains it: whether it is allowed is for the policy to say.


def test_without_a_secret_the_boot_is_spent_all_the_same(
    booted: Booted, tpm: Tpm, whom: Server, judge: Judge
) -> None:
    judge.secrets = ()
    spent: list[bool] = []
    with (
        attest(whom, tpm, booted.facts) as answer,
        answer.open_release(lambda: spent.append(True)) as release,
    ):
        assert (release.secrets, spent) == ((), [True])


def test_a_refusal_has_every_reason(booted: Booted, tpm: Tpm, whom: Server, judge: Judge) -> None:
    judge.findings = (
        Finding("policy.pcr.11", "another image"),
        Finding("policy.note", "old firmware", refuses=False),
        Finding("policy.payload", "not\nallowed"),
    )
    spent: list[bool] = []
    with (
        attest(whom, tpm, booted.facts) as answer,
        pytest.raises(DeniedError) as caught,
    ):
        answer.open_release(lambda: spent.append(True))
    reasons = "policy.pcr.11: another image; policy.payload: not allowed"
    assert str(caught.value) == f"{whom.address} refuses: {reasons}"
    assert spent == []


def test_a_log_of_another_boot_is_refused(booted: Booted, tpm: Tpm, whom: Server) -> None:
    other = Facts(MACHINE, PAYLOAD, lambda: log_of(booted, truncated=False))
    with attest(whom, tpm, other) as answer, pytest.raises(DeniedError, match=r"log\."):
        answer.check()


def log_of(booted: Booted, truncated: bool) -> FirmwareLog:
    """Without the last events."""
    return FirmwareLog(encode_log(BANKS, booted.events[:-3]), truncated)


def test_a_log_that_had_no_room_is_refused_with_the_reason_why(
    booted: Booted, tpm: Tpm, whom: Server
) -> None:
    full = Facts(MACHINE, PAYLOAD, lambda: log_of(booted, truncated=True))
    with attest(whom, tpm, full) as answer, pytest.raises(DeniedError, match=r"log\.replay"):
        answer.check()
    assert "log.full" in [finding.code for finding in answer.reply.verdict.findings]


def test_the_server_says_when_to_come_again(
    booted: Booted, tpm: Tpm, whom: Server, judge: Judge
) -> None:
    judge.faults = {CHALLENGES_PATH: [status(429, Retry_After="1")]}
    started = time.monotonic()
    with attest(whom, tpm, booted.facts) as answer:
        answer.check()
    assert time.monotonic() - started >= 1


def test_nobody_waits_longer_than_there_is_time(
    booted: Booted, tpm: Tpm, whom: Server, judge: Judge
) -> None:
    judge.faults = {CHALLENGES_PATH: [status(503, Retry_After="600")]}
    with pytest.raises(NetworkError, match="503 Service Unavailable"):
        attest(whom, tpm, booted.facts)
    assert len(judge.challenges) == 1


def test_a_server_that_never_recovers_is_given_up_in_time(
    booted: Booted, tpm: Tpm, whom: Server, judge: Judge
) -> None:
    judge.faults = {ATTESTATIONS_PATH: [hang_up] * 99}
    started = time.monotonic()
    with pytest.raises(NetworkError, match=r"closed without an answer|took too long"):
        attest(replace(whom, timeout_s=2), tpm, booted.facts)
    assert time.monotonic() - started < 6
    assert len(judge.attested) != 1


def test_a_dead_server_is_given_up_in_time(booted: Booted, tpm: Tpm, whom: Server) -> None:
    dead = replace(whom, address="https://127.0.0.1:1", timeout_s=1)
    with pytest.raises(NetworkError, match=r"cannot connect: Connection refused|took too long"):
        attest(dead, tpm, booted.facts)


@pytest.mark.parametrize(
    ("path", "fault", "said"),
    [
        (CHALLENGES_PATH, body(b""), "challenge: not JSON"),
        (CHALLENGES_PATH, body(b"[]"), "challenge: not an object"),
        (CHALLENGES_PATH, body(b"\xff"), "challenge: not UTF-8"),
        (CHALLENGES_PATH, edited(version=2), "version: 2 is not known"),
        (CHALLENGES_PATH, edited(nonce="AAAA"), "nonce: 3 bytes"),
        (CHALLENGES_PATH, edited(bank="sha1"), "bank: 'sha1' is not one of"),
        (CHALLENGES_PATH, edited(pcrs=[]), "pcrs: must be rising"),
        (CHALLENGES_PATH, edited(extra=1), "extra: unknown key"),
        (ATTESTATIONS_PATH, body(b"{}"), "reply.version: missing"),
        (ATTESTATIONS_PATH, edited(accepted=False), "contradict each other"),
        (ATTESTATIONS_PATH, edited(release=7), "release: must be a string"),
    ],
)
def test_an_answer_that_is_none_is_the_end(
    booted: Booted,
    tpm: Tpm,
    whom: Server,
    judge: Judge,
    path: str,
    fault: Callable[[Answer], Answer],
    said: str,
) -> None:
    judge.faults = {path: [fault]}
    with pytest.raises(ProtocolError, match=said):
        attest(whom, tpm, booted.facts)
    assert len(judge.challenges) == 1


def test_a_bank_that_was_not_offered_is_refused(
    booted: Booted, tpm: Tpm, whom: Server, judge: Judge
) -> None:
    judge.bank = "sha384"
    with pytest.raises(ProtocolError, match="sha384 was not offered"):
        attest(replace(whom, bank="sha256"), tpm, booted.facts)
    assert judge.attested == []


@pytest.mark.parametrize("key", ["credential_blob", "credential_secret"])
def test_a_credential_for_another_tpm_is_not_opened(
    booted: Booted, tpm: Tpm, whom: Server, judge: Judge, key: str
) -> None:
    judge.faults = {CHALLENGES_PATH: [edited(**{key: base64url(b"\0\x20" + bytes(66))})]}
    with pytest.raises(TpmError):
        attest(whom, tpm, booted.facts)
    assert judge.attested == []


def broken_release(answer: Answer) -> Answer:
    """A bit of it is wrong."""
    head, _, tag = json.loads(answer.body)["release"].rpartition(".")
    tag = ("B" if tag[0] == "A" else "A") + tag[1:]
    return edited(release=f"{head}.{tag}")(answer)


def test_a_release_that_was_changed_is_not_opened(
    booted: Booted, tpm: Tpm, whom: Server, judge: Judge
) -> None:
    judge.faults = {ATTESTATIONS_PATH: [broken_release]}
    with attest(whom, tpm, booted.facts) as answer:
        before = locked_memory()
        with pytest.raises(FormatError, match="tag is wrong"):
            answer.open_release(lambda: None)
        assert locked_memory() == before


def test_a_release_for_another_boot_is_not_opened(
    booted: Booted, tpm: Tpm, whom: Server, judge: Judge
) -> None:
    with attest(whom, tpm, booted.facts) as first, attest(whom, tpm, booted.facts) as second:
        assert first.reply.release
        judge.faults = {ATTESTATIONS_PATH: [edited(release=first.reply.release)]}
        with (
            attest(whom, tpm, booted.facts) as third,
            pytest.raises(FormatError, match="tag is wrong"),
        ):
            third.open_release(lambda: None)
        second.check()


def test_an_answer_that_is_over_opens_nothing(booted: Booted, tpm: Tpm, whom: Server) -> None:
    with attest(whom, tpm, booted.facts) as answer:
        pass
    assert isinstance(answer, Attested)
    with pytest.raises(ValueError, match="wiped"):
        answer.open_release(lambda: None)


# Who is talked to.


def test_a_redirect_is_refused(booted: Booted, tpm: Tpm, whom: Server, judge: Judge) -> None:
    judge.faults = {CHALLENGES_PATH: [status(307, Location="https://127.0.0.1:1/v1/challenges")]}
    with pytest.raises(NetworkError, match=r"redirects to .*, refused"):
        attest(whom, tpm, booted.facts)


def test_a_server_of_another_authority_is_told_nothing(
    booted: Booted, tpm: Tpm, whom: Server, server: HttpsServer, tmp_path: Path
) -> None:
    other = certified(tmp_path).authority.read_text()
    with pytest.raises(NetworkError, match="certificate refused"):
        attest(replace(whom, authorities=other), tpm, booted.facts)
    with pytest.raises(NetworkError, match="nobody is trusted"):
        attest(replace(whom, authorities=""), tpm, booted.facts)
    assert server.requests == []


def test_nothing_goes_without_tls(booted: Booted, tpm: Tpm, whom: Server) -> None:
    with pytest.raises(UsageError, match="by https:// alone"):
        attest(replace(whom, address="http://127.0.0.1:1"), tpm, booted.facts)


def test_the_address_may_have_a_path(
    booted: Booted, tpm: Tpm, whom: Server, server: HttpsServer
) -> None:
    with pytest.raises(NetworkError, match="404"):
        attest(replace(whom, address=f"{whom.address}/fleet/"), tpm, booted.facts)
    assert [path for path, _ in server.requests] == ["/fleet/v1/challenges"]


# Spending the boot.


def test_spending_extends_every_bank_once(booted: Booted, tpm: Tpm) -> None:
    before = {bank: tpm.read_pcrs(bank, (RELEASE_PCR,)) for bank in BANKS}
    booted.spend(tpm)
    after = {bank: tpm.read_pcrs(bank, (RELEASE_PCR,)) for bank in BANKS}
    assert [before[bank] == after[bank] for bank in BANKS] == [False, False]


def test_a_register_that_was_not_extended_is_noticed(booted: Booted) -> None:
    def elsewhere(command: bytes) -> bytes:
        """A bus whose owner has the wrong register extended."""
        handles = {bytes([0, 0, 0, RELEASE_PCR]): bytes([0, 0, 0, 16])}
        head, handle, rest = command[:10], command[10:14], command[14:]
        return booted.transmit(head + handles.get(handle, handle) + rest)

    with pytest.raises(TpmError, match=r"PCR 15 of bank sha\d+ was not extended"):
        spend(Tpm(elsewhere), None, protocol.SHELL_EVENT)
