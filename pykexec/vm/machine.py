# SPDX-License-Identifier: Apache-2.0
"""What a virtual machine consists of, and the QEMU command line for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pykexec.vm import qemu
from pykexec.vm.ovmf import Firmware

MIB = 1 << 20

# cmpxchg16b of QEMU 7.2's TCG double-faults stock Linux 6.12.
# QEMU emulates "rep movsb" byte by byte: a processor that has it (erms, fsrm) would be slow
# in what kernels then use it for. Its cmpxchg16b (cx16) crashes Xen and Linux 6.12 (QEMU 7.2).
DEFAULT_CPU = "max,-cx16,-erms,-fsrm"
# Into a page that code was translated from, QEMU lets every store take a slow path: a kernel that
# is unpacked where another one has been costs seconds. A buffer of so many MiB is full, and all of
# it forgotten, in time; of what one boot needs nothing is translated twice.
_ACCELERATOR = "tcg,tb-size=64"

_SERIAL = {
    "com1": ["-serial", "chardev:serial0"],
    "com2": ["-device", "isa-serial,chardev=serial0,index=1"],
    "none": [],
}


@dataclass(frozen=True, slots=True)
class Disk:
    """A raw disk image; snapshot means that writes are thrown away at the end."""

    path: Path
    interface: Literal["virtio", "ahci", "nvme", "usb"] = "virtio"
    bootindex: int | None = None
    snapshot: bool = False


@dataclass(frozen=True, slots=True)
class Nic:
    """A card on QEMU's user network, which has DHCP, TFTP from a directory and port forwards.

    hostfwd are QEMU rules ("tcp:127.0.0.1:8022-:22"); guestfwd likewise.
    rom false leaves PXE to the firmware's own drivers. tap is an interface of Lan: it takes the
    place of the user network, or with tap_and_user it is in one network with it.
    """

    model: str = "virtio-net-pci"
    mac: str = "52:54:00:12:34:56"
    tftp: Path | None = None
    bootfile: str | None = None
    hostfwd: tuple[str, ...] = ()
    bootindex: int | None = None
    rom: bool = False
    tap: str = ""
    tap_and_user: bool = False


@dataclass(frozen=True, slots=True)
class Machine:
    """A whole machine; use dataclasses.replace() for variations of one.

    variables overrides the firmware's template. memory_file lets Vm.read_memory() see guest RAM.
    serial none leaves it without a port: its console says nothing.
    reboot false makes a guest's reset end QEMU. provisioned_tpm adds EK certificates; tpm_directory
    is that of a TPM that other machines had before (swtpm.provision() makes one). within are words
    in front of QEMU's command line, those of Lan for one. qemu is one of packages.QEMUS, "" is what
    this system has.
    """

    firmware: Firmware
    variables: Path | None = None
    cpus: int = 1
    memory_mib: int = 1024
    type: Literal["q35", "pc"] = "q35"
    pit: bool = True
    hpet: bool = True
    cpu: str = DEFAULT_CPU
    disks: tuple[Disk, ...] = ()
    nic: Nic | None = None
    tpm: Literal["tis", "crb"] | None = None
    provisioned_tpm: bool = False
    tpm_directory: Path | None = None
    memory_file: bool = False
    reboot: bool = False
    serial: Literal["com1", "com2", "none"] = "com1"
    screen: bool = True
    extra: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    qemu: str = ""


@dataclass(frozen=True, slots=True)
class Files:
    """Where the parts of one running machine live."""

    variables: Path
    serial: Path
    qmp: Path
    tpm: Path
    memory: Path


def command(machine: Machine, files: Files, *, goes_on: bool = False) -> list[str]:
    """The QEMU command line: it opens the pipes files.serial, connects to files.tpm, and then
    listens at files.qmp.

    With goes_on it waits to be given a machine that was frozen, whose RAM is files.memory.
    """
    words = [*machine.within, *qemu.command(machine.qemu), "-accel", _ACCELERATOR]
    words += ["-cpu", machine.cpu]
    words += ["-m", str(machine.memory_mib), "-smp", str(machine.cpus)]
    words += ["-nodefaults", "-no-user-config", "-rtc", "base=2025-06-01T12:00:00"]
    words += ["-display", "none", "-vga", "std" if machine.screen else "none"]
    words += ["-boot", "menu=off,splash-time=0"]
    words += _board(machine, files, goes_on)
    for number, disk in enumerate(machine.disks):
        words += _disk(number, disk)
    words += _nic(machine.nic) if machine.nic else ["-nic", "none"]
    words += ["-device", "virtio-rng-pci"]
    if machine.tpm:
        words += ["-chardev", f"socket,id=chrtpm,path={files.tpm}"]
        words += ["-tpmdev", "emulator,id=tpm0,chardev=chrtpm"]
        words += ["-device", f"tpm-{machine.tpm},tpmdev=tpm0"]
    # In this order: when QEMU listens for QMP, it has the pipes open.
    words += ["-chardev", f"pipe,id=serial0,path={files.serial}", *_SERIAL[machine.serial]]
    words += ["-qmp", f"unix:{files.qmp},server=on,wait=off", "-monitor", "none"]
    if not machine.reboot:
        words += ["-no-reboot"]
    if goes_on:
        words += ["-incoming", "defer"]
    return [*words, *machine.extra]


def ram_below_4g(machine: Machine) -> int:
    """Bytes of RAM under the PCI hole; what does not fit continues at 4 GiB (hw/i386 in QEMU)."""
    size = machine.memory_mib * MIB
    limit, when_split = {"q35": (0xB0000000, 0x80000000), "pc": (0xE0000000, 0xC0000000)}[
        machine.type
    ]
    return size if size < limit else when_split


def _board(machine: Machine, files: Files, goes_on: bool) -> list[str]:
    smm = machine.firmware.smm
    options = [machine.type, *(["smm=on"] if smm else [])]
    options += [f"{name}=off" for name in ("pit", "hpet") if not getattr(machine, name)]
    words = []
    if machine.memory_file or goes_on:
        share = "on" if machine.memory_file else "off"
        backend = f"id=pcram,size={machine.memory_mib}M,mem-path={files.memory},share={share}"
        words += ["-object", f"memory-backend-file,{backend}"]
        options += ["memory-backend=pcram"]
    words += ["-machine", ",".join(options)]
    if smm:
        words += ["-global", "driver=cfi.pflash01,property=secure,value=on"]
        words += ["-global", "ICH9-LPC.disable_s3=1"]
    code, variables = machine.firmware.code, files.variables
    if machine.firmware.is_rom:
        return [*words, "-bios", str(code)]
    words += ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={code}"]
    words += ["-drive", f"if=pflash,format=raw,unit=1,file={variables}"]
    return words


def _disk(number: int, disk: Disk) -> list[str]:
    drive = f"if=none,id=d{number},format=raw,file={disk.path}"
    device = {
        "virtio": f"virtio-blk-pci,drive=d{number}",
        "ahci": f"ide-hd,drive=d{number},bus=ide.{number}",
        "nvme": f"nvme,drive=d{number},serial=pykexec{number}",
        "usb": f"usb-storage,drive=d{number}",
    }[disk.interface]
    if disk.snapshot:
        drive += ",snapshot=on"
    if disk.bootindex is not None:
        device += f",bootindex={disk.bootindex}"
    controller = ["-device", "qemu-xhci"] if disk.interface == "usb" else []
    return ["-drive", drive, *controller, "-device", device]


def _nic(nic: Nic) -> list[str]:
    network = "user,id=n0"
    if nic.tftp:
        network += f",tftp={nic.tftp}"
    if nic.bootfile:
        network += f",bootfile={nic.bootfile}"
    network += "".join(f",hostfwd={rule}" for rule in nic.hostfwd)
    tap = f"tap,ifname={nic.tap},script=no,downscript=no,id="
    if nic.tap and nic.tap_and_user:
        # Unrestricted it would pass on, once more, what goes to the TAP.
        network += ",restrict=on"
        words = ["-netdev", network, "-netdev", f"{tap}n1"]
        words += ["-netdev", "hubport,hubid=0,id=h0,netdev=n0"]
        words += ["-netdev", "hubport,hubid=0,id=h1,netdev=n1", "-netdev", "hubport,hubid=0,id=h2"]
    else:
        words = ["-netdev", f"{tap}n0" if nic.tap else network]
    device = f"{nic.model},netdev={'h2' if nic.tap_and_user else 'n0'},mac={nic.mac}"
    if not nic.rom:
        device += ",romfile="
    if nic.bootindex is not None:
        device += f",bootindex={nic.bootindex}"
    return [*words, "-device", device]
