# SPDX-License-Identifier: Apache-2.0
"""Faults put into one step of a program that must go on whatever fails."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

import pytest

FAULTS: dict[str, Callable[[], Exception]] = {
    name: lambda number=number: OSError(number, os.strerror(number))  # type: ignore[misc]
    for name, number in vars(errno).items()
    if name in ("EPIPE", "ENOMEM", "ENOSPC", "EIO")
}
FAULTS |= {"RecursionError": RecursionError, "MemoryError": MemoryError}


class Faulty:
    """Stands for an object of which one function fails, the first times that it is called."""

    def __init__(self, real: object, name: str, fault: Callable[[], Exception], times: int) -> None:
        self._real, self._name, self._fault = real, name, fault
        self.left = times

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._real, name)
        return self._fail_or(value) if name == self._name else value

    def _fail_or(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **words: Any) -> Any:
            if self.left:
                self.left -= 1
                raise self._fault()
            return real(*args, **words)

        return call


def inject(
    patch: pytest.MonkeyPatch, owner: object, path: str, fault: str, times: int = 1
) -> Faulty:
    """Have "name", or "name.function", of owner fail; left of what comes back counts down to 0."""
    name, _, function = path.partition(".")
    real = getattr(owner, name)
    if function:
        faulty = Faulty(real, function, FAULTS[fault], times)
        patch.setattr(owner, name, faulty)
        return faulty
    faulty = Faulty(owner, name, FAULTS[fault], times)
    patch.setattr(owner, name, lambda *args, **words: faulty._fail_or(real)(*args, **words))
    return faulty
