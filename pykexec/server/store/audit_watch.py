# SPDX-License-Identifier: Apache-2.0
"""Whether the audit chain is whole, as of a few minutes ago: looking takes a while."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pykexec.server.store.records import AuditCheck

if TYPE_CHECKING:
    from pykexec.server.store.store import Store

EVERY = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found, and when."""

    time: datetime
    result: AuditCheck


class AuditWatch:
    """Remembers the last look; one thread looks at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: Checked | None = None

    def check(self, store: Store, force: bool = False) -> Checked:
        """The last look, or a new one when it is old or force wants it."""
        last = self._last
        # Who finds another looking is told what is known; the first look is worth waiting for.
        if not self._lock.acquire(blocking=last is None):
            assert last is not None
            return last
        try:
            now = datetime.now(UTC)
            if force or self._last is None or now - self._last.time > EVERY:
                self._last = Checked(now, store.verify_audit())
            return self._last
        finally:
            self._lock.release()
