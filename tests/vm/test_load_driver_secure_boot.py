# SPDX-License-Identifier: Apache-2.0
"""Under Secure Boot the firmware verifies and measures what Linux has it load, RAM disks or not."""

from __future__ import annotations

from typing import Any

from pykexec.efi import pe
from pykexec.vm import ovmf
from tests.vm import images
from tests.vm.equipment import LABEL, RAMDISK
from tests.vm.guest import Guest
from tests.vm.signed import SIGNED_DRIVER, signed, signed_image
from tests.vm.snapshots import AgentReady

FIRMWARE = ovmf.firmware("2025.02", "snakeoil")
REFUSAL = "refused by LoadImage: Permission denied (EFI_ACCESS_DENIED); Secure Boot is on"
ACCESS_DENIED = 0x800000000000000F
DRIVER_PCR = 2  # TCG PC Client Platform Firmware Profile, 3.3.4.3


def measured(guest: Guest, digest: bytes) -> list[Any]:
    """The events of drivers with this digest."""
    events = guest.json("pykexec eventlog --json")["events"]
    return [event for event in events if event["pcr"] == DRIVER_PCR and digest.hex() in str(event)]


def test_only_signed_code_runs_and_it_is_measured(agent_ready: AgentReady) -> None:
    driver = signed(images.driver(), FIRMWARE).read_bytes()
    digest = pe.authenticode_digest(driver, pe.parse(driver, "driver"))
    guest = agent_ready(signed_image(FIRMWARE), FIRMWARE)

    refused = guest.run("pykexec load-driver /inside/driver.efi")
    assert (refused.status, REFUSAL in refused.output) == (8, True), refused
    assert "pykexec_test" not in guest.ok("pykexec devices --all")
    assert measured(guest, digest) == []
    guest.ok(f"pykexec load-driver '{SIGNED_DRIVER}'")
    assert "pykexec_test" in guest.ok("pykexec devices --all")
    assert len(measured(guest, digest)) == 1

    # Our own RAM disk driver passes, because it is signed as the image is.
    guest.ok(f"pykexec load-driver '{SIGNED_DRIVER}' --options hide --no-connect")
    guest.ok(f"pykexec ramdisk add '{RAMDISK}'")

    # A disk that root has made is no way around the firmware's verification.
    guest.send(rf"pykexec exec '\hello.efi' --volume {LABEL}")
    guest.vm.expect_stage("stub", "load", ACCESS_DENIED, within=60)
    guest.ready()
    assert "PK:payload:started" not in guest.vm.console.text
