# SPDX-License-Identifier: Apache-2.0
"""Findings as the database has them."""

from __future__ import annotations

from collections.abc import Iterable

from pykexec.attest.verdict import Finding


def to_json(found: Iterable[Finding]) -> list[list[object]]:
    """Lists of code, text and whether it refuses."""
    return [[finding.code, finding.text, finding.refuses] for finding in found]


def from_json(found: Iterable[tuple[str, str, bool]]) -> tuple[Finding, ...]:
    """The opposite."""
    return tuple(Finding(*finding) for finding in found)
