# SPDX-License-Identifier: Apache-2.0
"""[break_glass] of a policy: who may help a machine that has no network; read, told in words.

It demands nothing of a boot that attests: it allows something, and has a reason each.
"""

from __future__ import annotations

from collections.abc import Iterator

from pykexec.attest.verdict import Finding
from pykexec.policy.approval import parse_persons, persons_in_words
from pykexec.policy.clause import Clause, shown
from pykexec.policy.model import ApprovalDemand, BreakGlassDemand, Claims, Context, Policy
from pykexec.policy.table import Table

COUNT_MIN = 2
_SECRET_MAX = 256
_LEAST = ApprovalDemand(count=COUNT_MIN, reason=True, expires_s=1800)


def parse_break_glass(root: Table) -> BreakGlassDemand | None:
    """The table; None where there is none. PolicyError for what nobody could fulfil."""
    if (table := root.table("break_glass")) is None:
        return None
    secret = table.text("secret", _SECRET_MAX)
    if not secret:
        raise table.fault("secret", "missing: the name of what is given")
    persons = parse_persons(table, _LEAST, COUNT_MIN)
    table.end()
    if not persons.groups:
        raise table.fault("groups", "missing: whom to ask when a machine has no network")
    return BreakGlassDemand(secret, persons)


def _demands(policy: Policy) -> Iterator[str]:
    if (demand := policy.break_glass) is None:
        return
    yield f"of a machine without a network, before it is given {shown(demand.secret)} alone:"
    yield from persons_in_words(demand.persons)


def _found(policy: Policy, claims: Claims) -> Iterator[str]:
    return iter(())


def _check(policy: Policy, claims: Claims, context: Context) -> Iterator[Finding]:
    return iter(())


BREAK_GLASS = Clause("break-glass", _demands, _found, _check)
