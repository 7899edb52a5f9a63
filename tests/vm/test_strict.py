# SPDX-License-Identifier: Apache-2.0
"""Firmware that is stricter, or odder, than OVMF: csrc/payload/strict makes it so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pykexec.vm.bootvars import boot_entry
from pykexec.vm.machine import DEFAULT_CPU, Disk, Machine
from pykexec.vm.ovmf import firmware, u_boot
from pykexec.vm.vm import Vm
from tests.vm import images
from tests.vm.boot import Boot
from tests.vm.guest import HELLO_PATH, Guest, disk_with, machine_with, with_entries
from tests.vm.memory_audit import PAGE, is_executable
from tests.vm.ways import NEWEST

CR4_LA57, CR4_SMEP, CR4_SMAP = 1 << 12, 1 << 20, 1 << 21
BREAKPOINT = 0xDEADBEE0
FIVE_LEVELS_CPU = f"{DEFAULT_CPU},+la57,phys-bits=46"


# Debian's builds other than strictnx have none unless told.
MEMORY_ATTRIBUTES = ("-fw_cfg", "name=opt/org.tianocore/UninstallMemAttrProtocol,string=no")


def booted(
    boot: Boot,
    directory: Path,
    habits: str,
    image: Path,
    *,
    release: str = "2025.02",
    **settings: Any,
) -> Vm:
    """A machine whose firmware takes these habits on, and then starts image; else hello.efi."""
    disk = disk_with(directory, image, {"EFI/strict.efi": images.strict()})
    entries = [boot_entry(disk, r"\EFI\strict.efi", habits), boot_entry(disk, HELLO_PATH, "else")]
    vm = boot(with_entries(Machine(firmware(release), **settings), directory, disk, entries))
    vm.expect("PK:payload:strict:0x0", within=120)
    return vm


def goes_there_and_back(guest: Guest) -> None:
    """The firmware is the same under Linux, starts a payload, and is the same under the next."""
    assert guest.firmware_is_the_same()
    guest.send(f"pykexec exec '{HELLO_PATH}'")
    guest.payload_ran()
    assert guest.ready().firmware_is_the_same()


def state_items(guest: Guest) -> dict[str, Any]:
    """The items of `pykexec verify-firmware`, by name."""
    report = guest.json("pykexec verify-firmware --json")["report"]
    return {item["name"]: item for item in report["items"]}


def what_is_code(guest: Guest) -> set[str]:
    """Which of our ranges' second pages may be executed by the firmware's page tables."""
    found = guest.script("memory")
    guest.vm.stop()
    code = {
        name
        for name, (start, _) in found["ours"].items()
        if is_executable(guest.vm, found["cr3"], start + PAGE)
    }
    guest.vm.cont()
    return code


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
    items = state_items(guest)
    assert items["cr4"]["before"] & CR4_LA57
    goes_there_and_back(guest)


@pytest.mark.matrix
def test_registers_of_the_firmwares_come_back(boot: Boot, tmp_path: Path) -> None:
    habits = f"cr4={CR4_SMEP | CR4_SMAP:x} dr0={BREAKPOINT:x}"
    guest = Guest(booted(boot, tmp_path, habits, images.image())).ready()
    goes_there_and_back(guest)
    items = state_items(guest)
    assert items["cr4"]["before"] & (CR4_SMEP | CR4_SMAP) == CR4_SMEP | CR4_SMAP
    breakpoint_ = items["dr0"]
    assert (breakpoint_["before"], breakpoint_["after"]) == (BREAKPOINT, BREAKPOINT)


@pytest.mark.matrix
def test_a_fifth_level_that_linux_is_not_to_have_is_refused_in_words(
    boot: Boot, tmp_path: Path
) -> None:
    image = images.image(cmdline=f"{images.QUICK_CMDLINE} no5lvl")
    vm = booted(boot, tmp_path, "la57=1", image, cpu=FIVE_LEVELS_CPU)
    vm.expect("this firmware's page tables have five levels, and .cmdline says no5lvl", within=60)
    # The next entry's turn.
    vm.expect(r"PK:payload:options:else\n", within=60)


def test_memory_that_is_given_out_as_data_becomes_code_while_linux_needs_it(
    boot: Boot, tmp_path: Path
) -> None:
    vm = booted(boot, tmp_path, "nx=1", images.image(), memory_file=True, extra=MEMORY_ATTRIBUTES)
    guest = Guest(vm).ready()
    assert what_is_code(guest) == {"stub"}
    goes_there_and_back(guest)
    assert what_is_code(guest) == {"stub"}


@pytest.mark.matrix
def test_memory_that_stays_data_ends_the_machine(boot: Boot, tmp_path: Path) -> None:
    image = images.image(defines=("PK_TEST_NO_ATTRIBUTES",))
    vm = booted(boot, tmp_path, "nx=1", image, extra=MEMORY_ATTRIBUTES)
    vm.expect("X64 Exception Type - 0E", within=60, fatal=None)
    assert "PK:stub:exit_bs" not in vm.console.text


@pytest.mark.matrix
def test_a_stack_that_is_as_small_as_it_may_be(boot: Boot, tmp_path: Path) -> None:
    pages = (128 << 10) // PAGE  # UEFI 2.10, 2.3.4; behind its end is nothing.
    vm = booted(boot, tmp_path, f"stack={pages:x}", images.image(), extra=MEMORY_ATTRIBUTES)
    goes_there_and_back(Guest(vm).ready())


@pytest.mark.matrix
@pytest.mark.parametrize("release", ["2022.11", "2025.02"])
def test_a_memory_map_of_thousands_of_entries(release: str, boot: Boot, tmp_path: Path) -> None:
    vm = booted(boot, tmp_path, f"map={0x1000:x}", images.image(), release=release)
    guest = Guest(vm).ready()
    assert len(guest.json("pykexec memmap --json")) > 0x1000
    goes_there_and_back(guest)


@pytest.mark.matrix
def test_memory_above_4_gib_alone(boot: Boot, tmp_path: Path) -> None:
    vm = booted(boot, tmp_path, "low=20", images.image(), memory_mib=4096)
    guest = Guest(vm).ready()
    assert guest.script("memory")["ours"]["arena"][0] >= 4 << 30
    goes_there_and_back(guest)


@pytest.mark.matrix
def test_no_console_of_the_firmwares(boot: Boot, tmp_path: Path) -> None:
    guest = Guest(booted(boot, tmp_path, "consoles=7", images.image())).ready()
    assert "PK:stub" not in guest.vm.console.text
    assert guest.firmware_is_the_same()


@pytest.mark.matrix
def test_neither_keyboard_nor_standard_error(boot: Boot, tmp_path: Path) -> None:
    goes_there_and_back(Guest(booted(boot, tmp_path, "consoles=5", images.image())).ready())


@pytest.mark.matrix
def test_firmware_without_interrupts_is_refused_in_words(boot: Boot, tmp_path: Path) -> None:
    image = images.image()
    disk = disk_with(tmp_path, image, {"EFI/BOOT/BOOTX64.EFI": image})
    vm = boot(Machine(u_boot(), type="pc", disks=(Disk(disk.path),)))
    vm.expect("this machine has firmware that runs without interrupts", within=120)
    vm.expect("PK:stub:action:", within=10)


@pytest.mark.matrix
def test_a_register_that_is_announced_and_faults_is_left_out(boot: Boot, tmp_path: Path) -> None:
    # QEMU's own processor has few that fault: one of x2APIC mode, which nobody has switched on.
    image = images.image(defines=("PK_TEST_FAULTING_ITEM",))
    guest = Guest(boot(machine_with(tmp_path, firmware(), image, qemu="10"))).ready()
    assert "x2apic.id" not in state_items(guest)
    assert "apic_base" in state_items(guest)
