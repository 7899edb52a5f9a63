# SPDX-License-Identifier: Apache-2.0
"""What tests expect of simulated machines' evidence, and what verify() finds instead."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pykexec.attest.protocol import NONCE_SIZE, Evidence
from pykexec.verify.verify import Expected, verify
from tests.support import attest_ca

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NONCE = bytes(NONCE_SIZE)
EXPECTED = Expected(now=NOW, nonce=NONCE, ek_roots=(attest_ca.root_der(),))


def codes(evidence: Evidence, **changes: Any) -> list[str]:
    """The codes of what refuses evidence, in the order in which it was found."""
    verified = verify(evidence, replace(EXPECTED, **changes))
    return [finding.code for finding in verified.verdict.reasons]


def claims_of(evidence: Evidence, **changes: Any) -> dict[str, Any]:
    """The claims of evidence that is accepted."""
    verified = verify(evidence, replace(EXPECTED, **changes))
    assert verified.verdict.accepted, verified.verdict.findings
    return verified.claims
