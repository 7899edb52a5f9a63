# SPDX-License-Identifier: Apache-2.0
"""Policies learnt from simulated machines, and what they say of other boots."""

from __future__ import annotations

from datetime import UTC, datetime

from pykexec.attest.verdict import Finding
from pykexec.policy import Context, parse_policy
from pykexec.policy.learn import LearnOptions, learn
from pykexec.policy.offline import check, genuine_claims
from tests.support.attest_machine import Boot, Machine

NOW = Context(datetime.now(UTC), "10.0.0.5")
BOOT = Boot()
PINNED = LearnOptions("pinned", pcrs=(0, 2, 4, 7))


def learnt(machine: Machine, options: LearnOptions = PINNED) -> bytes:
    """The policy that one boot teaches."""
    return learn(genuine_claims(machine.evidence(), "e"), options).encode()


def refusals(machine: Machine, text: bytes, **stated: object) -> list[Finding]:
    """What the policy has against a machine that states so much."""
    evidence = machine.evidence(**stated)  # type: ignore[arg-type]
    return list(check(evidence, parse_policy(text, "p"), NOW)[0].reasons)


def refused(machine: Machine, text: bytes, **stated: object) -> list[str]:
    """The codes of refusals()."""
    return [finding.code for finding in refusals(machine, text, **stated)]


def reference(machine: Machine, name: str) -> dict[str, object]:
    """Reference values of the image that a simulated machine boots."""
    claims = genuine_claims(machine.evidence(), "e")
    boot: dict[str, list[dict[str, object]]] = claims["boot"]  # type: ignore[assignment]
    authenticode = boot["applications"][-1]["authenticode"]
    image: dict[str, list[dict[str, str]]] = claims["image"]  # type: ignore[assignment]
    sections = {each["name"]: {"sha256": each["sha256"]} for each in image["sections"]}
    return {"name": name, "authenticode": authenticode, "sections": sections, "described": True}
