# SPDX-License-Identifier: Apache-2.0
"""Bridges: processes that turn the firmware's devices into Linux' own."""

from __future__ import annotations

from dataclasses import dataclass

SOCKET = "/run/pykexec/bridges.socket"
"""Where the supervisor listens, while there is one."""
UP, STARTING, FAILED = "up", "starting", "failed"
"""What a bridge is doing."""
NATIVE = "native"
"""What records have for "by" where the kernel's own driver serves a device, and no bridge."""


@dataclass(frozen=True, slots=True)
class Bridge:
    """A device of the firmware that is, or is to be, Linux' too; name is the same at each boot."""

    kind: str
    handle: int
    name: str
