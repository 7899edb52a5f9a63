# SPDX-License-Identifier: Apache-2.0
"""One rule for whoever must not end: a step that fails is a line, and what comes after it is done.

The supervisor of the bridges, the agent and PID 1 are made of such steps. What else follows from a
failure, a pause or another course, stands where the step is.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from pykexec.errors import PykexecError
from pykexec.log import describe

T = TypeVar("T")
D = TypeVar("D")


def attempt(
    what: str, step: Callable[[], T], otherwise: D, say: Callable[[str], object] | None = None
) -> T | D:
    """What step comes to; otherwise, once a line has been said, where it fails in any way."""
    try:
        return step()
    except Exception as error:
        (say or on_stderr)(f"{what}: {words(error)}")
        return otherwise


def words(error: BaseException) -> str:
    """The error in a line; with its type where it is none that anybody expects."""
    if isinstance(error, PykexecError | OSError):
        return describe(error)
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def on_stderr(line: str) -> None:
    """Say it on standard error, which may be a console that is gone."""
    try:
        os.write(2, f"{line}\n".encode(errors="backslashreplace"))
    except OSError:
        pass
