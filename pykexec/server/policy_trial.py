# SPDX-License-Identifier: Apache-2.0
"""A policy's rules tried on evidence that was kept, before the policy counts.

That an expression can be compiled does not say that it has a value: one that names what no evidence
has refuses every machine of the fleet.
"""

from __future__ import annotations

from pykexec.attest.decode import parse_attest_request
from pykexec.policy import Context, Policy, PolicyError
from pykexec.policy.model import Approval
from pykexec.policy.rules import Answer, evaluate
from pykexec.server.store.records import Attestation
from pykexec.server.store.store import Store
from pykexec.verify.verify import Expected, verify

_LOOKED_AT = 1000
TRIED = 8
"""Attestations, the newest of the policy's machines of which the evidence was kept."""


def check_rules(store: Store, name: str, policy: Policy) -> None:
    """PolicyError when a rule has no value, neither true nor false, on anything that was kept."""
    if not policy.rules:
        return
    kept = [
        found
        for found in store.attestations(limit=_LOOKED_AT)
        if found.has_evidence and found.policy is not None and found.policy[0] == name
    ][:TRIED]
    answers = [_answers(store, policy, found, store.evidence(found.id)) for found in kept]
    for rule, column in zip(policy.rules, zip(*answers, strict=True), strict=False):
        if all(answer.value is None for answer in column):
            raise PolicyError(
                f"{name}: rule {rule.name}: neither true nor false on any of the last {len(kept)} "
                f"attestations of which evidence was kept: {column[0].fault}"
            )


def _answers(
    store: Store, policy: Policy, attestation: Attestation, message: bytes
) -> list[Answer]:
    evidence = parse_attest_request(message).evidence
    expected = Expected(now=attestation.time, bank=evidence.bank, enrolled=True)
    claims = verify(evidence, expected).claims
    machine = store.machine(attestation.fingerprint)
    tags = machine.tags if machine else {}
    name = machine.name if machine else ""
    time, demand = attestation.time, policy.approval
    # Nobody has approved that; whether a rule has a value shows somebody who might have.
    somebody = None
    if demand is not None:
        somebody = Approval("somebody", demand.groups, "", ("pwd",), time, demand.count)
    context = Context(time, attestation.peer, name, tuple(tags), tags, approval=somebody)
    return evaluate(policy, policy.rules, claims, context)
