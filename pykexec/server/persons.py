# SPDX-License-Identifier: Apache-2.0
"""What a person who has logged in may decide about a boot, and what not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pykexec.attest.decode import parse_statement
from pykexec.attest.protocol import Statement
from pykexec.errors import PykexecError
from pykexec.policy import Policy
from pykexec.policy.approval import enough, group_fault
from pykexec.policy.model import ApprovalDemand
from pykexec.server.approving import Desk, current, rule_faults
from pykexec.server.errors import NotFound
from pykexec.server.people.id_token import Wanted
from pykexec.server.people.settings import PeopleSettings
from pykexec.server.store.approvals import Decided, Visitor
from pykexec.server.store.records import Approval, Machine
from pykexec.server.store.store import Store

REASON_MAX = 1024
_GONE = "this machine waits no more: it was answered, its time is over, or it has asked anew"
_ENDED = {
    "refused": "this boot was refused: the machine is given nothing",
    "locked": "this boot's code was guessed at: the machine has to be started anew",
    "released": "this boot was approved, and the machine has what it waited for",
}


class NotCounted(PykexecError):
    """A decision does not count; str() says why, for the person."""


@dataclass(frozen=True, slots=True)
class Case:
    """A boot that waits, with all that persons look at."""

    found: Approval
    machine: Machine
    statement: Statement
    policy: Policy
    demand: ApprovalDemand
    decided: Decided

    @property
    def asking(self) -> bool:
        """Whether the next one does not approve, but asks."""
        return self.demand.requester and self.decided.requester is None

    @property
    def left(self) -> int:
        """How many have to approve yet, as far as a number says it."""
        return max(0, self.demand.count - len(self.decided.approvers))

    @property
    def approved(self) -> bool:
        """Whether enough have."""
        groups = [visitor.person.groups or () for visitor in self.decided.approvers]
        return enough(self.demand, groups)


def look_up(store: Store, desk: Desk, reference: str, now: datetime) -> Case:
    """The boot; NotFound, in words for a person, when it does not wait."""
    found = desk.approvals.find(reference)
    if found is None:
        raise NotFound(_GONE)
    if found.state != "waiting" or now >= found.expires:
        raise NotFound(_ENDED.get(found.state, _GONE))
    machine = store.machine_by_id(found.machine_id)
    policy, demand = current(store, desk.surroundings, machine, found)
    decided = desk.approvals.decided(reference)
    return Case(found, machine, parse_statement(found.statement), policy, demand, decided)


def wanted(case: Case, nonce: str, settings: PeopleSettings) -> Wanted:
    """What a login for this boot has to say."""
    return Wanted(
        issuer=settings.issuer,
        client_id=settings.client_id,
        nonce=nonce,
        groups_claim=settings.groups_claim,
        max_age_s=case.demand.max_age_s,
        acr=case.demand.acr,
    )


def decide(
    desk: Desk,
    case: Case,
    visitor: Visitor,
    refuses: bool,
    code: str,
    reason: str,
    peer: str,
    now: datetime,
) -> str:
    """Write the decision down, if it counts; which it was. NotCounted, or the store's errors."""
    decision = "requested" if case.asking else "approved"
    if decision == "approved" or refuses:
        _check_groups(case, visitor)
    if refuses:
        desk.approvals.decide(visitor, "refused", reason, peer)
        return "refused"
    if not desk.codes.is_code(code, case.found.code):
        left = desk.approvals.wrong_code(visitor, peer)
        raise NotCounted(_wrong(left))
    if not reason and (case.demand.reason or case.asking):
        raise NotCounted("say why: it goes into the audit trail")
    if decision == "approved":
        context = desk.surroundings.context(case.policy, case.machine, case.found.peer, now)
        faults = rule_faults(case.policy, case.found, case.decided, context, visitor)
        if texts := [finding.text for finding in faults]:
            raise NotCounted(f"the policy does not let you approve this: {'; '.join(texts)}")
    desk.approvals.decide(visitor, decision, reason, peer)
    return decision


def _check_groups(case: Case, visitor: Visitor) -> None:
    groups = visitor.person.groups
    if groups is None and case.demand.groups:
        raise NotCounted(
            "the login service does not say which groups you are in: its administrator has to let "
            "this server have that claim"
        )
    if fault := group_fault(case.demand, groups or ()):
        raise NotCounted(fault)


def _wrong(left: int) -> str:
    if left <= 0:
        return "this is not the code, and there was no other try: start the machine anew"
    return f"this is not the code that the machine shows; {left} more tries"
