# SPDX-License-Identifier: Apache-2.0
"""A payload started by the firmware itself: what starting it through us is compared with."""

from __future__ import annotations

from pathlib import Path

from pykexec.vm.bootvars import boot_entry, write_boot_entries
from pykexec.vm.disk import Esp, Files, make_disk
from pykexec.vm.guest_os import data_partition
from pykexec.vm.machine import Disk, Machine
from pykexec.vm.ovmf import Firmware
from pykexec.vm.vm import Vm
from tests.vm.boot import Boot
from tests.vm.payloads import Payload


def payload_machine(
    payload: Payload,
    firmware: Firmware,
    directory: Path,
    files: Files,
    path: str,
    options: str = "",
) -> Machine:
    """A machine for payload whose only boot entry is path; its disk has files."""
    disk = make_disk(directory / "disk.img", [Esp(files), data_partition()])
    entry = boot_entry(disk, path, options, payload.name)
    write_boot_entries(firmware.variables, directory / "variables.fd", [entry])
    return Machine(
        firmware,
        variables=directory / "variables.fd",
        cpu=payload.cpu,
        memory_mib=payload.memory_mib,
        disks=(Disk(disk.path),),
        nic=payload.nic(directory),
    )


def direct_machine(payload: Payload, firmware: Firmware, directory: Path) -> Machine:
    """A machine that starts payload at once."""
    return payload_machine(
        payload, firmware, directory, payload.files(), payload.path, payload.options
    )


def check_direct(payload: Payload, firmware: Firmware, boot: Boot, directory: Path) -> None:
    """Boot payload without us, wait for all of its proof and for its own end."""
    expect_proof(boot(direct_machine(payload, firmware, directory)), payload)


def expect_proof(vm: Vm, payload: Payload) -> None:
    """Wait for all that payload prints when it works, and for its own end."""
    for pattern in payload.proof:
        vm.expect(pattern, within=120)
    if payload.ends:
        assert vm.wait_exit(60) == payload.ends
