# SPDX-License-Identifier: Apache-2.0
"""From a challenge to a release: who is given what, whatever carries the messages."""

from __future__ import annotations

import hmac
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pykexec.attest import protocol
from pykexec.attest.approval import PollRequest
from pykexec.attest.decode import parse_attest_reply
from pykexec.attest.fields import ProtocolError
from pykexec.attest.protocol import AttestReply, AttestRequest, Challenge, ChallengeRequest
from pykexec.attest.verdict import Finding, Verdict
from pykexec.errors import PykexecError
from pykexec.policy.model import ApprovalDemand
from pykexec.server import quotas
from pykexec.server.appraising import Appraised, Appraiser
from pykexec.server.approving import Attested, Desk
from pykexec.server.challenge_token import Pending, Tokens
from pykexec.server.errors import (
    AlreadyReleased,
    EnrolmentRefused,
    NotFound,
    NotReleasable,
    RateExceeded,
    Replayed,
)
from pykexec.server.release import seal_secrets, state_to_keep
from pykexec.server.steps import Steps, complete, stranger
from pykexec.server.store.records import (
    Approval,
    AttestationRecord,
    Machine,
    StoredSecret,
)
from pykexec.server.store.store import Store
from pykexec.server.surroundings import Surroundings
from pykexec.tpm.wire import WireError
from pykexec.verify.credential import keys_of, make_credential
from pykexec.verify.verify import Expected, Verified, verify

log = logging.getLogger(__name__)


class Refused(PykexecError):
    """A request that gets no verdict; status is HTTP's, retry_after_s for who comes too early."""

    def __init__(self, status: int, text: str, retry_after_s: float = 0.0) -> None:
        super().__init__(text)
        self.status = status
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """What challenges ask for: banks by preference, and for how long they are good; people is where
    persons approve, "" nowhere.
    """

    banks: tuple[str, ...] = protocol.BANKS
    pcrs: tuple[int, ...] = protocol.QUOTED_PCRS
    challenge_s: int = 60
    people: str = ""


class Service:
    """Answers attesters; safe in any thread. All that lasts is in the store.

    wait_s tells for how long a machine, by its fingerprint, has to wait as it asks too often.
    """

    def __init__(
        self,
        store: Store,
        settings: ServiceSettings | None = None,
        wait_s: Callable[[str], float] = lambda _: 0.0,
    ) -> None:
        self._store = store
        self._settings = settings or ServiceSettings()
        self._wait_s = wait_s
        self._tokens = Tokens(store.derived_key("challenge token"))
        surroundings = Surroundings(store)
        self._appraiser = Appraiser(store, surroundings)
        self.desk = Desk(store, self._settings.people, surroundings)

    def challenge(self, request: ChallengeRequest, peer: str, now: datetime) -> Challenge:
        """Ask for evidence; nothing is stored. ProtocolError or Refused."""
        bank = next((bank for bank in self._settings.banks if bank in request.banks), None)
        if bank is None:
            known = ", ".join(self._settings.banks)
            raise Refused(422, f"the TPM has none of the PCR banks {known}")
        identity = request.identity
        try:
            ek, ak_name = keys_of(identity.ek_public, identity.ak_public)
        except WireError as error:
            raise ProtocolError(f"identity: {error}") from None
        nonce = os.urandom(protocol.NONCE_SIZE)
        credential = os.urandom(protocol.CREDENTIAL_SIZE)
        blob, secret = make_credential(ek, ak_name, credential)
        pending = Pending(
            nonce=nonce,
            credential=credential,
            identity=identity.digest,
            bank=bank,
            pcrs=self._settings.pcrs,
            expires=int(now.timestamp()) + self._settings.challenge_s,
        )
        return Challenge(
            token=self._tokens.seal(pending),
            nonce=nonce,
            credential_blob=blob,
            credential_secret=secret,
            bank=bank,
            pcrs=pending.pcrs,
            expires_s=self._settings.challenge_s,
        )

    def token_fault(self, token: str, now: datetime) -> AttestReply | None:
        """The refusal of a request with this token, as far as the token alone tells."""
        pending = self._tokens.open(token)
        if pending is None:
            return _NO_TOKEN
        fault = _expiry_fault(pending, now)
        return None if fault is None else AttestReply(Verdict((fault,)))

    def attest(self, request: AttestRequest, peer: str, now: datetime) -> AttestReply:
        """Judge evidence and release what its machine is to be given."""
        return complete(self._store, self.steps(request, peer, now))

    def steps(self, request: AttestRequest, peer: str, now: datetime) -> Steps:
        """The same for who has better to do than to wait for the disk: see Steps and advance().

        Until the credential's proof is right nobody knows who asks, and nothing is stored.
        """
        pending = self._tokens.open(request.token)
        if pending is None:
            return _NO_TOKEN
        if fault := _challenge_fault(request, pending, now):
            return AttestReply(Verdict((fault,)))
        # Not before it is proven which machine asks: others must not use up what it may.
        if wait_s := self._wait_s(request.evidence.identity.fingerprint):
            raise Refused(429, "this machine asks too often", wait_s)
        attestation = _Attestation(
            self._store, self._appraiser, self.desk, request, pending, peer, now
        )
        return (yield from attestation.run())

    def poll(self, request: PollRequest, peer: str, now: datetime) -> Steps:
        """The same for a boot that waits for persons: whether they have decided."""
        return self.desk.poll(request, peer, now)


