# SPDX-License-Identifier: Apache-2.0
"""An interrupt of Linux that fires between the worlds must not reach the firmware.

Each race is certain here: the stub holds its windows open for longer than a tick of Linux. The
product passes; the same windows in a stub without the protection show what it protects from.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pykexec.vm.ovmf import firmware
from tests.vm.boot import Boot
from tests.vm.guest import HELLO_PATH, Guest, machine_with
from tests.vm.images import image

# About 50 ms; Linux' tick comes every 4.
WINDOW = "PK_TEST_WINDOW_TSC=130000000ULL"
EXEC_BY_LEAVE = f"pykexec exec '{HELLO_PATH}' --via leave"


Start = Callable[..., Guest]


@pytest.fixture(name="guest_with")
def guest_with_fixture(boot: Boot, tmp_path: Path) -> Start:
    """Boot an image whose stub was built with some macros of csrc/stub/lib/test.h."""

    def start(*defines: str) -> Guest:
        machine = machine_with(tmp_path, firmware(), image(defines=defines))
        return Guest(boot(machine)).ready()

    return start


def test_ticks_of_linux_in_the_windows_harm_nobody(guest_with: Start) -> None:
    guest = guest_with(WINDOW)

    found = guest.script("timers")
    assert found["nr_drained"] > 0, "the window caught no tick: the race did not happen"
    assert found["firmware_ticks"] > 0

    guest.send(EXEC_BY_LEAVE)
    guest.payload_ran()


def test_without_draining_in_the_gate_the_firmwares_timer_stops(guest_with: Start) -> None:
    guest = guest_with(WINDOW, "PK_TEST_DRAIN_FIRST")

    assert guest.script("timers")["firmware_ticks"] == 0


def test_without_draining_at_the_end_the_payloads_timer_stops(guest_with: Start) -> None:
    guest = guest_with(WINDOW, "PK_TEST_NO_DRAIN")

    guest.send(EXEC_BY_LEAVE)
    ticks = int(guest.vm.expect("PK:payload:ticks:(0x[0-9a-f]+)$", within=60)[1], 16)
    assert ticks == 0
