# SPDX-License-Identifier: Apache-2.0
"""Boots that wait for persons: asked for with an attestation, given their secrets by a poll.

All that lasts is in the store, and any server of it answers. Nothing is released by a person's word
alone: when enough have approved, the machine's state, its policy (which must be the same version)
and all rules are looked at anew, for each of them.
"""

from __future__ import annotations

import hashlib
import hmac
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import segno

from pykexec.attest.approval import PollRequest, poll_proof
from pykexec.attest.decode import parse_attest_reply, parse_statement
from pykexec.attest.protocol import AttestReply
from pykexec.attest.protocol import Pending as PendingReply
from pykexec.attest.verdict import Finding, Verdict
from pykexec.policy import Context, Policy, PolicyError
from pykexec.policy.approval import enough
from pykexec.policy.model import Approval as ApprovalContext
from pykexec.policy.model import ApprovalDemand
from pykexec.policy.outside import facts, outcomes, refusing_rates
from pykexec.policy.use import RULES
from pykexec.server import quotas
from pykexec.server.errors import (
    AlreadyReleased,
    NotFound,
    NotReleasable,
    RateExceeded,
    Replayed,
)
from pykexec.server.people.codes import Codes, Ticket, new_reference
from pykexec.server.release import parsed, seal_secrets, state_to_keep
from pykexec.server.steps import Steps, stranger
from pykexec.server.store.approval_rows import claims_fit
from pykexec.server.store.approvals import Approvals, Decided, Visitor
from pykexec.server.store.records import Approval, AttestationRecord, Counters, Machine
from pykexec.server.store.store import Store
from pykexec.server.surroundings import Surroundings

INTERVAL_S = 5
PENDING = "approval.pending"
_ENDS = {
    "refused": Finding("approval.refused", "a person has refused this boot"),
    "locked": Finding("approval.locked", "its code was guessed at: start the machine anew"),
}
_OVER = "nobody waits for this any more: the machine has asked anew, or its time is long over"
_NONCE_PREFIX = b"pykexec approval release 1\0"


@dataclass(frozen=True, slots=True)
class Attested:
    """An attestation that nothing speaks against but that persons have to approve."""

    machine: Machine
    policy: tuple[str, int]
    statement: bytes
    claims: Mapping[str, object]
    findings: tuple[Finding, ...]
    counters: Counters
    peer: str


class Desk:
    """Safe in any thread; address is where persons approve, "" nowhere."""

    def __init__(self, store: Store, address: str, surroundings: Surroundings) -> None:
        self._store = store
        self.surroundings = surroundings
        self._address = address
        self.approvals = Approvals(store.database, store.keys)
        self.codes = Codes(store.derived_key("approval"))

    def fault(self, attested: Attested) -> Finding | None:
        """Why nobody could approve this."""
        if not self._address:
            text = "the policy wants a person, and this server has no login (serve --people)"
            return Finding("approval.nobody", text)
        size = len(attested.statement)
        if size > quotas.STATEMENT_KEPT_MAX or not claims_fit(attested.claims):
            return Finding("approval.size", "the statement or the evidence is too long to be kept")
        return None

    def ask(
        self,
        attested: Attested,
        demand: ApprovalDemand,
        nonce: bytes,
        credential: bytes,
        now: datetime,
    ) -> tuple[Approval, AttestReply]:
        """What is to be recorded with the attestation, and the reply."""
        reference = new_reference()
        asked = Approval(
            reference=reference,
            machine_id=attested.machine.id,
            code=self.codes.digest(self.codes.code(reference)),
            state="waiting",
            tries=0,
            asked=now,
            expires=now + timedelta(seconds=demand.expires_s),
            peer=attested.peer,
            statement=attested.statement,
            policy=attested.policy,
            claims=attested.claims,
            findings=tuple(found for found in attested.findings if found.code != "policy.approval"),
            counters=attested.counters,
        )
        ticket = self.codes.seal(Ticket(reference, nonce, credential))
        return asked, self._pending(asked, attested.machine, ticket, demand, 0, now)

    def poll(self, request: PollRequest, peer: str, now: datetime) -> Steps:
        """The reply as of now; who has not opened the credential learns nothing."""
        ticket = self.codes.open(request.ticket)
        if ticket is None:
            return stranger("approval.ticket", "the ticket is not of this server")
        proof = poll_proof(ticket.credential, ticket.nonce, request.ticket)
        if not hmac.compare_digest(proof, request.proof):
            return stranger("approval.proof", "the credential was not opened for this ticket")
        found = self.approvals.find(ticket.reference)
        if found is None:
            return stranger("approval.over", _OVER)
        if found.state == "released":
            return self._repeated(request, ticket, found)
        if found.state in _ENDS:
            return _refusal(found, [_ENDS[found.state]])
        if now >= found.expires:
            text = "nobody has approved this boot in time"
            return _refusal(found, [Finding("approval.expired", text)])
        machine = self._store.machine_by_id(found.machine_id)
        try:
            policy, demand = current(self._store, self.surroundings, machine, found)
        except NotFound as error:
            return _refusal(found, [Finding("approval.changed", str(error))])
        decided = self.approvals.decided(found.reference)
        approvers = [visitor.person.groups or () for visitor in decided.approvers]
        if not enough(demand, approvers):
            return self._pending(found, machine, request.ticket, demand, len(approvers), now)
        context = self.surroundings.context(policy, machine, peer, now)
        # Persons let pass what asks for them, nothing else.
        faults = [Finding(o.code, o.text) for o in outcomes(policy, context) if not o.asks]
        faults += rule_faults(policy, found, decided, context)
        if faults:
            return _refusal(found, faults)
        steps = self._release(request, ticket, found, machine, decided, policy, context)
        return (yield from steps)

    def _release(
        self,
        request: PollRequest,
        ticket: Ticket,
        found: Approval,
        machine: Machine,
        decided: Decided,
        policy: Policy,
        context: Context,
    ) -> Steps:
        statement, version = parse_statement(found.statement), self._store.policy(*found.policy)
        seals = (statement, ticket.credential, ticket.nonce, found.counters, context.time)
        released, release = seal_secrets(self._store, machine.id, *seals)
        persons = ", ".join(sorted(visitor.person.name for visitor in decided.approvers))
        given = Finding("approval.given", f"approved by {persons}"[: quotas.FINDING_MAX], False)
        reply = AttestReply(Verdict((*found.findings, given)), release)
        try:
            yield AttestationRecord(
                time=context.time,
                fingerprint=machine.fingerprint,
                machine_id=machine.id,
                accepted=True,
                findings=reply.verdict.findings,
                policy=found.policy,
                peer=context.address,
                nonce=_nonce(ticket),
                # Not before the row itself: until then it says that this was given.
                nonce_expires=found.expires + timedelta(seconds=2 * quotas.APPROVAL_KEPT_S),
                counters=found.counters,
                ak_name=None,
                released=released,
                request=request.digest if released else None,
                reply=reply.encode() if released else None,
                approval=found.reference,
                rates=refusing_rates(policy),
                facts=facts(policy, context),
                state=state_to_keep(version, reply.verdict, found.claims),
            )
        except Replayed:
            return self._repeated(request, ticket, found)
        except RateExceeded as error:
            return _refusal(found, [Finding("policy.rate", str(error))])
        except AlreadyReleased:
            return _refusal(found, [Finding("release.again", "this boot has had its secrets")])
        except (NotReleasable, NotFound) as error:
            return _refusal(found, [Finding("release.changed", str(error))])
        return reply

    def _repeated(self, request: PollRequest, ticket: Ticket, found: Approval) -> AttestReply:
        """Once more what was given: who asked may not have heard it, and nobody else opens it."""
        machine = self._store.machine_by_id(found.machine_id)
        reply = self._store.take_reply(_nonce(ticket), request.digest, machine.fingerprint)
        if reply is not None:
            return parse_attest_reply(reply)
        return stranger("approval.replayed", "this boot has been answered before")

    def _pending(
        self,
        found: Approval,
        machine: Machine,
        ticket: str,
        demand: ApprovalDemand,
        count: int,
        now: datetime,
    ) -> AttestReply:
        address = f"{self._address}/approve/{found.reference}"
        so_far = f", {count} of {demand.count} have approved" if count else ""
        text = f"a person has to approve this boot at {self._address}/approve{so_far}"
        pending = PendingReply(
            address=address,
            code=self.codes.code(found.reference),
            ticket=ticket,
            expires_s=max(0, int((found.expires - now).total_seconds())),
            interval_s=INTERVAL_S,
            machine=machine.name,
            qr=_qr(address),
        )
        verdict = Verdict((*found.findings, Finding(PENDING, text)))
        return AttestReply(verdict, pending=pending)


