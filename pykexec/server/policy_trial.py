# SPDX-License-Identifier: Apache-2.0
"""A policy tried on evidence that was kept, before it counts.

That an expression can be compiled does not say that it has a value: one that names what no evidence
has refuses every machine of the fleet. And what a policy refuses is known before it does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from pykexec.attest.decode import parse_attest_request
from pykexec.attest.verdict import Finding
from pykexec.errors import FormatError
from pykexec.policy import Claims, Context, Policy, PolicyError
from pykexec.policy.model import Approval
from pykexec.policy.rules import Answer, evaluate
from pykexec.server.appraising import draft_decision
from pykexec.server.store import attestations
from pykexec.server.store.records import Attestation, Machine
from pykexec.server.store.store import Store
from pykexec.server.store.view import Reading
from pykexec.server.surroundings import Surroundings
from pykexec.verify.verify import Expected, verify

_LOOKED_AT = 1000
TRIED = 8
"""Attestations, the newest of the policy's machines of which the evidence was kept."""
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Moment:
    """The surroundings of a trial; None and {}: those of each attestation, and no release."""

    time: datetime | None = None
    address: str | None = None
    releases: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Tried:
    """What a policy would say of a machine by its newest evidence; outcome is a draft's, or UNKNOWN
    where none was kept. was_accepted is what was decided then.
    """

    fingerprint: str
    name: str
    outcome: str
    reasons: tuple[Finding, ...] = ()
    time: datetime | None = None
    was_accepted: bool | None = None


def check_rules(store: Store, name: str, policy: Policy) -> None:
    """PolicyError when a rule has no value, neither true nor false, on anything that was kept."""
    if not policy.rules:
        return
    kept = [
        found
        for found in store.attestations(limit=_LOOKED_AT)
        if found.has_evidence and found.policy is not None and found.policy[0] == name
    ][:TRIED]
    answers = [_answers(store, policy, found) for found in kept]
    for rule, column in zip(policy.rules, zip(*answers, strict=True), strict=False):
        if all(answer.value is None for answer in column):
            raise PolicyError(
                f"{name}: rule {rule.name}: neither true nor false on any of the last {len(kept)} "
                f"attestations of which evidence was kept: {column[0].fault}"
            )


def dry_run(
    store: Store, name: str, policy: Policy, moment: Moment, offset: int, limit: int
) -> Iterator[Tried]:
    """What it would say of the enrolled machines with the policy of that name, some at a time."""
    surroundings = Surroundings(store)
    page = store.machines(state="enrolled", policy=name, offset=offset, limit=limit)
    for machine in page.items:
        yield _try(store, surroundings, policy, machine, moment)


def _try(
    store: Store, surroundings: Surroundings, policy: Policy, machine: Machine, moment: Moment
) -> Tried:
    found = store.database.read(
        lambda view: attestations.latest_with_evidence(Reading(view, store.keys), machine.id)
    )
    if found is None:
        return Tried(machine.fingerprint, machine.name, UNKNOWN)
    context = surroundings.moment(
        policy,
        machine,
        found.peer if moment.address is None else moment.address,
        moment.time or found.time,
        moment.releases or {},
    )
    try:
        claims = _claims(store, found)
    except FormatError as error:
        fault = (Finding("evidence", str(error)),)
        return Tried(machine.fingerprint, machine.name, UNKNOWN, fault, found.time, found.accepted)
    said = draft_decision((policy.name, 0), policy, claims, context)
    return Tried(
        machine.fingerprint, machine.name, said.outcome, said.reasons, found.time, found.accepted
    )


def _claims(store: Store, attestation: Attestation) -> Claims:
    evidence = parse_attest_request(store.evidence(attestation.id)).evidence
    expected = Expected(now=attestation.time, bank=evidence.bank, enrolled=True)
    return verify(evidence, expected).claims


def _answers(store: Store, policy: Policy, attestation: Attestation) -> list[Answer]:
    machine = store.machine(attestation.fingerprint)
    tags = machine.tags if machine else {}
    time, demand = attestation.time, policy.approval
    # Nobody has approved that; whether a rule has a value shows somebody who might have.
    somebody = None
    if demand is not None:
        somebody = Approval("somebody", demand.groups, "", ("pwd",), time, demand.count)
    context = Context(
        time=time,
        address=attestation.peer,
        machine=machine.name if machine else "",
        tags=tuple(tags),
        labels=tags,
        releases={limit.name: 0 for limit in policy.rates},
        approval=somebody,
    )
    return evaluate(policy, policy.rules, _claims(store, attestation), context)
