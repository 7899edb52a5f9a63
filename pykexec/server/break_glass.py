# SPDX-License-Identifier: Apache-2.0
"""Machines without a network: persons bring what they show, and take the answer back.

An offer that is good waits as any boot that persons have to approve; what is looked at before they
are asked is looked at again before anything is given. An answer is given by the record that uses up
the boot, so that each boot is given its secret once, by this way or the other. Who replays an offer
gains nothing: the answer opens in the process alone that has made it.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from pykexec.attest.break_glass import Offer
from pykexec.attest.groups import to_groups
from pykexec.attest.verdict import Finding, Verdict
from pykexec.errors import FormatError
from pykexec.policy import Context, Policy, PolicyError, appraise
from pykexec.policy.outside import ORIGIN_CODE, facts, refusing_rates
from pykexec.server import quotas
from pykexec.server.approving import PENDING, Desk, rule_faults
from pykexec.server.canonical import to_ms
from pykexec.server.errors import NotFound, StoreError
from pykexec.server.persons import NotCounted, look_up
from pykexec.server.release import parsed, seal_one
from pykexec.server.store import answers, last_accepted
from pykexec.server.store.last_accepted import LastAccepted
from pykexec.server.store.records import (
    BREAK_GLASS_CLAIM,
    Approval,
    AttestationRecord,
    Machine,
)
from pykexec.server.store.store import Store
from pykexec.server.store.view import Reading
from pykexec.tpm.public import name_of
from pykexec.verify.offer import JudgedOffer, ak_area, judge_offer

log = logging.getLogger(__name__)

_NONCE_PREFIX = b"pykexec break-glass answer 1\0"
_UNKNOWN = (
    "this server has never accepted a machine with this key under a policy with [break_glass]: "
    "there is nothing to compare it with"
)
_IN_WORDS = {
    "quote.statement": "its payload, or what the machine says of itself, is not what was accepted "
    "last",
    "quote.digest": "its registers are not those that were accepted last: firmware, Secure Boot, "
    "image or configuration are others, or this boot was given its secrets, or a shell",
}


class Glass:
    """Safe in any thread."""

    def __init__(self, store: Store, desk: Desk) -> None:
        self._store = store
        self._desk = desk

    def take(self, offer: Offer, peer: str, now: datetime) -> str:
        """The reference of what waits for persons from now on, or waits already; NotCounted, in
        words, where nobody is asked.
        """
        if self._desk.approvals.find(offer.reference) is not None:
            return offer.reference
        known = self._last_accepted(offer)
        if known is None:
            raise NotCounted(_UNKNOWN)
        machine = self._store.machine_by_id(known.machine_id)
        judged = judge_offer(offer, known.claims, machine.last_counters)
        if not judged.signed:
            # Nobody knows who that was.
            raise NotCounted("the machine's TPM has not signed this")
        faults = list(map(_in_words, judged.verdict.reasons))
        policy = self._policy(machine, faults)
        claims = {**judged.claims, BREAK_GLASS_CLAIM: {"accepted_ms": to_ms(known.time)}}
        judged = replace(judged, claims=claims)
        if policy is not None:
            context = self._desk.surroundings.context(policy, machine, "", now)
            faults += self._faults(policy, machine, judged, context)
            faults += self._secret_faults(policy, machine, offer)
        if faults:
            self._record(machine, judged, tuple(faults), peer, now, None)
            raise NotCounted("; ".join(dict.fromkeys(fault.text for fault in faults)))
        assert policy is not None and policy.break_glass is not None
        asks = self._asks(offer, machine, judged, now)
        asks = replace(asks, expires=now + timedelta(seconds=policy.break_glass.persons.expires_s))
        pending = Finding(PENDING, "persons have to approve this, who carry the answer")
        self._record(machine, judged, (pending,), peer, now, asks)
        return offer.reference

    def answer(self, reference: str, peer: str, now: datetime) -> tuple[str, ...]:
        """What is typed at the machine, given now; NotCounted where it is not given."""
        try:
            case = look_up(self._store, self._desk, reference, now)
        except NotFound as error:
            raise NotCounted(str(error)) from None
        found, machine, policy = case.found, case.machine, case.policy
        if not (found.is_break_glass and case.approved):
            raise NotCounted(f"it still takes: {case.left or 1} more")
        judged = JudgedOffer(Verdict(), found.statement, dict(found.claims), True, found.counters)
        context = self._desk.surroundings.context(policy, machine, "", now)
        faults = list(self._faults(policy, machine, judged, context))
        faults += rule_faults(policy, found, case.decided, context)
        if faults:
            raise NotCounted("; ".join(fault.text for fault in faults))
        assert policy.break_glass is not None
        name = policy.break_glass.secret
        try:
            secret, data = seal_one(
                self._store, machine.id, name, case.statement.key, found.statement
            )
        except (NotFound, FormatError) as error:
            raise NotCounted(str(error)) from None
        names = ", ".join(sorted(each.person.name for each in case.decided.approvers))
        given = Finding("break-glass.given", f"given to {names}"[: quotas.FINDING_MAX], False)
        record = AttestationRecord(
            time=now,
            fingerprint=machine.fingerprint,
            machine_id=machine.id,
            accepted=True,
            findings=(given,),
            policy=found.policy,
            peer=peer,
            nonce=_nonce(found.reference),
            nonce_expires=found.expires + timedelta(seconds=quotas.APPROVAL_KEPT_S),
            counters=found.counters,
            ak_name=None,
            released=(secret,),
            request=hashlib.sha256(found.statement).digest(),
            reply=data,
            approval=found.reference,
            rates=refusing_rates(policy),
            facts=facts(policy, context),
        )
        try:
            self._store.record_attestation(record)
        except StoreError as error:
            raise NotCounted(f"nothing was given: {error}") from None
        log.warning("break-glass: machine %s was given %s", machine.fingerprint[:16], secret.name)
        return to_groups(data)

    def given(self, reference: str) -> tuple[str, ...] | None:
        """The answer once more, for who has approved; None if it was not given."""
        nonce = _nonce(reference)
        data = self._store.database.read(lambda connection: answers.given(connection, nonce))
        return None if data is None else to_groups(data)

    def _last_accepted(self, offer: Offer) -> LastAccepted | None:
        name = name_of("sha256", ak_area(offer)).hex()
        keys = self._store.keys
        return self._store.database.read(
            lambda connection: last_accepted.by_ak(Reading(connection, keys), name)
        )

    def _policy(self, machine: Machine, faults: list[Finding]) -> Policy | None:
        """The machine's as it is now; None, and why."""
        try:
            if machine.state != "enrolled":
                raise NotFound(f"the machine is {machine.state}")
            quarantine = self._desk.surroundings.quarantine
            if quarantine.of_machine(machine.fingerprint, machine.tags) is not None:
                raise NotFound("the machine is in quarantine")
            if machine.policy is None:
                raise NotFound("no policy was chosen for the machine")
            policy = parsed(self._store.policy(machine.policy, machine.policy_version))
            if policy.break_glass is None:
                raise NotFound("the policy of this machine has no [break_glass]")
        except (NotFound, PolicyError) as error:
            faults.append(Finding("break-glass.policy", str(error)))
            return None
        return policy

    def _faults(
        self, policy: Policy, machine: Machine, judged: JudgedOffer, context: Context
    ) -> Iterator[Finding]:
        """All that the policy as it is now, and the books, have against it. It has no address:
        where it stands those know who stand before it.
        """
        found = appraise(judged.claims, policy, context)
        yield from (each for each in found if each.refuses and each.code != ORIGIN_CODE)
        counters = judged.counters
        if counters and self._store.released(machine.id, counters):
            yield Finding("release.again", "this boot was given its secrets already")

    def _secret_faults(self, policy: Policy, machine: Machine, offer: Offer) -> Iterator[Finding]:
        """What no answer can be made of nobody is to come out for."""
        assert policy.break_glass is not None
        try:
            seal_one(self._store, machine.id, policy.break_glass.secret, offer.key, b"")
        except (NotFound, FormatError) as error:
            yield Finding("break-glass.secret", str(error))

    def _asks(self, offer: Offer, machine: Machine, judged: JudgedOffer, now: datetime) -> Approval:
        assert machine.policy is not None and judged.counters is not None
        version = self._store.policy(machine.policy, machine.policy_version)
        return Approval(
            reference=offer.reference,
            machine_id=machine.id,
            code=self._desk.codes.digest(offer.code),
            state="waiting",
            tries=0,
            asked=now,
            expires=now,
            peer="",  # The machine has none, and rules look at it.
            statement=judged.statement,
            policy=(version.name, version.version),
            claims=judged.claims,
            findings=(),
            counters=judged.counters,
        )

    def _record(
        self,
        machine: Machine,
        judged: JudgedOffer,
        findings: tuple[Finding, ...],
        peer: str,
        now: datetime,
        asks: Approval | None,
    ) -> None:
        shortened = Verdict(findings).shortened(quotas.FINDINGS_MAX, quotas.FINDING_MAX)
        self._store.record_attestation(
            AttestationRecord(
                time=now,
                fingerprint=machine.fingerprint,
                machine_id=machine.id,
                accepted=False,
                findings=shortened.findings,
                policy=asks.policy if asks else None,
                peer=peer,
                nonce=None,
                nonce_expires=None,
                counters=judged.counters,
                ak_name=None,
                asks=asks,
            )
        )


def _in_words(finding: Finding) -> Finding:
    return replace(finding, text=_IN_WORDS.get(finding.code, finding.text))


def _nonce(reference: str) -> bytes:
    """What an answer uses up, as an attestation does its challenge's."""
    return hashlib.sha256(_NONCE_PREFIX + reference.encode()).digest()
