# SPDX-License-Identifier: Apache-2.0
"""A policy's roll-out for the pages of policies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pykexec.server.store.records import PolicyVersion
from pykexec.server.store.rollout import OUTCOMES, Rollout
from pykexec.server.store.rollouts import Decided, Rollouts
from pykexec.server.web.page.page import Page

_SHOWN = 50


def states(page: Page, policies: Iterable[PolicyVersion]) -> dict[str, Rollout]:
    """By name; none for who sees some machines alone."""
    if page.scope:
        return {}
    rollouts = _of(page)
    return {policy.name: rollouts.find(policy.name) for policy in policies}


@dataclass(frozen=True, slots=True)
class Tried:
    """A roll-out, and what its draft said: how many by outcome, the first of those that it would
    not simply accept, and how many more there are.
    """

    rollout: Rollout
    counts: Mapping[str, int]
    others: tuple[Decided, ...]
    more: int


def tried(page: Page, name: str) -> Tried | None:
    """What rollout.html shows of one; nothing to who sees some machines alone."""
    if page.scope:
        return None
    rollouts = _of(page)
    found = rollouts.find(name)
    decided = rollouts.decided(name, found.draft) if found.draft else ()
    counts = {outcome: sum(one.outcome == outcome for one in decided) for outcome in OUTCOMES}
    others = tuple(one for one in decided if one.outcome != "accepted")
    return Tried(found, counts, others[:_SHOWN], max(0, len(others) - _SHOWN))


def _of(page: Page) -> Rollouts:
    return Rollouts(page.web.store.database, page.web.store.keys)
