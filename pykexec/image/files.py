# SPDX-License-Identifier: Apache-2.0
"""Reading the builder's inputs and writing its one output, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from pykexec.errors import UsageError


def read(path: Path) -> bytes:
    """The contents of path; UsageError, which names it, if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error


def write_atomically(path: Path, data: bytes) -> None:
    """Make path hold data, or leave it as it was and raise UsageError; nobody ever sees half of
    it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error


def check_writable(path: Path) -> None:
    """UsageError if write_atomically() is bound to fail, before the work is done."""
    if path.is_dir():
        raise UsageError(f"{path}: is a directory")
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: no such directory")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise UsageError(f"{path.parent}: cannot be written")
