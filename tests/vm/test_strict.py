# SPDX-License-Identifier: Apache-2.0
"""Firmware that is stricter, or odder, than OVMF: csrc/payload/strict makes it so."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.vm.bootvars import boot_entry
from pykexec.vm.machine import DEFAULT_CPU, Machine
from pykexec.vm.ovmf import firmware
from pykexec.vm.vm import Vm
from tests.vm import images
from tests.vm.boot import Boot
from tests.vm.guest import HELLO_PATH, Guest, disk_with, with_entries
from tests.vm.ways import NEWEST

CR4_LA57 = 1 << 12
# More than 46 bits of addresses and OVMF has five levels by itself.
FIVE_LEVELS_CPU = f"{DEFAULT_CPU},+la57,phys-bits=46"


def booted(
    boot: Boot,
    directory: Path,
    habits: str,
    image: Path,
    *,
    release: str = "2025.02",
    cpu: str = DEFAULT_CPU,
) -> Vm:
    """A machine whose firmware takes these habits on, and then starts image; else hello.efi."""
    disk = disk_with(directory, image, {"EFI/strict.efi": images.strict()})
    entries = [boot_entry(disk, r"\EFI\strict.efi", habits), boot_entry(disk, HELLO_PATH, "else")]
    vm = boot(with_entries(Machine(firmware(release), cpu=cpu), directory, disk, entries))
    vm.expect("PK:payload:strict:0x0", within=60)
    return vm


def goes_there_and_back(guest: Guest) -> None:
    """The firmware is the same under Linux, starts a payload, and is the same under the next."""
    assert guest.firmware_is_the_same()
    guest.send(f"pykexec exec '{HELLO_PATH}'")
    guest.payload_ran()
    assert guest.ready().firmware_is_the_same()


@pytest.mark.matrix
def test_linux_with_smep_and_smap_goes_there_and_back(boot: Boot, tmp_path: Path) -> None:
    guest = Guest(booted(boot, tmp_path, "users=1", images.image())).ready()
    assert {"smep", "smap"} <= set(guest.ok("grep -m1 ^flags /proc/cpuinfo").split())
    goes_there_and_back(guest)


@pytest.mark.matrix
def test_protection_that_stays_on_ends_the_machine(boot: Boot, tmp_path: Path) -> None:
    vm = booted(boot, tmp_path, "users=1", images.image(defines=("PK_TEST_KEEP_SMEP",)))
    assert vm.wait_exit(120) == "guest-reset"
    assert "PK:agent:ready" not in vm.console.text


@pytest.mark.parametrize(
    ("release", "kernel"),
    [
        ("2025.02", "6.1-cloud"),
        pytest.param("2022.11", "6.12-cloud", marks=pytest.mark.matrix),
        pytest.param(NEWEST.firmware, NEWEST.kernel, marks=pytest.mark.matrix),
    ],
)
def test_linux_has_five_levels_of_page_tables_where_the_firmware_has(
    release: str, kernel: str, boot: Boot, tmp_path: Path
) -> None:
    image = images.image(kernel)
    vm = booted(boot, tmp_path, "la57=1", image, release=release, cpu=FIVE_LEVELS_CPU)
    guest = Guest(vm).ready()
    items = {
        item["name"]: item
        for item in guest.json("pykexec verify-firmware --json")["report"]["items"]
    }
    assert items["cr4"]["before"] & CR4_LA57
    goes_there_and_back(guest)


@pytest.mark.matrix
def test_a_fifth_level_that_linux_is_not_to_have_is_refused_in_words(
    boot: Boot, tmp_path: Path
) -> None:
    image = images.image(cmdline=f"{images.QUICK_CMDLINE} no5lvl")
    vm = booted(boot, tmp_path, "la57=1", image, cpu=FIVE_LEVELS_CPU)
    vm.expect("this firmware's page tables have five levels, and .cmdline says no5lvl", within=60)
    # The next entry's turn.
    vm.expect(r"PK:payload:options:else\n", within=60)
