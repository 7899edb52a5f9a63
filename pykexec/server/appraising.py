# SPDX-License-Identifier: Apache-2.0
"""The policy's part of a decision: machine, evidence and surroundings, judged at one moment."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from pykexec.attest.verdict import Finding, Verdict
from pykexec.policy import Claims, Context, Policy, PolicyError, appraise
from pykexec.policy.model import ApprovalDemand, Limit
from pykexec.policy.outside import facts, needs_persons, outcomes
from pykexec.server import quotas
from pykexec.server.errors import NotFound
from pykexec.server.release import parsed
from pykexec.server.store.records import Machine, PolicyVersion
from pykexec.server.store.rollout import DraftDecision
from pykexec.server.store.store import Store
from pykexec.server.surroundings import Surroundings
from pykexec.verify.verify import Verified

log = logging.getLogger(__name__)

_STATES = {
    "pending": "waits for an operator's approval",
    "refused": "was refused by an operator",
    "retired": "is retired: it is given nothing any more",
}


@dataclass(frozen=True, slots=True)
class Appraised:
    """What a policy says of a boot; version is None where there is none.

    persons is what they have to do before anything is released, approval what they would have to
    if a rate asked for them. rates are looked at again at the release. facts are of the
    surroundings, for the audit trail. draft is what a draft of the policy would say.
    """

    findings: tuple[Finding, ...]
    version: PolicyVersion | None = None
    persons: ApprovalDemand | None = None
    approval: ApprovalDemand | None = None
    rates: tuple[Limit, ...] = ()
    facts: Mapping[str, object] = field(default_factory=dict)
    draft: DraftDecision | None = None


class Appraiser:
    """Safe in any thread."""

    def __init__(self, store: Store, surroundings: Surroundings) -> None:
        self._store = store
        self._surroundings = surroundings

    def appraise(self, machine: Machine, verified: Verified, peer: str, now: datetime) -> Appraised:
        """Everything that speaks against a release, and what it would take."""
        found: list[Finding] = []
        if machine.state != "enrolled":
            text = f"the machine {_STATES[machine.state]}"
            found.append(Finding(f"machine.{machine.state}", text))
        quarantined = self._surroundings.quarantine.of_machine(machine.fingerprint, machine.tags)
        if quarantined is not None:
            text = f"the machine is in quarantine: {quarantined.reason or quarantined.target}"
            found.append(Finding("machine.quarantined", text))
        before = bool(found)
        version = self._version(machine, found)
        policy = None if version is None else _parsed(version, found)
        if policy is None:
            return Appraised(tuple(found), version)
        context = self._surroundings.context(policy, machine, peer, now)
        judged = policy
        if policy.rules and (machine.state != "enrolled" or not verified.verdict.accepted):
            # They take time, which nobody has for who is refused anyway.
            judged = replace(policy, rules=())
            found.append(Finding("policy.rules", "the rules were not looked at", refuses=False))
        found += appraise(verified.claims, judged, context)
        draft = None
        if machine.policy_draft is not None and verified.verdict.accepted and not before:
            # Of evidence that nobody believes, and of who is given nothing anyhow, it says nothing.
            draft = self._try(machine, verified.claims, peer, now)
        return Appraised(
            tuple(found),
            version,
            needs_persons(policy, context),
            policy.approval,
            policy.rates,
            facts(policy, context),
            draft,
        )

    def _try(
        self, machine: Machine, claims: Claims, peer: str, now: datetime
    ) -> DraftDecision | None:
        """What the draft says; whatever goes wrong with it has no effect on what counts."""
        name, version = machine.policy, machine.policy_draft
        assert name is not None and version is not None
        try:
            policy = parsed(self._store.policy(name, version))
            context = self._surroundings.context(policy, machine, peer, now)
            return draft_decision((name, version), policy, claims, context)
        except (PolicyError, NotFound) as error:
            fault = Finding("policy.fault", str(error)[: quotas.FINDING_MAX])
            return DraftDecision(name, version, "refused", (fault,))
        except Exception:
            log.exception("draft %s version %d", name, version)
            return None

    def _version(self, machine: Machine, found: list[Finding]) -> PolicyVersion | None:
        if machine.policy is None:
            found.append(Finding("policy.missing", "no policy was chosen for the machine"))
            return None
        try:
            return self._store.policy(machine.policy, machine.policy_version)
        except NotFound:
            found.append(Finding("policy.missing", f"there is no policy {machine.policy}"))
            return None


def draft_decision(
    version: tuple[str, int], policy: Policy, claims: Claims, context: Context
) -> DraftDecision:
    """What a version that does not count says of claims in these surroundings."""
    said = appraise(claims, policy, context)
    reasons = [finding for finding in said if finding.refuses]
    outcome = "refused" if reasons else "accepted"
    if not reasons and needs_persons(policy, context) is not None:
        outcome = "asks"
        reasons = [Finding(found.code, found.text, False) for found in outcomes(policy, context)]
    verdict = Verdict(tuple(reasons)).shortened(quotas.FINDINGS_MAX, quotas.FINDING_MAX)
    return DraftDecision(*version, outcome, verdict.findings)


def _parsed(version: PolicyVersion, found: list[Finding]) -> Policy | None:
    try:
        return parsed(version)
    except PolicyError as error:
        # What an earlier version took may say too little for this one.
        found.append(Finding("policy.fault", f"the policy is none any more: {error}"))
        return None
