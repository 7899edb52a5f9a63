# SPDX-License-Identifier: Apache-2.0
"""Clauses about what comes next and when: payload, one release a boot, rules."""

from __future__ import annotations

from collections.abc import Iterator

from pykexec.attest.protocol import UKI_SECTIONS
from pykexec.attest.verdict import Finding
from pykexec.policy.approval import rules_for
from pykexec.policy.clause import Clause, at, either, matches, shown, text_at
from pykexec.policy.firmware import check_contents, is_on, variable_of
from pykexec.policy.model import Claims, Context, PayloadDemand, Policy
from pykexec.policy.rules import evaluate


def _payload_demands(policy: Policy) -> Iterator[str]:
    demand = policy.payload
    if demand.required:
        yield "the payload is stated"
    if demand.sha256:
        yield f"its file has the SHA-256 {either(demand.sha256)}"
    if demand.authenticode_sha256:
        or_ = "or " if demand.sha256 else ""
        yield f"{or_}its Authenticode SHA-256 is {either(demand.authenticode_sha256)}"
    if demand.paths:
        yield f"its path is {either(demand.paths)}"
    if demand.signers:
        yield f"the firmware starts only what {either(demand.signers)} has signed"
    if demand.self_contained:
        yield "it is a unified kernel image with initrd and command line, under Secure Boot"


def _payload_found(policy: Policy, claims: Claims) -> Iterator[str]:
    payload = at(claims, "payload")
    if not isinstance(payload, dict) or not payload:
        yield "not stated"
        return
    for key, value in payload.items():
        yield f"{shown(key)} {shown(value)}"


def _check_payload(policy: Policy, claims: Claims, context: Context) -> Iterator[Finding]:
    demand = policy.payload
    if demand.required and not at(claims, "payload"):
        yield Finding("policy.payload", "the payload is not stated")
    if demand.sha256 or demand.authenticode_sha256:
        file = text_at(claims, "payload", "sha256")
        authenticode = text_at(claims, "payload", "authenticode_sha256")
        if file not in demand.sha256 and authenticode not in demand.authenticode_sha256:
            allowed = either((*demand.sha256, *demand.authenticode_sha256))
            yield Finding(
                "policy.payload",
                f"the payload {shown(text_at(claims, 'payload', 'path'))} is sha256 "
                f"{shown(file) or 'not stated'}, Authenticode "
                f"{shown(authenticode) or 'not stated'}, not {allowed}",
            )
    path = text_at(claims, "payload", "path")
    if demand.paths and not matches(path, demand.paths):
        allowed = either(demand.paths)
        yield Finding(
            "policy.payload.path", f"the payload is {shown(path) or 'not stated'}, not {allowed}"
        )
    if demand.signers:
        yield from _check_signers(demand, claims)
    if demand.self_contained:
        yield from check_self_contained(claims)


def _check_signers(demand: PayloadDemand, claims: Claims) -> Iterator[Finding]:
    code = "policy.payload.signer"
    if not is_on(claims):
        yield Finding(code, "Secure Boot is off: the firmware starts what nobody has signed")
    if (db := variable_of(claims, "db")) is None:
        yield Finding(code, "the log does not have db: nobody knows whom the firmware trusts")
    else:
        yield from check_contents(code, "db", db, demand.signers, ())


def check_self_contained(claims: Claims) -> Iterator[Finding]:
    """Why the payload is no unified kernel image whose kernel, initrd and command line are known.

    Under Secure Boot systemd's stub takes its command line from .cmdline alone, and from beside
    itself only what is signed (systemd-stub(7)).
    """
    code = "policy.payload.self-contained"
    has = text_at(claims, "payload", "sections").split()
    if missing := [name for name in UKI_SECTIONS if name not in has]:
        path = shown(text_at(claims, "payload", "path"))
        yield Finding(
            code,
            f"the payload {path} is not self-contained: it has no {', '.join(missing)}, "
            "so what it reads from disk or network is in no digest",
        )
    if not is_on(claims):
        yield Finding(code, "Secure Boot is off: a payload may take unsigned files beside itself")


def _release_demands(policy: Policy) -> Iterator[str]:
    yield "no secret was released since the machine's start (PCR 15 is zero)"


def _release_found(policy: Policy, claims: Claims) -> Iterator[str]:
    yield "none was" if at(claims, "released") is False else "PCR 15 is not zero"


def _check_release(policy: Policy, claims: Claims, context: Context) -> Iterator[Finding]:
    if at(claims, "released") is not False:
        yield Finding(
            "policy.released",
            "PCR 15 is not zero: in this boot a secret was released or somebody had a shell; "
            "restart the machine",
        )


def _rule_demands(policy: Policy) -> Iterator[str]:
    for name, networks in policy.networks.items():
        yield f"network {shown(name)} is {either(map(str, networks))}"
    for rule in policy.rules:
        text = f" ({shown(rule.message)})" if rule.message else ""
        yield f"{rule.name}{text}: {rule.expression}"


def _rule_found(policy: Policy, claims: Claims) -> Iterator[str]:
    return iter(())


def _check_rules(policy: Policy, claims: Claims, context: Context) -> Iterator[Finding]:
    rules = rules_for(policy, context)
    for rule, answer in zip(rules, evaluate(policy, rules, claims, context), strict=True):
        if answer.value is not True:
            text = rule.message or f"not true: {rule.expression}"
            fault = f" ({answer.fault})" if answer.fault else ""
            yield Finding(f"policy.rule.{rule.name}", f"{text}{shown(fault)}")


PAYLOAD = Clause("payload", _payload_demands, _payload_found, _check_payload)
RELEASE = Clause("one release a boot", _release_demands, _release_found, _check_release)
RULES = Clause("rules", _rule_demands, _rule_found, _check_rules)
