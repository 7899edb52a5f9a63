# SPDX-License-Identifier: Apache-2.0
"""What waits for persons, for operators to see: which machines, who may approve, how long yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pykexec.policy.approval import persons_in_words
from pykexec.server.approving import Desk
from pykexec.server.errors import NotFound
from pykexec.server.persons import Case, look_up
from pykexec.server.store.store import Store


@dataclass(frozen=True, slots=True)
class WaitingBoot:
    """left_s is how long it waits yet; who says in words who has to approve it."""

    case: Case
    left_s: int
    who: tuple[str, ...]


def waiting_boots(store: Store, desk: Desk, now: datetime, limit: int) -> tuple[WaitingBoot, ...]:
    """Those that end first; one whose policy or machine is another by now waits in vain."""
    found = []
    for reference in desk.approvals.unanswered(now, limit):
        try:
            case = look_up(store, desk, reference, now)
        except NotFound:
            continue
        left_s = int((case.found.expires - now).total_seconds())
        found.append(WaitingBoot(case, left_s, tuple(persons_in_words(case.demand))))
    return tuple(found)
