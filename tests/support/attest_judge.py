# SPDX-License-Identifier: Apache-2.0
"""A server for the attester's tests: judges evidence for real, and misbehaves where told to."""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from pykexec.attest import decode, protocol
from pykexec.attest.protocol import AttestReply, AttestRequest, Challenge
from pykexec.attest.verdict import Finding, Verdict
from pykexec.tpm.public import parse_public
from pykexec.verify.credential import make_credential
from pykexec.verify.release import PlainSecret, seal
from pykexec.verify.verify import Expected, verify
from tests.support.https_server import HANG_UP, Answer

Fault = Callable[[Answer], Answer | None]


@dataclass(slots=True)
class Judge:
    """Gives secrets to whoever proves itself, findings (refusals too) beside the verdict.

    faults are what happens to its first answers by path, in order; None lets one pass.
    """

    secrets: tuple[PlainSecret, ...] = ()
    findings: tuple[Finding, ...] = ()
    faults: dict[str, list[Fault | None]] = field(default_factory=dict)
    challenges: list[Challenge] = field(default_factory=list)
    attested: list[AttestRequest] = field(default_factory=list)
    credentials: dict[str, bytes] = field(default_factory=dict)
    bank: str = ""

    def __call__(self, path: str, body: bytes) -> Answer | None:
        known = {protocol.CHALLENGES_PATH: self._challenge, protocol.ATTESTATIONS_PATH: self._judge}
        if path not in known:
            return Answer(404)
        answer = Answer(200, known[path](body), keeps=True)
        faults = self.faults.get(path, [])
        fault = faults.pop(0) if faults else None
        return fault(answer) if fault else answer

    def _challenge(self, body: bytes) -> bytes:
        request = decode.parse_challenge_request(body)
        credential, nonce = os.urandom(32), os.urandom(32)
        ek = parse_public(request.identity.ek_public)
        ak = parse_public(request.identity.ak_public)
        blob, secret = make_credential(ek, ak.name, credential)
        token = str(len(self.challenges))
        self.credentials[token] = credential
        bank = self.bank or request.banks[0]
        self.challenges.append(
            Challenge(token, nonce, blob, secret, bank, protocol.QUOTED_PCRS, 60)
        )
        return self.challenges[-1].encode()

    def _judge(self, body: bytes) -> bytes:
        request = decode.parse_attest_request(body)
        self.attested.append(request)
        evidence = request.evidence
        challenge = self.challenges[int(request.token)]
        credential = self.credentials[request.token]
        verified = verify(
            evidence,
            Expected(
                now=datetime.now(UTC), nonce=challenge.nonce, bank=challenge.bank, enrolled=True
            ),
        )
        proof = protocol.proof_of(credential, challenge.nonce, evidence.statement, evidence.quote)
        findings = list(self.findings)
        if not hmac.compare_digest(proof, request.proof):
            findings.append(Finding("challenge.proof", "wrong"))
        verdict = Verdict((*verified.verdict.findings, *findings))
        if not verdict.accepted or not self.secrets:
            return AttestReply(verdict).encode()
        key = decode.parse_statement(evidence.statement).key
        return AttestReply(verdict, seal(self.secrets, key, credential, challenge.nonce)).encode()


def status(code: int, **headers: str) -> Callable[[Answer], Answer]:
    """Another status, and nothing else."""
    return lambda _: Answer(code, b"", {key.replace("_", "-"): headers[key] for key in headers})


def hang_up(_: Answer) -> Answer | None:
    """No answer at all."""
    return HANG_UP


def cut(answer: Answer) -> Answer:
    """Half of it."""
    return replace(answer, cut=len(answer.body) // 2)


def body(data: bytes) -> Callable[[Answer], Answer]:
    """Another body."""
    return lambda answer: replace(answer, body=data)


def edited(**changes: object) -> Callable[[Answer], Answer]:
    """The answer with other values in its JSON."""
    return lambda answer: replace(
        answer, body=json.dumps({**json.loads(answer.body), **changes}).encode()
    )
