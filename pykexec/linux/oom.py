# SPDX-License-Identifier: Apache-2.0
"""Who is not to be killed when Linux runs out of memory (proc_pid_oom_score_adj(5))."""

from __future__ import annotations

from contextlib import suppress

ADJUSTMENT = "/proc/self/oom_score_adj"
_NEVER, _AS_OTHERS = -1000, 0


def spare_this_process(path: str = ADJUSTMENT) -> None:
    """This process and those that it forks are left alone: every disk would go with them."""
    _set(path, _NEVER)


def spare_no_longer(path: str = ADJUSTMENT) -> None:
    """For a process that was forked from one that is spared, and may be killed like any other."""
    _set(path, _AS_OTHERS)


def _set(path: str, value: int) -> None:
    with (
        suppress(OSError),
        open(path, "w", encoding="ascii") as file,
    ):  # Without privilege: as it is.
        file.write(str(value))
