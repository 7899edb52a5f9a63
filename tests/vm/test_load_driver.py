# SPDX-License-Identifier: Apache-2.0
"""EFI drivers and applications from Linux: started, seen, refused; our own RAM disk driver."""

from __future__ import annotations

import pytest

from pykexec.efi.guid import named_guids
from pykexec.vm.ovmf import firmware
from tests.vm.equipment import LABEL, RAMDISK
from tests.vm.guest import HELLO_PATH, Guest
from tests.vm.images import image
from tests.vm.snapshots import AgentReady

DRIVER = "/inside/driver.efi"
OURS = "pykexec_test"


def refused(guest: Guest, words: str, fault: str, status: int = 8) -> None:
    """load-driver with words must fail, and say why."""
    result = guest.run(f"pykexec load-driver {words}")
    assert (result.status, fault in result.output) == (status, True), result


@pytest.mark.parametrize(
    ("version", "kernel"),
    [
        ("2025.02", "6.12-cloud"),
        pytest.param("2022.11", "6.12-cloud", marks=pytest.mark.matrix),
        pytest.param("2022.11", "6.1-cloud", marks=pytest.mark.matrix),
    ],
)
def test_drivers_stay_applications_return_and_bring_what_the_firmware_lacks(
    version: str, kernel: str, agent_ready: AgentReady
) -> None:
    guest = agent_ready(image(kernel), firmware(version))

    # A driver stays: what it installed is there, its options are its own.
    assert OURS in named_guids()
    assert OURS not in guest.ok("pykexec devices --all")
    assert "returned SUCCESS" in guest.ok(f"pykexec load-driver {DRIVER}")
    assert OURS in guest.ok("pykexec devices --all")
    refused(guest, f"{DRIVER} --options refuse", "was started and returned EFI_DEVICE_ERROR")

    # An application returns; what it printed went to the firmware's console.
    path = f"'{HELLO_PATH}' --no-connect"
    guest.send(f"pykexec load-driver {path} --options 'aside return=5'")
    guest.payload_ran("aside return=5")
    guest.vm.expect("hello.efi: returned 0x5$")
    guest.prompt()
    refused(guest, f"{path} --options exit=8000000000000015", "returned EFI_ABORTED")
    assert guest.script("timers")["firmware_ticks"] > 0

    # What is no image of this machine's never reaches the firmware.
    refused(guest, "/init", "not a PE image", status=3)
    refused(guest, "/nonexistent", "No such file", status=3)
    refused(guest, r"'\nonexistent'", "No such file")
    guest.ok("head -c 6000 /inside/driver.efi > /tmp/short.efi")
    refused(guest, "/tmp/short.efi", "truncated", status=3)

    # A disk that a driver will not let go of stays what it is.
    guest.ok("head -c 100000 /dev/urandom > /tmp/data; pykexec ramdisk add /tmp/data")
    guest.ok(f"pykexec load-driver {DRIVER} --options hold --no-connect")
    kept = guest.run("pykexec ramdisk remove 1")
    assert (kept.status, "EFI_ACCESS_DENIED" in kept.output) == (8, True), kept
    (disk,) = guest.json("pykexec ramdisk list --json")
    assert disk["handle"]

    # Firmware without EFI_RAM_DISK_PROTOCOL gets ours, once.
    guest.ok(f"pykexec load-driver {DRIVER} --options hide --no-connect")
    assert "ram_disk" not in guest.ok("pykexec devices --all")
    guest.ok(f"pykexec ramdisk add '{RAMDISK}'; pykexec ramdisk add /tmp/data --type virtual-cd")
    assert guest.ok("pykexec devices --all").count("ram_disk") == 1
    assert f"'{LABEL}'" in guest.ok("pykexec devices")
    guest.ok("pykexec ramdisk remove 3")
    guest.send(rf"pykexec exec '\hello.efi' --volume {LABEL} --options 'by our driver'")
    guest.payload_ran("by our driver")
    guest.ready()
    guest.ok("pykexec ramdisk remove 2")
    assert f"'{LABEL}'" not in guest.ok("pykexec devices")
    assert guest.firmware_is_the_same()
