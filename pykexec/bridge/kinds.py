# SPDX-License-Identifier: Apache-2.0
"""Which module bridges which kind of device; imported only when such bridges are wanted."""

from __future__ import annotations

from types import ModuleType

from pykexec.bridge import Bridge
from pykexec.errors import UsageError
from pykexec.firmware.mailbox import Mailbox


def discover(kind: str, mailbox: Mailbox) -> list[Bridge]:
    """The devices of that kind that the firmware has now."""
    found: list[Bridge] = _module(kind).discover(mailbox)
    return found


def serve(bridge: Bridge, stop_fd: int) -> None:
    """Be the bridge until stop_fd becomes readable or the device is gone."""
    _module(bridge.kind).serve(bridge, stop_fd)


def release(bridge: Bridge) -> None:
    """Take away what a process that was killed has left: a disk's requests would wait for ever."""
    if bridge.kind == "block":
        from pykexec.bridge import block

        block.release(bridge)


def _module(kind: str) -> ModuleType:
    if kind == "block":
        from pykexec.bridge import block

        return block
    if kind == "net":
        from pykexec.bridge import net

        return net
    if kind == "tpm":
        from pykexec.bridge import tpm

        return tpm
    raise UsageError(f"no bridges of kind {kind!r}")
