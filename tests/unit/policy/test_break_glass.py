# SPDX-License-Identifier: Apache-2.0
"""[break_glass]: two persons at least, of named groups, who say why."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pykexec.policy import Context, Policy, PolicyError, appraise, explain, parse_policy
from pykexec.policy.approval import rules_for
from pykexec.policy.model import ApprovalDemand

ANY = 'version = 1\nname = "p"\nallow_any_image = true\n'
LEAST = '[break_glass]\nsecret = "root"\ngroups = ["a", "b"]\n'
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def policy(text: str) -> Policy:
    return parse_policy((ANY + text).encode(), "p.toml")


def test_without_the_table_there_is_no_break_glass() -> None:
    assert policy("").break_glass is None


def test_the_least_are_two_who_say_why_within_half_an_hour() -> None:
    demand = policy(LEAST).break_glass
    assert demand and demand.secret == "root"
    assert demand.persons == ApprovalDemand(2, ("a", "b"), reason=True, expires_s=1800)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[break_glass]\ngroups = ["a"]', "break_glass.secret: missing"),
        ('[break_glass]\nsecret = "root"', "break_glass.groups: missing"),
        (LEAST + "count = 1", "break_glass.count: must be from 2 to 4"),
        (LEAST + "count = 5", "break_glass.count: must be from 2 to 4"),
        (LEAST + "expires_s = 5", "break_glass.expires_s: must be from 30"),
        (LEAST + "count = 3\ndistinct = true", "needs as many groups as persons"),
        (LEAST + "persons = 2", "break_glass.persons: unknown key"),
    ],
)
def test_what_nobody_could_fulfil_or_one_alone_is_refused(text: str, words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        policy(text)


def test_reason_is_demanded_whatever_is_said() -> None:
    demand = policy(LEAST + "reason = false\n").break_glass
    assert demand and demand.persons.reason


def test_a_boot_with_a_network_is_asked_nothing_more() -> None:
    plain, glass = policy(""), policy(LEAST)
    context = Context(NOW)
    assert appraise({}, plain, context) == appraise({}, glass, context)


def test_rules_about_persons_wait_for_persons() -> None:
    rule = '[[rules]]\nname = "who"\nexpression = "approval.subject == \'anna\'"\n'
    assert rules_for(policy(LEAST + rule), Context(NOW)) == ()


def test_it_is_told_in_words() -> None:
    text = explain(policy(LEAST))
    for words in ("before it is given root alone", "2 persons approve", "a or b", "each says why"):
        assert words in text
