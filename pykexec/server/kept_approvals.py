# SPDX-License-Identifier: Apache-2.0
"""Approvals out of an exported audit trail, checked by who has nothing else but the policies.

The provider's signature, over a nonce that follows from the boot's statement and the policy's text,
is what counts; this server's word only says when it was, and of which key set. Who has kept the
provider's key set of that day brings it along.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pykexec.attest.approval import login_nonce
from pykexec.attest.fields import Fields, ProtocolError, parse_object
from pykexec.policy.approval import enough, group_fault
from pykexec.policy.model import ApprovalDemand, Policy
from pykexec.policy.parse import parse_policy
from pykexec.server.canonical import from_ms
from pykexec.server.people.id_token import LoginRefused, Wanted, check_claims, signed_claims
from pykexec.server.store.audit import hash_of

DECISIONS = ("approval.requested", "approval.approved", "approval.refused")
_LINE_MAX = 4 << 20
_ACTIONS = ("approval.ask", *DECISIONS, "attestation.released")


@dataclass(frozen=True, slots=True)
class Decision:
    """What one person has decided; subject is the provider's, fault "" if all of it is proven."""

    seq: int
    action: str
    subject: str
    groups: tuple[str, ...] = ()
    issuer: str = ""
    fault: str = ""


@dataclass(slots=True)
class KeptBoot:
    """A boot that waited, by its reference; faults are of it as a whole."""

    reference: str
    machine: str
    statement: bytes = b""
    is_break_glass: bool = False
    released: bool = False
    decisions: list[Decision] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether everything is proven."""
        return not self.faults and not any(each.fault for each in self.decisions)


@dataclass(frozen=True, slots=True)
class Proof:
    """What approvals are checked by: texts of policies; key_set takes the place of those that the
    trail has, issuer and client_id "" leave open whose tokens they are.
    """

    policies: Sequence[bytes]
    key_set: Mapping[str, object] | None = None
    issuer: str = ""
    client_id: str = ""
    groups_claim: str = "groups"


def check_approvals(lines: Iterable[bytes], proof: Proof) -> list[KeptBoot]:
    """All boots of a trail for which somebody was asked, in order; FormatError for no trail."""
    policies = [(text, parse_policy(text, "policy")) for text in proof.policies]
    boots: dict[str, KeptBoot] = {}
    used: dict[str, Policy] = {}
    for number, line in enumerate(lines, 1):
        if line.strip():
            entry = _Entry(parse_object(line, f"line {number}", _LINE_MAX))
            _take(entry, boots, used, policies, proof)
    for boot in boots.values():
        if boot.released or boot.decisions:
            boot.faults += _faults(boot, used.get(boot.reference))
    return list(boots.values())


class _Entry:
    """One line of the trail."""

    def __init__(self, fields: Fields) -> None:
        self.seq, self.time_ms = fields.number("seq"), fields.number("time_ms", 2**48)
        self.actor, self.action = fields.text("actor", 4096), fields.text("action", 256)
        self.subject, self.detail = fields.text("subject", 4096), fields.fields("detail")
        previous, found = fields.text("previous", 64), fields.text("hash", 64)
        fields.end()
        covered = (self.seq, self.time_ms, self.actor, self.action, self.subject)
        self.fault = ""
        if hash_of(*covered, self.detail.rest(), previous) != found:
            self.fault = f"entry {self.seq} was changed"


def _take(
    entry: _Entry,
    boots: dict[str, KeptBoot],
    used: dict[str, Policy],
    policies: Sequence[tuple[bytes, Policy]],
    proof: Proof,
) -> None:
    if entry.action not in _ACTIONS or not entry.detail.has("approval"):
        return
    reference = entry.detail.text("approval", 64)
    boot = boots.setdefault(reference, KeptBoot(reference, entry.subject))
    if entry.fault:
        boot.faults.append(entry.fault)
    if entry.action == "attestation.released":
        boot.released = True
    elif entry.action == "approval.ask":
        boot.statement = entry.detail.text("statement", _LINE_MAX).encode()
        boot.is_break_glass = entry.detail.has("break_glass")
        digest = entry.detail.text("statement_sha256", 64)
        if hashlib.sha256(boot.statement).hexdigest() != digest:
            boot.faults.append("the statement is not that of its digest")
    else:
        boot.decisions.append(_decision(entry, boot, used, policies, proof))


def _decision(
    entry: _Entry,
    boot: KeptBoot,
    used: dict[str, Policy],
    policies: Sequence[tuple[bytes, Policy]],
    proof: Proof,
) -> Decision:
    subject = entry.actor.removeprefix("person:")
    try:
        key_set = proof.key_set or entry.detail.fields("key_set").rest()
        claims = signed_claims(entry.detail.text("id_token", 1 << 16), key_set)
        nonce = claims.get("nonce")
        for text, policy in policies:
            if login_nonce(boot.statement, text) == nonce:
                used[boot.reference] = policy
                break
        else:
            raise LoginRefused("the login was for another boot, or for none of these policies")
        demand = _demand(boot, policy) or ApprovalDemand()
        wanted = Wanted(
            max_age_s=demand.max_age_s,
            acr=demand.acr,
            issuer=proof.issuer or str(claims.get("iss")),
            client_id=proof.client_id or _audience(claims),
            nonce=str(nonce),
            groups_claim=proof.groups_claim,
        )
        person = check_claims(claims, wanted, from_ms(entry.time_ms))
        if person.subject != subject:
            raise LoginRefused(f"the login is of {person.subject}")
    except (LoginRefused, ProtocolError) as error:
        return Decision(entry.seq, entry.action, subject, fault=str(error))
    return Decision(entry.seq, entry.action, subject, person.groups or (), wanted.issuer)


def _audience(claims: Mapping[str, object]) -> str:
    audience = claims.get("aud")
    return str(audience[0] if isinstance(audience, list) and audience else audience)


def _faults(boot: KeptBoot, policy: Policy | None) -> Iterable[str]:
    """What speaks against the boot as a whole."""
    proven = [each for each in boot.decisions if not each.fault]
    approved = {each.subject: each for each in proven if each.action == "approval.approved"}
    if not boot.statement:
        yield "the trail does not say what was asked for (approval.ask)"
        return
    if policy is None:
        yield "nobody has proven to have decided by one of these policies"
        return
    demand = _demand(boot, policy)
    if demand is None:
        yield "the policy wants no person for that"
        return
    for each in approved.values():
        if fault := group_fault(demand, each.groups):
            yield f"{each.subject}: {fault}"
    asked = {each.subject for each in proven if each.action == "approval.requested"}
    for subject in sorted(asked & approved.keys()):
        yield f"{subject} has asked, and approved"
    if boot.released:
        if demand.requester and not asked:
            yield "it was given its secrets, and nobody has asked"
        if not enough(demand, [each.groups for each in approved.values()]):
            yield f"it was given its secrets, and {len(approved)} have approved"
        if any(each.action == "approval.refused" for each in proven):
            yield "it was given its secrets, and somebody has refused it"


def _demand(boot: KeptBoot, policy: Policy) -> ApprovalDemand | None:
    if boot.is_break_glass:
        return policy.break_glass.persons if policy.break_glass else None
    return policy.approval
