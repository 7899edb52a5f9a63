# SPDX-License-Identifier: Apache-2.0
"""Firmware trusts its own volumes unseen: root must not be able to claim one as its source."""

from __future__ import annotations

import re

from pykexec.vm import ovmf
from tests.vm.equipment import BARE
from tests.vm.guest import Guest
from tests.vm.signed import signed_image
from tests.vm.snapshots import AgentReady

FIRMWARE = ovmf.firmware("2025.02", "snakeoil")
ANY_FILE = "/FvFile(11111111-2222-4333-8444-555555555555)"
UNSIGNED = "/inside/hello.efi"


def firmware_volume(guest: Guest) -> str:
    """The device path of one of the firmware's volumes."""
    found = re.search(r"Fv\([0-9A-Fa-f-]+\)", guest.ok("pykexec devices --all | grep -m1 'Fv('"))
    assert found
    return found[0]


def test_a_path_into_the_firmware_is_refused(agent_ready: AgentReady) -> None:
    guest = agent_ready(signed_image(FIRMWARE), FIRMWARE)
    path = firmware_volume(guest) + ANY_FILE

    refused = guest.run(f"pykexec exec {UNSIGNED} --device-path '{path}' --via leave")
    assert refused.status == 8
    assert "Permission denied" in refused.output

    nowhere = guest.run(
        f"pykexec exec {UNSIGNED} --device-path 'PciRoot(0x9)/Pci(0x1,0x0)' --via leave"
    )
    assert nowhere.status == 8

    # Without a path it is what it is, memory, and has no signature.
    guest.send(f"pykexec exec {UNSIGNED} --via leave")
    guest.vm.expect("PK:stub:load:0x8[0-9a-f]{15}$", within=60)


def test_without_the_check_unsigned_code_runs_under_secure_boot(agent_ready: AgentReady) -> None:
    unchecked = signed_image(FIRMWARE, defines=("PK_TEST_NO_ORIGIN_CHECK",))
    guest = agent_ready(unchecked, FIRMWARE, quick=False, **BARE)
    path = firmware_volume(guest) + ANY_FILE

    guest.send(f"pykexec exec {UNSIGNED} --device-path '{path}' --via leave")
    guest.vm.expect_stage("payload", "started", within=60)
