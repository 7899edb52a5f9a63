# SPDX-License-Identifier: Apache-2.0
"""The machines of the kernel benchmark: each boots the patched kernel, with our stub and without.

Kernel, initramfs and devices are the same in both: what differs is who drives the devices.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from pykexec.vm.bootvars import boot_entry
from pykexec.vm.disk import Esp, make_disk
from pykexec.vm.machine import Machine, Nic
from tests.bench.devices_machine import with_scratch_disks
from tests.bench.inputs import CMDLINE, IMAGE_PATH, Inputs, on_disk
from tests.vm import images

KERNEL_PATH = r"\bench\vmlinuz"
INITRD_PATH = r"\bench\initrd.img"
_ESP_MIB = 160


@dataclass(frozen=True, slots=True)
class Kit:
    """A set of devices, all of which the firmware has drivers for; tools are those to run."""

    name: str
    nic: Nic
    tpm: Literal["tis", "crb"]
    tools: tuple[str, ...]


# Only iPXE, from the card's ROM, drives an e1000e here: OVMF does not.
KITS = (
    Kit("virtio-net, TIS", Nic(), "tis", ("disk", "net", "tpm")),
    Kit("e1000e, CRB", Nic(model="e1000e", rom=True), "crb", ("net", "tpm")),
)


def with_stub(inputs: Inputs, kit: Kit) -> Machine:
    """Boots our image with the tools."""
    disk = make_disk(
        inputs.directory / "kernel.img", [Esp({on_disk(IMAGE_PATH): inputs.with_scripts}, _ESP_MIB)]
    )
    entry = boot_entry(disk, IMAGE_PATH, title="pykexec")
    return _devices(inputs, kit, inputs.machine("kernel", disk, entry, True))


def without_stub(inputs: Inputs, kit: Kit) -> Machine:
    """Boots the image's kernel and initramfs by the kernel's own EFI stub."""
    initrd = inputs.directory / "kernel-initrd.img"
    initrd.write_bytes(images.sections(inputs.with_scripts)[".initrd"])
    files = {on_disk(KERNEL_PATH): inputs.kernel.image, on_disk(INITRD_PATH): initrd}
    disk = make_disk(inputs.directory / "own.img", [Esp(files, _ESP_MIB)])
    entry = boot_entry(disk, KERNEL_PATH, rf"initrd={INITRD_PATH} {CMDLINE}")
    return _devices(inputs, kit, inputs.machine("own", disk, entry, False))


def _devices(inputs: Inputs, kit: Kit, machine: Machine) -> Machine:
    """Disks, which take time to make, only where they are measured."""
    machine = replace(machine, nic=kit.nic, tpm=kit.tpm)
    return with_scratch_disks(machine, inputs.directory) if "disk" in kit.tools else machine
