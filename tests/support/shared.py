# SPDX-License-Identifier: Apache-2.0
"""What takes long to make and several of xdist's workers want: made once a run."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A directory of this name that make() has filled: who comes first does so, others wait."""
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    path = root / name
    with open(root / f"{name}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            partial = factory.mktemp(name)
            make(partial)
            partial.rename(path)
    return path
