# SPDX-License-Identifier: Apache-2.0
"""Values that are asked for with every attestation and seldom change."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memo(Generic[K, V]):
    """At most size values, each for at most lasts_s seconds (None: for ever), for any thread."""

    def __init__(self, size: int, lasts_s: float | None) -> None:
        self._size = size
        self._lasts_s = lasts_s
        self._lock = threading.Lock()
        self._values: dict[K, tuple[float, V]] = {}

    def get(self, key: K) -> V | None:
        """What was put, unless it is too old."""
        with self._lock:
            known = self._values.get(key)
        if known is None:
            return None
        since, value = known
        fresh = self._lasts_s is None or time.monotonic() - since < self._lasts_s
        return value if fresh else None

    def put(self, key: K, value: V) -> V:
        """Remember it; the oldest is forgotten for it."""
        with self._lock:
            self._values.pop(key, None)
            if len(self._values) >= self._size:
                del self._values[next(iter(self._values))]
            self._values[key] = (time.monotonic(), value)
        return value

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._values.clear()
