# SPDX-License-Identifier: Apache-2.0
"""The harness itself: what it sees in a machine, and that it never takes silence for success."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from pykexec.errors import FormatError
from pykexec.run import run
from pykexec.vm import ovmf
from pykexec.vm.bootvars import add_variables, boot_entry, write_boot_entries
from pykexec.vm.disk import DiskLayout, Esp, add_files, make_disk, read_file
from pykexec.vm.guest_os import command_line, data_partition, initramfs
from pykexec.vm.kernels import kernel
from pykexec.vm.machine import Disk, Machine, Nic
from pykexec.vm.ovmf import Firmware, firmware, snakeoil_key
from pykexec.vm.vm import LostVm, Vm
from tests.vm.boot import Boot
from tests.vm.direct import check_direct
from tests.vm.payloads import PAYLOADS

SHELL = PAYLOADS["efi-shell"]


@pytest.mark.parametrize("name", ["efi-shell", pytest.param("grub-2.06", marks=pytest.mark.matrix)])
def test_firmware_starts_its_boot_entry(
    name: str, firmware: Firmware, boot: Boot, tmp_path: Path
) -> None:
    check_direct(PAYLOADS[name], firmware, boot, tmp_path)


def _shell_disk(directory: Path, startup: bytes) -> DiskLayout:
    shell = SHELL.files()["shellx64.efi"]
    files = {"EFI/BOOT/BOOTX64.EFI": shell, "startup.nsh": b"@echo -off\r\n" + startup}
    return make_disk(directory / "disk.img", [Esp(files)])


def test_firmware_goes_straight_to_the_disk_with_bootindex_0(
    firmware: Firmware, boot: Boot, tmp_path: Path
) -> None:
    disk = _shell_disk(tmp_path, b"echo PK:shell:start:0\r\nreset -s\r\n")
    vm = boot(Machine(firmware, disks=(Disk(disk.path, bootindex=0),), nic=Nic()))
    assert vm.expect_stage("shell", "start", within=60) < 60
    assert "PXE" not in vm.console.text
    assert vm.wait_exit(30) == "guest-shutdown"


@pytest.mark.parametrize("tpm", [pytest.param("tis", marks=pytest.mark.matrix), "crb"])
def test_second_os_owns_disk_variables_tpm_and_network(
    tpm: str, firmware: Firmware, boot: Boot, tmp_path: Path
) -> None:
    os_kernel = kernel("6.1-cloud")
    files = {"vmlinuz": os_kernel.image, "initrd.img": initramfs(os_kernel)}
    disk = make_disk(tmp_path / "disk.img", [Esp(files), data_partition()])
    options = command_line(checks=("disk", "efivar", "tpm", "net"))
    entry = boot_entry(disk, r"\vmlinuz", rf"initrd=\initrd.img {options}")
    write_boot_entries(firmware.variables, tmp_path / "vars.fd", [entry])
    machine = Machine(
        firmware,
        variables=tmp_path / "vars.fd",
        cpus=2,
        disks=(Disk(disk.path),),
        nic=Nic(),
        tpm="tis" if tpm == "tis" else "crb",
        provisioned_tpm=True,
    )
    vm = boot(machine)
    vm.expect("^OS:CPUS 0-1$", within=120)
    vm.expect("^OS:DISK .* read 'stored before")
    vm.expect("^OS:EFIVAR .* wrote and read back")
    assert int(vm.expect(r"^OS:TPM log of (\d+) bytes, PCR4 [1-9A-F]")[1]) > 1000
    vm.expect("^OS:NET 10.0.2.15$")
    vm.expect("^OS:DONE$")
    assert vm.wait_exit(30) == "guest-shutdown"
    assert (vm.directory / "tpm/ca/issuercert.pem").exists()


def test_machine_that_ends_before_the_marker_is_lost_and_leaves_a_log(
    boot: Boot, tmp_path: Path
) -> None:
    disk = _shell_disk(tmp_path, b"cls\r\necho PK:shell:start:0\r\nreset -s\r\n")
    vm = boot(Machine(firmware(), disks=(Disk(disk.path, bootindex=0),)))
    with pytest.raises(LostVm, match=r"ended: guest-shutdown(.|\n)*PK:shell:start:0"):
        vm.expect("this never comes", within=120)
    log = (vm.directory / "console.log").read_text()
    assert re.search(r"^\[ +\d+\.\d{3}\] PK:shell:start:0$", log, re.MULTILINE)
    assert "\x1b" not in log


def test_machine_that_hangs_or_is_killed_is_lost(boot: Boot, tmp_path: Path) -> None:
    disk = _shell_disk(tmp_path, b"echo PK:shell:start:0\r\n")
    vm = boot(Machine(firmware(), disks=(Disk(disk.path, bootindex=0),), tpm="tis"))
    vm.expect_stage("shell", "start")
    with pytest.raises(LostVm, match=r"still running"):
        vm.expect("this never comes", within=2)
    with pytest.raises(LostVm, match="still running"):
        vm.wait_exit(1)
    vm.kill()
    with pytest.raises(LostVm, match="ended: QEMU exit status -9"):
        vm.expect("this never comes", within=10)


def test_machine_is_ended_at_its_limit(boot: Boot, tmp_path: Path) -> None:
    disk = _shell_disk(tmp_path, b"echo PK:shell:start:0\r\n")
    vm = boot(Machine(firmware(), disks=(Disk(disk.path, bootindex=0),)), limit_s=3)
    with pytest.raises(LostVm, match="ended by its limit of 3 s"):
        vm.expect("this never comes", within=60)


def test_stage_with_another_status_is_lost_at_once(boot: Boot, tmp_path: Path) -> None:
    disk = _shell_disk(tmp_path, b"echo PK:shell:start:0x8000000000000003\r\n")
    vm = boot(Machine(firmware(), disks=(Disk(disk.path, bootindex=0),)))
    with pytest.raises(LostVm, match="0x8000000000000003 where status 0 was expected"):
        vm.expect_stage("shell", "start", within=60)


def test_memory_screen_and_typing_from_outside(boot: Boot, tmp_path: Path) -> None:
    disk = _shell_disk(tmp_path, b"echo PK:shell:start:0\r\n")
    vm = boot(Machine(firmware(), disks=(Disk(disk.path, bootindex=0),), memory_file=True))
    vm.expect_stage("shell", "start")
    vm.send("echo ty^ped\r")  # the shell takes the caret out
    vm.expect("^typed$")
    vm.stop()
    first, second = (vm.read_memory(0, 1 << 20) for _ in range(2))
    assert first == second
    assert b"IBI SYST" in vm.read_memory(0, vm.machine.memory_mib << 20)
    vm.cont()
    vm.screenshot(tmp_path / "screen.png")
    assert (tmp_path / "screen.png").read_bytes().startswith(b"\x89PNG")
    assert vm.cpu_seconds() > 1


def test_files_come_back_from_an_esp(tmp_path: Path) -> None:
    disk = make_disk(tmp_path / "disk.img", [Esp({"EFI/a.txt": b"one", "b.txt": b"two"})])
    add_files(disk, {"EFI/a.txt": b"three", "EFI/deep/c.txt": b"four"})
    names = ("EFI/a.txt", "b.txt", "EFI/deep/c.txt")
    assert [read_file(disk, name) for name in names] == [b"three", b"two", b"four"]


def test_same_files_give_the_same_layout(tmp_path: Path) -> None:
    disks = [make_disk(tmp_path / name, [Esp({"a": b"a"})]) for name in ("one", "two")]
    assert disks[0].partitions == disks[1].partitions
    first, second = (disk.path.read_bytes()[: 1 << 20] for disk in disks)
    assert first == second


@pytest.mark.parametrize(
    ("version", "variant"),
    [("2025.02", "secboot"), ("2022.11", "ms")]
    + [
        pytest.param(version, variant, marks=pytest.mark.matrix)
        for version, variant in [
            *(("2022.11", "secboot"), ("2022.11", "snakeoil"), ("2025.02", "snakeoil")),
            *(("2025.02", "ms"), ("2025.02", "strictnx")),
        ]
    ],
)
def test_firmware_variants_enforce_secure_boot_where_they_have_keys(
    version: str, variant: str, boot: Boot, tmp_path: Path
) -> None:
    disk = _shell_disk(tmp_path, b"echo PK:shell:start:0\r\nreset -s\r\n")
    vm = boot(Machine(firmware(version, variant), disks=(Disk(disk.path, bootindex=0),)))
    expected = "Access Denied" if variant in ("snakeoil", "ms") else "PK:shell:start:0"
    assert vm.expect("Access Denied|PK:shell:start:0", within=120)[0] == expected


def test_snakeoil_firmware_starts_what_its_key_signed(
    firmware: Firmware, boot: Boot, tmp_path: Path
) -> None:
    key, certificate = snakeoil_key(firmware.version)
    shell = SHELL.files()["shellx64.efi"]
    assert isinstance(shell, Path)
    signed = tmp_path / "signed.efi"
    run(["sbsign", "--key", key, "--cert", certificate, "--output", signed, shell], timeout_s=60)
    disk = _shell_disk(tmp_path, b"echo PK:shell:start:0\r\n")
    add_files(disk, {"EFI/BOOT/BOOTX64.EFI": signed})
    enforcing = ovmf.firmware(firmware.version, "snakeoil")
    vm = boot(Machine(enforcing, disks=(Disk(disk.path, bootindex=0),)))
    vm.expect_stage("shell", "start", within=120)


def test_full_variable_store_is_an_error() -> None:
    store = firmware().variables.read_bytes()
    with pytest.raises(FormatError, match="full"):
        add_variables(store, {"Boot0001": bytes(1 << 20)})


def test_console_keeps_what_comes_while_nobody_reads(artefacts: Path, tmp_path: Path) -> None:
    script = b"echo PK:shell:start:0\r\nfor %i run (1 500)\r\necho line %i of so many lines that it"
    script += b" has room nowhere\r\nendfor\r\nreset -s\r\n"
    disk = _shell_disk(tmp_path, script)

    def sleep_until_the_end(_seconds: float, line: str) -> None:
        if line == "PK:shell:start:0":
            os.waitid(os.P_PID, vm.pid, os.WEXITED | os.WNOWAIT)

    machine = Machine(firmware(), disks=(Disk(disk.path, bootindex=0),))
    with Vm(machine, artefacts, limit_s=120, on_line=sleep_until_the_end) as vm:
        for number in range(1, 501):
            vm.expect(rf"^line {number} of so many lines that it has room nowhere$", within=120)
        assert vm.wait_exit(30) == "guest-shutdown"
