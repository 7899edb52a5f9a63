# SPDX-License-Identifier: Apache-2.0
"""Firmware whose pages are user pages: what Linux protects its own from must not judge them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec import _freestanding
from pykexec.vm.bootvars import boot_entry
from pykexec.vm.machine import Machine
from pykexec.vm.ovmf import firmware
from pykexec.vm.vm import Vm
from tests.vm.boot import Boot
from tests.vm.guest import HELLO_PATH, Guest, disk_with, with_entries
from tests.vm.images import CSRC, image


def booted(boot: Boot, directory: Path, *defines: str) -> Vm:
    """A machine whose firmware becomes so, and then starts our image."""
    application = directory / "userpages.efi"
    _freestanding.build_payload(CSRC, "userpages", application)
    disk = disk_with(directory, image(defines=defines), {"EFI/userpages.efi": application})
    entries = [boot_entry(disk, r"\EFI\userpages.efi")]
    vm = boot(with_entries(Machine(firmware("2025.02")), directory, disk, entries))
    vm.expect("PK:payload:userpages:0x0", within=60)
    return vm


@pytest.mark.matrix
def test_linux_with_smep_and_smap_goes_there_and_back(boot: Boot, tmp_path: Path) -> None:
    guest = Guest(booted(boot, tmp_path)).ready()
    assert {"smep", "smap"} <= set(guest.ok("grep -m1 ^flags /proc/cpuinfo").split())
    assert guest.firmware_is_the_same()
    guest.send(f"pykexec exec '{HELLO_PATH}'")
    guest.payload_ran()


@pytest.mark.matrix
def test_protection_that_stays_on_ends_the_machine(boot: Boot, tmp_path: Path) -> None:
    vm = booted(boot, tmp_path, "PK_TEST_KEEP_SMEP")
    assert vm.wait_exit(120) == "guest-reset"
    assert "PK:agent:ready" not in vm.console.text
