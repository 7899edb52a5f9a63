# SPDX-License-Identifier: Apache-2.0
"""A watchdog that the firmware armed: QEMU has Intel's, described by ACPI since 11, and a BMC's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.vm import images
from tests.vm.boot import Boot
from tests.vm.guest import HELLO_PATH, Guest
from tests.vm.test_ticks import machine

# By default its reset leads nowhere.
WATCHDOG = ("-global", "ICH9-LPC.noreboot=false")
BMC_RESETS_S = 40
"""As csrc/payload/ticks.c sets it."""
BMC = ("-device", "ipmi-bmc-sim,id=bmc0", "-device", "isa-ipmi-kcs,bmc=bmc0")


@pytest.mark.matrix
def test_the_chipsets_watchdog_stands_still_with_the_firmware(boot: Boot, tmp_path: Path) -> None:
    armed = machine("tco lapic-one-shot", images.image(), tmp_path)
    guest = Guest(boot(replace(armed, extra=WATCHDOG))).ready()

    guest.ok("sleep 12")
    assert guest.firmware_is_the_same()
    guest.send(f"pykexec exec '{HELLO_PATH}' --via leave")
    guest.payload_ran()


@pytest.mark.matrix
def test_a_watchdog_that_goes_on_resets_a_linux_at_work(boot: Boot, tmp_path: Path) -> None:
    image = images.image(defines=("PK_TEST_NO_TCO_HALT",))
    armed = machine("tco lapic-one-shot", image, tmp_path)
    vm = boot(replace(armed, extra=WATCHDOG, reboot=True))

    vm.expect_stage("stub", "exit_bs", within=60)
    vm.expect_stage("stub", "start", within=120)


@pytest.mark.matrix
def test_what_acpi_describes_is_enough(boot: Boot, tmp_path: Path) -> None:
    image = images.image(defines=("PK_TEST_NO_TCO_HALT",))
    armed = machine("tco lapic-one-shot", image, tmp_path)
    described = (*WATCHDOG, "-machine", "wdat=on")
    guest = Guest(boot(replace(armed, extra=described, qemu="sid"))).ready()

    guest.ok("sleep 12")
    assert guest.firmware_is_the_same()


@pytest.mark.matrix
def test_a_bmcs_watchdog_is_stopped_and_set_again(boot: Boot, tmp_path: Path) -> None:
    armed = machine("bmc lapic-one-shot", images.image(), tmp_path)
    vm = boot(replace(armed, extra=BMC, reboot=True))
    guest = Guest(vm).ready()

    guest.ok(f"sleep {BMC_RESETS_S + 5}")
    guest.send("pykexec leave")
    # In the firmware's menu nobody stops it.
    vm.expect_stage("stub", "start", within=3 * BMC_RESETS_S)
