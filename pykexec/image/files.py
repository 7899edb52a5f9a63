# SPDX-License-Identifier: Apache-2.0
"""Reading the builder's inputs and writing its one output, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from pykexec.errors import UsageError
from pykexec.whole import replace


def read(path: Path) -> bytes:
    """The contents of path; UsageError, which names it, if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error


def write_atomically(path: Path, data: bytes) -> None:
    """Make path hold data, or leave it as it was and raise UsageError; nobody ever sees half of
    it. A link stays one, and a file keeps who may read it.
    """
    try:
        replace(path.resolve(), data)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error


def check_writable(path: Path) -> None:
    """UsageError if write_atomically() is bound to fail, before the work is done."""
    target = path.resolve()
    if target.exists() and not target.is_file():
        raise UsageError(f"{path}: is {'a directory' if target.is_dir() else 'no file'}")
    if not target.parent.is_dir():
        raise UsageError(f"{target.parent}: no such directory")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise UsageError(f"{target.parent}: cannot be written")