_NO_TOKEN = stranger("challenge.token", "the challenge is not of this server")


def _expiry_fault(pending: Pending, now: datetime) -> Finding | None:
    if now.timestamp() < pending.expires:
        return None
    return Finding("challenge.expired", "the answer to the challenge came too late")


def _challenge_fault(request: AttestRequest, pending: Pending, now: datetime) -> Finding | None:
    evidence = request.evidence
    if fault := _expiry_fault(pending, now):
        return fault
    if not hmac.compare_digest(evidence.identity.digest, pending.identity):
        return Finding("challenge.identity", "the challenge was for another EK, AK or certificate")
    proof = protocol.proof_of(pending.credential, pending.nonce, evidence.statement, evidence.quote)
    if not hmac.compare_digest(proof, request.proof):
        return Finding("challenge.proof", "the credential was not opened for this quote")
    return None


class _Attestation:
    """One attestation of a machine that has proved to have its EK and AK in one TPM."""

    def __init__(
        self,
        store: Store,
        appraiser: Appraiser,
        desk: Desk,
        request: AttestRequest,
        pending: Pending,
        peer: str,
        now: datetime,
    ) -> None:
        self._store, self._appraiser, self._desk = store, appraiser, desk
        self._request, self._pending = request, pending
        self._peer, self._now = peer, now
        self._machine: Machine | None = None
        self._appraised = Appraised(())

    def run(self) -> Steps:
        """The reply, after it was recorded."""
        verified, findings = self._judge()
        verdict = verified.verdict.and_also(findings)
        verdict = verdict.shortened(quotas.FINDINGS_MAX, quotas.FINDING_MAX)
        if self._machine is None:
            # Anybody can make up machines: strangers are told and counted, never kept.
            return AttestReply(verdict)
        if not verdict.accepted:
            return (yield from self._refuse(verdict, verified))
        if verified.counters is None:
            verdict = _with(verdict, "tpm.counters", "no counters")
            return (yield from self._refuse(verdict, verified))
        statement, pending = verified.statement, self._pending
        assert statement is not None
        if (persons := self._appraised.persons) is not None:
            return (yield from self._wait(verdict, verified, persons))
        seals = (statement, pending.credential, pending.nonce, verified.counters, self._now)
        released, release = seal_secrets(self._store, self._machine.id, *seals)
        return (yield from self._release(verdict, verified, released, release))

    def _wait(self, verdict: Verdict, verified: Verified, demand: ApprovalDemand) -> Steps:
        """Nothing but that persons have not approved yet."""
        version = self._appraised.version
        assert self._machine and version and verified.counters
        attested = Attested(
            machine=self._machine,
            policy=(version.name, version.version),
            statement=self._request.evidence.statement,
            claims=verified.claims,
            findings=verdict.findings,
            counters=verified.counters,
            peer=self._peer,
        )
        if fault := self._desk.fault(attested):
            return (yield from self._refuse(verdict.and_also((fault,)), verified))
        asks, reply = self._desk.ask(
            attested, demand, self._pending.nonce, self._pending.credential, self._now
        )
        return (yield from self._refuse(reply.verdict, verified, asks, reply))

    def _judge(self) -> tuple[Verified, list[Finding]]:
        fingerprint = self._request.evidence.identity.fingerprint
        self._machine = self._store.machine(fingerprint)
        verified = self._verify()
        if self._machine is None or (self._machine.state == "pending" and verified.ek):
            if verified.ek is None:
                return verified, [Finding("machine.unknown", "its EK is not proven to be one")]
            try:
                self._machine = self._store.enrol(verified.ek, self._peer)
            except EnrolmentRefused as error:
                return verified, [Finding("machine.unknown", str(error))]
            if _trusted_without_certificate(self._machine):
                verified = self._verify()
        machine = self._machine
        self._appraised = self._appraiser.appraise(machine, verified, self._peer, self._now)
        findings = list(self._appraised.findings)
        counters, last = verified.counters, machine.last_counters
        # Most boots attest once, and need not be looked for.
        if counters and last and counters.boot == last.boot:
            if self._store.released(machine.id, counters):
                text = "this boot was given its secrets already"
                findings.append(Finding("release.again", text))
        return verified, findings

    def _verify(self) -> Verified:
        machine, evidence = self._machine, self._request.evidence
        return verify(
            evidence,
            Expected(
                nonce=self._pending.nonce,
                bank=self._pending.bank,
                pcrs=self._pending.pcrs,
                ek_roots=tuple(root.certificate for root in self._store.ek_roots()),
                enrolled=machine is not None and _trusted_without_certificate(machine),
                now=self._now,
                last=machine.last_counters if machine else None,
            ),
        )

    def _release(
        self,
        verdict: Verdict,
        verified: Verified,
        released: tuple[StoredSecret, ...],
        release: str | None,
    ) -> Steps:
        reply = AttestReply(verdict, release)
        record = self._record(verdict, verified, released, reply)
        try:
            yield replace(record, rates=self._appraised.rates)
        except Replayed:
            return self._repeated()
        except RateExceeded as error:
            return (yield from self._exceeded(verdict, verified, error))
        except AlreadyReleased:
            text = "this boot was given its secrets already"
            return (yield from self._refuse(_with(verdict, "release.again", text), verified))
        except NotReleasable as error:
            changed = _with(verdict, "release.changed", str(error))
            return (yield from self._refuse(changed, verified))
        return reply

    def _exceeded(self, verdict: Verdict, verified: Verified, error: RateExceeded) -> Steps:
        """Others were released since this was judged: as if it had come after them."""
        persons = self._appraised.approval if error.asks else None
        verdict = verdict.and_also((Finding("policy.rate", str(error), persons is None),))
        if persons is None:
            return (yield from self._refuse(verdict, verified))
        return (yield from self._wait(verdict, verified, persons))

    def _refuse(
        self,
        verdict: Verdict,
        verified: Verified,
        asks: Approval | None = None,
        reply: AttestReply | None = None,
    ) -> Steps:
        reply = reply or AttestReply(verdict)
        try:
            yield replace(self._record(verdict, verified, (), reply), asks=asks)
        except Replayed:
            return self._repeated()
        except NotFound:
            log.info("a machine that waited had to make room while it attested")
        return reply

    def _repeated(self) -> AttestReply:
        """Once more what this very request was answered: its sender may not have heard it.

        It is sealed for who has the credential and the ephemeral key; another request gets nothing.
        """
        request = self._request
        fingerprint = request.evidence.identity.fingerprint
        reply = self._store.take_reply(self._pending.nonce, request.digest, fingerprint)
        if reply is not None:
            return parse_attest_reply(reply)
        return stranger("challenge.replayed", "the challenge was answered before")

    def _record(
        self,
        verdict: Verdict,
        verified: Verified,
        released: tuple[StoredSecret, ...],
        reply: AttestReply,
    ) -> AttestationRecord:
        keep = self._store.settings().keep_evidence
        kept = keep == "always" or (keep == "refused" and not verdict.accepted)
        machine = self._machine
        assert machine is not None
        expires = datetime.fromtimestamp(self._pending.expires, UTC)
        ak, version = verified.claims.get("ak"), self._appraised.version
        return AttestationRecord(
            time=self._now,
            fingerprint=self._request.evidence.identity.fingerprint,
            machine_id=machine.id,
            accepted=verdict.accepted,
            findings=verdict.findings,
            policy=(version.name, version.version) if version else None,
            peer=self._peer,
            nonce=self._pending.nonce,
            nonce_expires=expires,
            counters=verified.counters,
            ak_name=str(ak["name"]) if isinstance(ak, dict) and "name" in ak else None,
            released=released,
            request=self._request.digest if released else None,
            reply=reply.encode() if released else None,
            evidence=self._request.encode() if kept else None,
            facts=self._appraised.facts,
            draft=self._appraised.draft,
            state=state_to_keep(self._appraised.version, verdict, verified.claims),
        )


def _with(verdict: Verdict, code: str, text: str) -> Verdict:
    return verdict.and_also((Finding(code, text),))


def _trusted_without_certificate(machine: Machine) -> bool:
    """Enrolled for another reason than its certificate, which has to be good every time."""
    return machine.state == "enrolled" and machine.enrolled_by != "certificate"
