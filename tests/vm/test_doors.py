# SPDX-License-Identifier: Apache-2.0
"""The doors that root has to the firmware below Linux, one after the other, and what closes each.

docs/threat-model.md lists them: who adds a door adds its attack here.
"""

from __future__ import annotations

from pykexec.vm import ovmf
from tests.vm.doors import KEXEC, attempts
from tests.vm.equipment import BARE
from tests.vm.images import image
from tests.vm.signed import signed_image
from tests.vm.snapshots import AgentReady

FIRMWARE = ovmf.firmware("2025.02", "snakeoil")
# All that is ours of what keeps the doors shut.
UNPROTECTED = ("PK_TEST_NO_ORIGIN_CHECK", "PK_TEST_NO_VARIABLE_FILTER")

# What root comes to: under Secure Boot; the same without what is ours; without Secure Boot.
DOORS = {
    KEXEC: ("EPERM", "done", "done"),
    "the same as crash kernel": ("EPERM", "EADDRNOTAVAIL", "EADDRNOTAVAIL"),
    "kexec of what nobody signed": ("EPERM", "ELIBBAD", "done"),
    "kexec without a file": ("EPERM", "EACCES", "done"),
    "kexec opened again": ("EINVAL", "EINVAL", "EINVAL"),
    "module of the distribution": ("EPERM", "done", "done"),
    "module that nobody signed": ("EPERM", "EKEYREJECTED", "EEXIST"),
    "modules opened again": ("EINVAL", "EINVAL", "EINVAL"),
    "payload from the firmware's volume": ("EACCES", "done", "EACCES"),
    "payload from an option ROM": ("EACCES", "done", "EACCES"),
    "variable of boot services": ("ENOENT", "done", "ENOENT"),
    "command line": ("EIO", "EIO", "EIO"),
    "ports": ("EPERM", "EPERM", "done"),
    "physical memory": ("EPERM", "EPERM", "done"),
    "BPF that writes": ("EINVAL", "EINVAL", "done"),
    "hibernation": ("EPERM", "EPERM", "done"),
    "sleep by the firmware": ("EINVAL", "EINVAL", "EINVAL"),
    "microcode": ("ENOENT", "ENOENT", "ENOENT"),
    "ACPI table": ("ENOENT", "ENOENT", "ENOENT"),
    "ACPI method": ("ENOENT", "ENOENT", "ENOENT"),
    "processor trace": ("ENOENT", "ENOENT", "ENOENT"),
}


# What the kernel's lockdown alone closes.
LOCKED = ("ports", "physical memory", "BPF that writes", "hibernation")


def expected(machine: int) -> dict[str, str]:
    """One column of the table."""
    return {door: results[machine] for door, results in DOORS.items()}


def test_every_door_is_closed_under_secure_boot(agent_ready: AgentReady) -> None:
    guest = agent_ready(signed_image(FIRMWARE), FIRMWARE)
    assert attempts(guest) == expected(0)
    # What the image itself needs of modules was loaded before.
    rows = guest.json("pykexec bridge start block --json")
    assert {row["state"] for row in rows} == {"up"}


def test_what_is_ours_closes_what_the_kernel_leaves_open(agent_ready: AgentReady) -> None:
    unprotected = signed_image(FIRMWARE, defines=UNPROTECTED, doors_open=True)
    assert attempts(agent_ready(unprotected, FIRMWARE, quick=False, **BARE)) == expected(1)


def test_without_secure_boot_root_may_do_it(agent_ready: AgentReady) -> None:
    assert attempts(agent_ready(image(), ovmf.firmware("2025.02"))) == expected(2)


def test_a_kernel_that_leaves_lockdown_to_others_does_it_when_asked(
    agent_ready: AgentReady,
) -> None:
    guest = agent_ready(image(), ovmf.firmware("2025.02"))
    assert guest.script("lock_down") == ["none", "integrity"]
    assert guest.json("pykexec status --json")["lockdown"] == "integrity"
    found = attempts(guest)
    assert {door: found[door] for door in LOCKED} == {door: DOORS[door][1] for door in LOCKED}
