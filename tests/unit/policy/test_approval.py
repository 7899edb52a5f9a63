# SPDX-License-Identifier: Apache-2.0
"""[approval]: what may be demanded of persons, and when that is fulfilled."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pykexec.policy import Context, Policy, PolicyError, appraise, explain, parse_policy
from pykexec.policy.approval import enough, group_fault, rules_for
from pykexec.policy.model import Approval, ApprovalDemand

ANY = 'version = 1\nname = "p"\nallow_any_image = true\n'
RULES = """
[[rules]]
name = "who"
expression = "approval.subject == 'anna'"
[[rules]]
name = "where"
expression = "context.machine == 'web-1'"
"""
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def policy(text: str) -> Policy:
    return parse_policy((ANY + text).encode(), "p.toml")


def found(demanding: Policy, surroundings: Context) -> list[tuple[str, bool]]:
    """What is said of persons and rules, and whether it refuses."""
    codes = ("policy.approval", "policy.rule.")
    findings = appraise({}, demanding, surroundings)
    return [(found.code, found.refuses) for found in findings if found.code.startswith(codes)]


def context(subject: str = "") -> Context:
    anna = Approval(subject, (), "", (), NOW, 1) if subject else None
    return Context(NOW, machine="web-1", approval=anna)


def test_without_the_table_nobody_is_asked() -> None:
    assert policy("").approval is None


def test_an_empty_table_demands_one_person() -> None:
    assert policy("[approval]\n").approval == ApprovalDemand()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("count = 0", "count: must be from 1 to 4"),
        ("count = 5", "count: must be from 1 to 4"),
        ("expires_s = 5", "expires_s: must be from 30 to 3600"),
        ("expires_s = 3601", "expires_s: must be from 30 to 3600"),
        ("groups = []", "must not be empty"),
        ("distinct = true", "needs as many groups as persons"),
        ('count = 2\ndistinct = true\ngroups = ["a", "a"]', "needs as many groups"),
        ("persons = 2", "persons: unknown key"),
        ('reason = "yes"', "reason: must be true or false"),
    ],
)
def test_what_nobody_could_fulfil_is_refused(text: str, words: str) -> None:
    with pytest.raises(PolicyError, match=f"approval.*{words}"):
        policy(f"[approval]\n{text}\n")


@pytest.mark.parametrize(
    ("count", "approvers", "fulfilled"),
    [
        (1, [], False),
        (1, [("a",)], True),
        (2, [("a",), ("a",)], False),
        (2, [("a",), ("b",)], True),
        # Each of them could stand for either: there is a way.
        (2, [("a", "b"), ("a",)], True),
        (3, [("a", "b"), ("a", "b"), ("a", "b")], False),
        (3, [("a", "c"), ("a", "b"), ("b", "c")], True),
        (2, [("a",), ("x",)], False),
    ],
)
def test_distinct_persons_stand_for_groups_of_their_own(
    count: int, approvers: list[tuple[str, ...]], fulfilled: bool
) -> None:
    demand = ApprovalDemand(count, ("a", "b", "c"), distinct=True)
    assert enough(demand, approvers) == fulfilled


def test_otherwise_persons_are_counted() -> None:
    demand = ApprovalDemand(2, ("a",))
    assert not enough(demand, [("a",)])
    assert enough(demand, [("a",), ("a",)])


def test_a_group_lets_somebody_approve() -> None:
    assert group_fault(ApprovalDemand(), ()) == ""
    assert group_fault(ApprovalDemand(groups=("a", "b")), ("b", "c")) == ""
    assert "a or b" in group_fault(ApprovalDemand(groups=("a", "b")), ("c",))


def test_rules_about_persons_wait_for_one() -> None:
    demanding = policy("[approval]\n" + RULES)
    assert [rule.name for rule in rules_for(demanding, context())] == ["where"]
    assert found(demanding, context()) == [("policy.approval", False)]
    assert found(demanding, context("anna")) == []
    assert found(demanding, context("bob")) == [("policy.rule.who", True)]


def test_a_rule_about_persons_refuses_where_nobody_is_asked() -> None:
    assert found(policy(RULES), context()) == [("policy.rule.who", True)]


def test_a_policy_is_told_in_words() -> None:
    text = explain(
        policy(
            '[approval]\ncount = 2\ngroups = ["ops", "security"]\ndistinct = true\nreason = true\n'
            'requester = true\nmax_age_s = 300\nacr = ["gold"]\nexpires_s = 120\n'
        )
    )
    for words in (
        "2 persons approve within 120 s",
        "who may: ops or security, each for another one",
        "somebody else asks first",
        "each says why",
        "not older than 300 s",
        "is one by gold",
    ):
        assert words in text
