# SPDX-License-Identifier: Apache-2.0
"""[approval] of a policy: who has to approve a boot; read, told in words, and checked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pykexec.attest.protocol import WAIT_MAX_S
from pykexec.attest.verdict import Finding
from pykexec.policy.clause import Clause, either
from pykexec.policy.model import ApprovalDemand, Claims, Context, Policy, Rule
from pykexec.policy.outside import needs_persons
from pykexec.policy.table import Table

COUNT_MAX = 4
_EXPIRES_MIN_S = 30
_MENTIONED = re.compile(r"\bapproval\b")


def parse_approval(root: Table) -> ApprovalDemand | None:
    """The table; None where there is none. PolicyError for what nobody could fulfil."""
    if (table := root.table("approval")) is None:
        return None
    demand = parse_persons(table, ApprovalDemand(), 1)
    table.end()
    return demand


def parse_persons(table: Table, least: ApprovalDemand, count_min: int) -> ApprovalDemand:
    """The keys that say who has to approve; least is what counts where one is missing."""
    demand = ApprovalDemand(
        count=table.number("count") if table.has("count") else least.count,
        groups=table.texts("groups") or least.groups,
        distinct=table.flag("distinct"),
        reason=table.flag("reason") or least.reason,
        requester=table.flag("requester"),
        expires_s=table.number("expires_s") if table.has("expires_s") else least.expires_s,
        max_age_s=table.number("max_age_s"),
        acr=table.texts("acr"),
        outside_only=table.flag("outside_only"),
    )
    if not count_min <= demand.count <= COUNT_MAX:
        raise table.fault("count", f"must be from {count_min} to {COUNT_MAX}")
    if not _EXPIRES_MIN_S <= demand.expires_s <= WAIT_MAX_S:
        raise table.fault("expires_s", f"must be from {_EXPIRES_MIN_S} to {WAIT_MAX_S}")
    if demand.distinct and len(set(demand.groups)) < demand.count:
        raise table.fault("distinct", "needs as many groups as persons: each is of another one")
    return demand


def rules_for(policy: Policy, context: Context) -> tuple[Rule, ...]:
    """The rules that have a value: those about approval have none before somebody approves."""
    asks_persons = policy.approval is not None or policy.break_glass is not None
    if context.approval is not None or not asks_persons:
        return policy.rules
    return tuple(rule for rule in policy.rules if not _MENTIONED.search(rule.expression))


def group_fault(demand: ApprovalDemand, groups: Sequence[str]) -> str:
    """Why somebody of these groups may not approve; "" if they may."""
    if not demand.groups or set(groups) & set(demand.groups):
        return ""
    return f"you are in none of the groups that may approve: {either(demand.groups)}"


def enough(demand: ApprovalDemand, approvers: Sequence[Sequence[str]]) -> bool:
    """Whether these persons, each with their groups, are as many as are demanded."""
    if not demand.distinct:
        return len(approvers) >= demand.count
    return _nr_distinct([set(groups) & set(demand.groups) for groups in approvers]) >= demand.count


def _nr_distinct(choices: Sequence[set[str]]) -> int:
    """To how many persons a group of their own can be given: few enough to try everything."""
    if not choices:
        return 0
    first, rest = choices[0], choices[1:]
    without = _nr_distinct(rest)
    taken = (1 + _nr_distinct([other - {group} for other in rest]) for group in first)
    return max([without, *taken])


def _demands(policy: Policy) -> Iterator[str]:
    if (demand := policy.approval) is None:
        return
    yield from persons_in_words(demand)


def persons_in_words(demand: ApprovalDemand) -> Iterator[str]:
    """Who has to approve, and how."""
    persons = "a person approves" if demand.count == 1 else f"{demand.count} persons approve"
    only = ", but only where the surroundings ask for it" if demand.outside_only else ""
    yield f"{persons} within {demand.expires_s} s{only}"
    if demand.groups:
        each = ", each for another one" if demand.distinct else ""
        yield f"who may: {either(demand.groups)}{each}"
    if demand.requester:
        yield "somebody else asks first"
    if demand.reason:
        yield "each says why"
    if demand.max_age_s:
        yield f"their login is not older than {demand.max_age_s} s"
    if demand.acr:
        yield f"and is one by {either(demand.acr)}"


def _found(policy: Policy, claims: Claims) -> Iterator[str]:
    return iter(())


def _check(policy: Policy, claims: Claims, context: Context) -> Iterator[Finding]:
    if needs_persons(policy, context) is not None and context.approval is None:
        text = f"not asked for yet: {'; '.join(_demands(policy))}"
        yield Finding("policy.approval", text, refuses=False)


APPROVAL = Clause("approval", _demands, _found, _check)
