# SPDX-License-Identifier: Apache-2.0
"""What PID 1 says of the window, by what the kernel makes of its memory."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from pykexec.abi_devices import WindowUse
from pykexec.bridge import window
from pykexec.memory import Range

WINDOW = Range(0x3C000000, 0x3D000000)
BEFORE_LINUX_7 = "3b000000-3bffffff : System RAM\n3c000000-3cffffff : Soft Reserved\n"
SINCE_LINUX_7 = "3b000000-3bffffff : System RAM\n3d000000-4fffffff : System RAM\n"
ITS_MEMORY = "00001000-4fffffff : System RAM\n"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[WindowUse]:
    """What the stub, which has a window, is told of it."""
    heard: list[WindowUse] = []
    handoff = SimpleNamespace(window=WINDOW)
    monkeypatch.setattr(window, "Mailbox", nullcontext)
    monkeypatch.setattr(window, "read_handoff", lambda mailbox: handoff)
    monkeypatch.setattr(window, "_tell", lambda mailbox, use: heard.append(use))
    return heard


@pytest.mark.parametrize("iomem", [BEFORE_LINUX_7, SINCE_LINUX_7])
def test_a_window_that_is_nobodys_memory_is_used(iomem: str, told: list[WindowUse]) -> None:
    assert window.settle(iomem) == ""
    assert told == []


def test_a_window_that_is_the_kernels_memory_is_denied(told: list[WindowUse]) -> None:
    assert "ordinary memory" in window.settle(ITS_MEMORY)
    assert told == [WindowUse.IS_MEMORY]