def current(
    store: Store, surroundings: Surroundings, machine: Machine, found: Approval
) -> tuple[Policy, ApprovalDemand]:
    """The policy that persons approve by; NotFound where it, or the machine, is another by now."""
    if machine.state != "enrolled":
        raise NotFound(f"the machine is {machine.state} by now")
    if surroundings.quarantine.of_machine(machine.fingerprint, machine.tags) is not None:
        raise NotFound("the machine is in quarantine by now")
    if (machine.policy, machine.policy_version) != found.policy:
        raise NotFound("the machine has another policy by now: start it anew")
    try:
        policy = parsed(store.policy(*found.policy))
    except PolicyError as error:
        raise NotFound(f"the policy is none any more: {error}") from None
    demand = policy.approval
    if found.is_break_glass:
        demand = policy.break_glass.persons if policy.break_glass else None
    if demand is None:
        raise NotFound("the policy wants no person")
    return policy, demand


def rule_faults(
    policy: Policy,
    found: Approval,
    decided: Decided,
    context: Context,
    only: Visitor | None = None,
) -> Iterator[Finding]:
    """What the rules have, in these surroundings, against those who approve, or against one."""
    requester = decided.requester.person.subject if decided.requester else ""
    approvers: Iterable[Visitor] = decided.approvers if only is None else (only,)
    for visitor in approvers:
        person = visitor.person
        approval = ApprovalContext(
            subject=person.subject,
            groups=person.groups or (),
            acr=person.acr,
            amr=person.amr,
            auth_time=person.auth_time,
            count=len(decided.approvers) + (only is not None),
            requester=requester,
        )
        yield from RULES.check(policy, found.claims, replace(context, approval=approval))


def _refusal(found: Approval, reasons: list[Finding]) -> AttestReply:
    verdict = Verdict((*found.findings, *reasons))
    return AttestReply(verdict.shortened(quotas.FINDINGS_MAX, quotas.FINDING_MAX))


def _nonce(ticket: Ticket) -> bytes:
    """What the release uses up, as an attestation does its challenge's."""
    return hashlib.sha256(_NONCE_PREFIX + ticket.nonce).digest()


def _qr(address: str) -> tuple[str, ...]:
    """The address as modules, for a console of 80 columns: error correction as it comes free."""
    text = io.StringIO()
    segno.make_qr(address, error="l").save(text, kind="txt", border=0)
    return tuple(text.getvalue().split())
