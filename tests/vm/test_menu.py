# SPDX-License-Identifier: Apache-2.0
"""The boot menu in a machine: chosen from over the serial line, and left to its time."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.vm import ovmf
from tests.vm.boot import Boot
from tests.vm.equipment import BARE
from tests.vm.guest import HELLO_PATH, Guest, machine_with
from tests.vm.images import image
from tests.vm.snapshots import AgentReady

MENU = f"""
[menu]
default = "Second"
[agent]
timeout_s = 3
[[entry]]
name = "First"
path = '\\EFI\\none.efi'
[[entry]]
name = "Second"
path = '{HELLO_PATH}'
options = "second"
"""


def test_the_second_entry_is_chosen_by_keys_and_starts(agent_ready: AgentReady) -> None:
    guest = agent_ready(image(), ovmf.firmware("2025.02"), **BARE)
    guest.send("/inside/offer_menu")
    guest.vm.expect(r'PK:menu:description:\{"version":1,"nr_entries":6,"default":null')
    guest.vm.expect("Enter start")
    guest.vm.send("\r")
    guest.vm.expect(r"\\EFI\\none.efi: No such file")
    guest.vm.expect("Enter start")
    guest.vm.send("\x1b[B\r")
    guest.vm.expect("chosen: Second")
    guest.payload_ran("second")


@pytest.mark.matrix
def test_the_default_starts_when_its_time_has_come(boot: Boot, tmp_path: Path) -> None:
    guest = Guest(boot(machine_with(tmp_path, ovmf.firmware("2025.02"), image(config=MENU))))
    guest.vm.expect(r"PK:menu:description:\{.*\}", within=120)
    guest.vm.expect("starting Second in 3 s")
    guest.vm.expect("starting Second in 2 s")
    guest.payload_ran("second")
