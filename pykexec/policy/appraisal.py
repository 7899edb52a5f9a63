# SPDX-License-Identifier: Apache-2.0
"""Whether claims are what a policy demands, and the same in words."""

from __future__ import annotations

from collections.abc import Iterator

from pykexec.attest.verdict import Finding
from pykexec.policy import approval, break_glass, firmware, image, outdated, outside, use
from pykexec.policy.model import Claims, Context, Policy

CLAUSES = (
    image.IMAGE,
    image.BOOT,
    image.CONFIG,
    firmware.SECURE_BOOT,
    firmware.FIRMWARE,
    firmware.PCRS,
    outdated.OUTDATED,
    use.PAYLOAD,
    use.RELEASE,
    outside.WINDOWS,
    outside.ORIGIN,
    outside.RATES,
    outside.QUARANTINE,
    approval.APPROVAL,
    break_glass.BREAK_GLASS,
    use.RULES,
)


def appraise(claims: Claims, policy: Policy, context: Context) -> tuple[Finding, ...]:
    """Everything about the claims that the policy does not allow.

    claims are those of evidence that verify() found genuine, or of which its findings are kept.
    """
    return tuple(finding for clause in CLAUSES for finding in clause.check(policy, claims, context))


def explain(policy: Policy, claims: Claims | None = None, context: Context | None = None) -> str:
    """The policy in words, beside each demand what claims have, with a context if that suffices."""
    return "\n".join(_lines(policy, claims, context))


def _word(finding: Finding) -> str:
    return "refused " if finding.refuses else "note    "


def _lines(policy: Policy, claims: Claims | None, context: Context | None) -> Iterator[str]:
    yield f"policy {policy.name!r}{': ' if policy.description else ''}{policy.description}"
    left_open = []
    for clause in CLAUSES:
        demands = list(clause.demands(policy))
        if not demands:
            left_open.append(clause.title)
            continue
        yield f"{clause.title}:"
        yield from (f"  demands  {demand}" for demand in demands)
        if claims is None:
            continue
        yield from (f"  evidence {words}" for words in clause.found(policy, claims))
        if context is not None:
            findings = list(clause.check(policy, claims, context))
            yield from (f"  {_word(finding)} {finding}" for finding in findings)
            if not any(finding.refuses for finding in findings):
                yield "  fulfilled"
    for update in policy.updates:
        yield f"allowed in advance: {update.name!r}"
    if left_open:
        yield f"demands nothing of: {', '.join(left_open)}"
