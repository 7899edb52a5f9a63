# SPDX-License-Identifier: Apache-2.0
"""Collects what checks find, so that one look at the verdict tells everything."""

from __future__ import annotations

from pykexec.attest.verdict import Finding, Verdict


class Report:
    """Findings in the order in which they are made; later checks go on after earlier ones."""

    def __init__(self) -> None:
        self._findings: list[Finding] = []

    def refuse(self, code: str, text: str) -> None:
        """Something for which the evidence is refused."""
        self._findings.append(Finding(code, text))

    def note(self, code: str, text: str) -> None:
        """Something worth knowing that refuses nothing."""
        self._findings.append(Finding(code, text, refuses=False))

    def extend(self, findings: tuple[Finding, ...]) -> None:
        """Findings that were made elsewhere."""
        self._findings.extend(findings)

    @property
    def verdict(self) -> Verdict:
        """All of them."""
        return Verdict(tuple(self._findings))
