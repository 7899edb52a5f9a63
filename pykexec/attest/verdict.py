# SPDX-License-Identifier: Apache-2.0
"""What a verifier found: all of it, so that one look tells everything that is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact that counts against the evidence, or is only worth a note.

    code is for programs and never changes its meaning ("quote.nonce"): letters, digits, dots and
    dashes. text is for people. A finding with refuses=False does not stop anything.
    """

    code: str
    text: str
    refuses: bool = True

    def __str__(self) -> str:
        return f"{self.code}: {self.text}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """All findings, in the order in which they were made."""

    findings: tuple[Finding, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether nothing refuses."""
        return not any(finding.refuses for finding in self.findings)

    @property
    def reasons(self) -> tuple[Finding, ...]:
        """The findings that refuse."""
        return tuple(finding for finding in self.findings if finding.refuses)

    def and_also(self, findings: Iterable[Finding]) -> Verdict:
        """This verdict with further findings."""
        return Verdict((*self.findings, *findings))

    def shortened(self, count_max: int, size_max: int) -> Verdict:
        """This verdict, of hostile evidence too, as something of a bounded size: with at most
        count_max findings, those that refuse before others, of size_max characters each.
        """
        if len(self.findings) <= count_max and all(len(f.text) <= size_max for f in self.findings):
            return self
        kept = self.findings
        if len(kept) > count_max:
            notes = tuple(finding for finding in kept if not finding.refuses)
            kept = (*self.reasons, *notes)[: count_max - 1]
            rest = len(self.findings) - len(kept)
            more = Finding("findings.more", f"{rest} more findings", not self.accepted)
            kept = (*kept, more)
        return Verdict(tuple(replace(found, text=found.text[:size_max]) for found in kept))
