# SPDX-License-Identifier: Apache-2.0
"""Rules in CEL: what they see, that only true is true, and that none takes the server with it."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import pytest

from pykexec.policy import Claims, PolicyError, appraise, parse_policy
from tests.unit.policy.samples import CLAIMS, CONTEXT, NOON, policy

MANY = "evidence.many.all({}, {})"
ENDLESS = MANY.format("a", MANY.format("b", MANY.format("c", MANY.format("d", "true"))))
MUCH = "[evidence.text]" + ".map(x, x + x + x + x + x + x + x + x)" * 12 + ".size() == 1"
LONG: Claims = {**CLAIMS, "many": list(range(2000)), "text": "x" * 1000}


def rules(*expressions: str) -> dict[str, object]:
    return {
        "version": 1,
        "name": "rules",
        "allow_any_image": True,
        "rules": [{"name": f"r{n}", "expression": text} for n, text in enumerate(expressions)],
    }


def answers(*expressions: str, claims: Claims = CLAIMS) -> list[str]:
    return [finding.text for finding in appraise(claims, policy(rules(*expressions)), CONTEXT)]


@pytest.mark.parametrize(
    "expression",
    [
        "evidence.pcrs['0'].endsWith('01') && evidence.bank == 'sha256'",
        "evidence.tpm.reset_count >= 3 && !evidence.released",
        "evidence.tpm.firmware_version > 2814749767106560",
        "evidence.secure_boot.variables.dbx.hashes.exists(h, h.startsWith('d3'))",
        "evidence.firmware.version.matches('^20[0-9]{2}[.]')",
        "has(evidence.payload.path) && !has(evidence.payload.signer)",
        "context.time >= timestamp('2026-11-22T12:00:00Z')",
        "context.time < timestamp('2026-11-22T12:00:01Z')",
        "context.time.getHours() == 12 && context.time.getDayOfWeek() == 0",
        "context.address == '10.1.2.3' && context.machine == 'db-7'",
        "'rack-4' in context.tags && context.labels.site == 'Bonn'",
        "context.networks == []",
    ],
)
def test_a_rule_sees_evidence_and_context(expression: str) -> None:
    assert answers(expression) == []


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("false", ""),
        ("evidence.released", ""),
        ("1", "gives int, neither true nor false"),
        ("'true'", "gives str, neither true nor false"),
        ("null", "gives NoneType, neither true nor false"),
        ("[true]", "gives list, neither true nor false"),
        ("evidence.nope == ''", "KeyError"),
        ("!evidence.nope", "KeyError"),
        ("evidnce.released == false", "RuntimeError: Undefined variable"),
        ("evidence.tpm.reset_count == '3'", ""),
        ("1 / 0 == 1", "ZeroDivisionError"),
        ("evidence.bank.matches('(')", "RuntimeError"),
        ("evidence.bank > 5", "TypeError"),
        ("system('id') == ''", "RuntimeError: Undefined variable or function"),
    ],
)
def test_whatever_is_not_true_refuses(expression: str, fault: str) -> None:
    (text,) = answers(expression)
    assert text.startswith(f"not true: {expression}")
    assert fault in text


@pytest.mark.parametrize(
    "expression",
    ["", "true &&", "a b", "(" * 2000 + "true" + ")" * 2000, "'\\ud800' == ''", "true\x00"],
)
def test_what_is_no_expression_is_no_policy(expression: str) -> None:
    with pytest.raises(PolicyError, match=r"^p\.toml: rules\[0\]\.expression: "):
        policy(rules(expression))


def test_a_long_expression_is_no_policy() -> None:
    with pytest.raises(PolicyError, match="4097 characters, at most 4096"):
        policy(rules("'" + "x" * 4095 + "'"))


@pytest.mark.parametrize("expression", [ENDLESS, MUCH])
def test_an_expression_without_bounds_is_refused_and_harms_nobody(expression: str) -> None:
    start = time.monotonic()
    found = answers("true", expression, "1 == 1", claims=LONG)
    assert [text.rpartition("(")[2] for text in found] == [
        "takes too much time or memory to evaluate)",
        "not evaluated: one before it takes too much time or memory)",
    ]
    assert answers("true") == []
    assert time.monotonic() - start < 15


def test_a_pattern_takes_no_exponential_time() -> None:
    claims = {**CLAIMS, "text": "a" * 5000 + "b"}
    start = time.process_time()
    assert len(answers("evidence.text.matches('^(a+)+$')", claims=claims)) == 1
    assert time.process_time() - start < 1


def test_a_version_pattern_takes_no_exponential_time() -> None:
    document = {**rules("true"), "firmware": {"versions": ["*a" * 60 + "*c"]}}
    claims = {**CLAIMS, "firmware": {"version": "a" * 2000 + "b"}}
    start = time.process_time()
    assert len(appraise(claims, policy(document), CONTEXT)) == 1
    assert time.process_time() - start < 1


def test_evidence_of_any_size_is_bounded_where_rules_look() -> None:
    (text,) = answers("true", claims={**CLAIMS, "many": ["x" * 1000] * 1100})
    assert "bytes of evidence" in text


@pytest.mark.parametrize("number", [2**63, 2**64 - 1, 2**70, -(2**70)])
def test_a_number_that_cel_does_not_have_refuses_at_most(number: int) -> None:
    claims = {**CLAIMS, "tpm": {"firmware_version": number}}
    (text,) = answers("evidence.tpm.firmware_version == 1", claims=claims)
    assert "time or memory" not in text
    assert answers("true") == []


def test_rules_see_nothing_of_the_server() -> None:
    from pykexec.policy import rules

    assert answers("true") == []
    process = rules._workers.queue[-1]._process
    assert process is not None
    with open(f"/proc/{process.pid}/environ", "rb") as file:
        assert file.read() == b""
    opened = {os.readlink(f"/proc/{process.pid}/fd/{n}") for n in (0, 1, 2)}
    assert len(os.listdir(f"/proc/{process.pid}/fd")) == 3
    assert {name.partition(":")[0] for name in opened} == {"pipe", "/dev/null"}


def test_a_child_after_fork_has_a_process_of_its_own() -> None:
    assert answers("true") == []
    child = os.fork()
    if not child:
        os._exit(0 if answers("1 == 1", "false") and not answers("true") else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert answers("2 == 2") == []


def test_time_is_the_same_in_every_zone() -> None:
    from datetime import timedelta, timezone

    tokyo = replace(CONTEXT, time=NOON.astimezone(timezone(timedelta(hours=9))))
    parsed = policy(rules("context.time.getHours() == 12"))
    assert appraise(CLAIMS, parsed, tokyo) == ()


def test_a_policy_is_read_twice_to_the_same() -> None:
    data = b'version = 1\nname = "p"\nallow_any_image = true\n'
    assert parse_policy(data, "a") == parse_policy(data, "a")
