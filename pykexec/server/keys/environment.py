# SPDX-License-Identifier: Apache-2.0
"""Secrets that came by the environment, and are not to stay there."""

from __future__ import annotations

import os
from pathlib import Path


def take_from_environment(name: str) -> str | None:
    """The variable, which is gone then: child processes do not inherit it, and /proc/PID/environ,
    which shows what the process was started with, has zeros in its place.
    """
    value = os.environ.pop(name, None)
    if value is not None:
        _wipe_environment(os.fsencode(f"{name}={value}"))
    return value


def _wipe_environment(entry: bytes) -> None:
    """Overwrite the memory that the kernel gave the process its environment in (proc(5))."""
    with open("/proc/self/environ", "rb") as file:
        given = file.read()
    offset = 0 if given.startswith(entry + b"\0") else given.find(b"\0" + entry + b"\0") + 1
    if not offset and not given.startswith(entry + b"\0"):
        return  # Set later, by the program itself.
    # Fields after the command's name, which may hold anything: env_start is the fiftieth of all.
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    with open("/proc/self/mem", "r+b", buffering=0) as memory:
        memory.seek(int(fields[50 - 3]) + offset)
        memory.write(bytes(len(entry)))
