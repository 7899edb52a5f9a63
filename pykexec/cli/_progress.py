# SPDX-License-Identifier: Apache-2.0
"""How far long work is: a line now and then, on standard error."""

from __future__ import annotations

import sys
import time

EVERY_S = 2.0


class Progress:
    """Says a line, unless it is too soon after the one before."""

    def __init__(self) -> None:
        self._next = time.monotonic() + EVERY_S

    def __call__(self, line: str) -> None:
        """How far it is now."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + EVERY_S
            print(line, file=sys.stderr, flush=True)
