# SPDX-License-Identifier: Apache-2.0
"""What goes wrong while the firmware works for Linux ends in words, not in silence."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from pykexec.vm.ovmf import firmware
from tests.vm.boot import Boot
from tests.vm.equipment import BARE
from tests.vm.guest import Guest, machine_with
from tests.vm.images import QUICK_CMDLINE, image
from tests.vm.snapshots import AgentReady

IN_FIRMWARE = "in the firmware now"
CR4_MCE = 0x40
FLAGS_IF = 0x200
SEEN_TO_STAY = 10
TOLD = "the last start ended by a reset: "


def in_firmware(guest: Guest, command: str, **arguments: str) -> None:
    """Have QMP's command carried out while the firmware works for Linux, and handles no event."""
    guest.send("/inside/in_firmware")
    guest.vm.expect(IN_FIRMWARE)
    deadline = time.monotonic() + 6
    nr_seen = 0
    # Printing that line had short turns of the firmware as well.
    while nr_seen < SEEN_TO_STAY:
        assert time.monotonic() < deadline, "it does not stay there"
        guest.vm.cont()
        time.sleep(0.03)
        guest.vm.stop()
        nr_seen = nr_seen + 1 if is_in_firmware(guest) else 0
    guest.vm.qmp(command, **arguments)
    guest.vm.cont()


def is_in_firmware(guest: Guest) -> bool:
    """Is the processor in the firmware's world now, and may it be interrupted?"""
    found = guest.vm.qmp("human-monitor-command", command_line="info registers")
    flags, cr4 = (re.search(rf"{name}=([0-9a-f]+)", str(found)) for name in ("RFL", "CR4"))
    assert flags and cr4
    # Linux has machine checks switched off (mce=off), the firmware on.
    return bool(int(cr4[1], 16) & CR4_MCE and int(flags[1], 16) & FLAGS_IF)


def reset_is_told(guest: Guest, accident: str) -> None:
    """The machine starts once more, and all say why."""
    guest.vm.expect("^pykexec: the last start ended by a reset:", within=60)
    guest.vm.expect_stage("agent", "ready", within=120)
    guest.vm.expect(f"^{TOLD}{accident}", within=30)
    guest.prompt()
    status = guest.ok("pykexec status")
    assert TOLD in status


def test_a_driver_that_never_returns_ends_in_a_reset_that_is_told(
    boot: Boot, tmp_path: Path
) -> None:
    limited = image(cmdline=f"{QUICK_CMDLINE} pykexec.limit=4")
    machine = machine_with(tmp_path, firmware("2025.02"), limited, reboot=True)
    guest = Guest(boot(machine)).ready()

    guest.ok("pykexec load-driver /inside/driver.efi --options hang --no-connect")
    guest.send("pykexec devices")
    guest.vm.expect("^pykexec: the firmware did not come back from operation 9$", within=60)
    reset_is_told(guest, "the firmware did not come back from volume-info")
    # It is told once.
    guest.send("pykexec leave --action reset")
    guest.vm.expect_stage("stub", "start", within=60)
    guest.ready()
    assert TOLD not in guest.ok("pykexec status")


def test_an_nmi_in_the_firmware_is_given_to_linux(agent_ready: AgentReady) -> None:
    guest = agent_ready(image(), firmware("2025.02"), **BARE)

    in_firmware(guest, "inject-nmi")
    guest.vm.expect("NMI received for unknown reason")
    assert int(guest.vm.expect(r'"ticks": (\d+)')[1]) > 0
    guest.prompt()
    assert guest.script("timers")["firmware_ticks"] > 0


@pytest.mark.matrix
def test_without_handlers_of_ours_an_nmi_in_the_firmware_is_the_end(
    boot: Boot, tmp_path: Path
) -> None:
    unguarded = image(defines=("PK_TEST_NO_FAULT_GUARD",))
    guest = Guest(boot(machine_with(tmp_path, firmware("2025.02"), unguarded))).ready()

    in_firmware(guest, "inject-nmi")
    guest.vm.expect("X64 Exception Type - 02", fatal=None)


def test_a_machine_check_in_the_firmware_ends_in_a_reset_that_is_told(
    agent_ready: AgentReady,
) -> None:
    guest = agent_ready(image(), firmware("2025.02"), reboot=True, **BARE)

    # Of the first processor, bank 3: valid, uncorrected, enabled, context corrupt.
    error = "mce 0 3 0xb200000000000005 5 0 0"
    in_firmware(guest, "human-monitor-command", command_line=error)
    guest.vm.expect("^pykexec: machine check at [0-9a-f]+, bank 3 says b200000000000005$")
    reset_is_told(guest, "machine check in the firmware at 0x[0-9a-f]+, bank 3")
