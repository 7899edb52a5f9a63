# SPDX-License-Identifier: Apache-2.0
"""The demo demands of its machine what the threat model says to demand."""

from __future__ import annotations

from pykexec.demo.attest_server import policy_for
from pykexec.policy import parse_policy
from tests.unit.image.test_reference import IMAGE

DIGEST = "ab" * 32


def test_the_demos_payload_has_to_be_self_contained() -> None:
    policy = parse_policy(policy_for(IMAGE, DIGEST).encode(), "demo")
    assert policy.secure_boot.required
    assert policy.payload.self_contained
    assert policy.payload.authenticode_sha256 == (DIGEST,)
