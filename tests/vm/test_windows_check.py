# SPDX-License-Identifier: Apache-2.0
"""The agent looks at the firmware's disks before it starts what is to be Windows' boot manager."""

from __future__ import annotations

from pathlib import Path

from pykexec.vm import ovmf
from tests.vm.boot import Boot
from tests.vm.guest import Guest, machine_with
from tests.vm.images import hello, image

BOOT = "EFI/Microsoft/Boot"
CONFIG = f"[payload]\npath = '\\{BOOT.replace('/', chr(92))}\\bootmgfw.efi'\n[windows]\n"


def test_a_windows_that_would_not_start_is_said_and_the_next_entry_has_its_turn(
    boot: Boot, tmp_path: Path
) -> None:
    files: dict[str, bytes | Path] = {
        f"{BOOT}/bootmgfw.efi": hello(),
        f"{BOOT}/BCD": b"no hive" * 1000,
    }
    firmware = ovmf.firmware("2025.02")
    vm = boot(machine_with(tmp_path, firmware, image(config=CONFIG), files=files, next_options="n"))
    vm.expect(r"windows: note  disk .*bootmgfw\.efi: has no signature", within=120)
    vm.expect(r"windows: fault disk .*\\BCD: no registry hive \(no regf at offset 0\): the boot")
    vm.expect("windows: Windows will not start unattended: 1 reason")
    vm.expect("PK:windows:mismatch:0")
    vm.expect("PK:stub:action:0x2$")
    Guest(vm).payload_ran("n")
