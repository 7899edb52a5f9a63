# SPDX-License-Identifier: Apache-2.0
"""The machine of the device benchmarks: two scratch disks, a NIC, a TPM, and what runs there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pykexec import _freestanding
from pykexec.image import cpio
from pykexec.vm import guest_os
from pykexec.vm.bootvars import boot_entry
from pykexec.vm.disk import Esp, make_disk
from pykexec.vm.kernels import Kernel, kernel, load_order
from pykexec.vm.machine import Disk, Machine, Nic
from tests.bench.facts import number, text
from tests.bench.inputs import IMAGE_PATH, Inputs, on_disk
from tests.bench.worlds import DISKS, LIMITED
from tests.vm import images

APPLICATIONS = ("blockbench", "netbench", "tpmbench")
NATIVE_PATH = r"\bench\vmlinuz"
NATIVE_OPTIONS = rf"initrd=\bench\initrd.img {guest_os.command_line(checks=(), end='stay')}"
NATIVE_START = "while read name; do insmod /bench/$name.ko || exit 1; done </bench/order"
WINDOW_ARGUMENTS = " ".join(
    [f"'{text('BENCH_DISK_MAGIC')}'"]
    + [str(number(f"BENCH_{name}")) for name in ("ROUNDS", "AREA_START", "AREA_SIZE")]
)
LIMIT_MIB_PER_S = 100
_NATIVE_MODULES = ("ahci", "sd_mod")
_INTERFACES: tuple[Literal["virtio", "ahci"], ...] = ("virtio", "ahci")
_ESP_MIB = 200


def application_path(name: str) -> str:
    """Where the disk has csrc/payload/<name>.c."""
    return rf"\bench\{name}.efi"


def native_kernel(inputs: Inputs) -> Kernel:
    """The generic kernel of the same version: the one for clouds has no driver for AHCI."""
    return kernel(inputs.kernel_name.replace("cloud", "generic"))


def devices_machine(inputs: Inputs) -> Machine:
    """A machine that boots the image with scripts and may start the native kernel."""
    native = native_kernel(inputs)
    initrd = inputs.directory / "native.img"
    ours = cpio.archive(_native_files(native, inputs.tools))
    initrd.write_bytes(guest_os.initramfs(native).read_bytes() + ours)
    files = {
        on_disk(IMAGE_PATH): inputs.with_scripts,
        on_disk(NATIVE_PATH): native.image,
        "bench/initrd.img": initrd,
        **{on_disk(application_path(name)): _application(inputs, name) for name in APPLICATIONS},
    }
    disk = make_disk(inputs.directory / "devices.img", [Esp(files, _ESP_MIB)])
    machine = inputs.machine("devices", disk, boot_entry(disk, IMAGE_PATH, title="pykexec"), True)
    return replace(with_scratch_disks(machine, inputs.directory), nic=Nic())


def with_scratch_disks(machine: Machine, directory: Path) -> Machine:
    """machine with DISKS, whose files are in directory."""
    paths = [_scratch(directory, i) for i in range(len(DISKS))]
    disks = [Disk(paths[DISKS.index(name)], interface=name) for name in _INTERFACES]
    extra = (*machine.extra, *_limited(paths[DISKS.index(LIMITED)]))
    return replace(machine, disks=(*machine.disks, *disks), extra=extra)


def _application(inputs: Inputs, name: str) -> Path:
    path = inputs.directory / f"{name}.efi"
    _freestanding.build_payload(images.CSRC, name, path)
    return path


def _native_files(native: Kernel, tools: Path) -> Iterator[cpio.Entry]:
    yield cpio.directory("bench")
    for tool in sorted(tools.iterdir()):
        yield cpio.file(f"bench/{tool.name}", tool.read_bytes(), 0o755)
    order = load_order(native, _NATIVE_MODULES)
    for name, content in order:
        yield cpio.file(f"bench/{name}.ko", content)
    yield cpio.file("bench/order", "".join(f"{name}\n" for name, _ in order).encode())


def _limited(path: Path) -> tuple[str, ...]:
    """A disk on virtio that is no faster than real ones.

    The others are as fast as the host copies memory, next to a processor that is emulated.
    """
    limit = f"throttling.bps-total={LIMIT_MIB_PER_S << 20}"
    drive = f"if=none,id=limited,format=raw,file={path},{limit}"
    return ("-drive", drive, "-device", "virtio-blk-pci,drive=limited")


def _scratch(directory: Path, disk: int) -> Path:
    """A disk without holes, so that the first write to a place is like any other."""
    path = directory / f"scratch-{disk}.img"
    size = 2 * number("BENCH_AREA_START") + number("BENCH_AREA_SIZE")
    with open(path, "wb") as file:
        file.write(f"{text('BENCH_DISK_MAGIC')}{disk}".encode())
        file.truncate(number("BENCH_AREA_START"))
        file.seek(0, 2)
        for _ in range(0, size - file.tell(), 1 << 20):
            file.write(b"\xa5" * (1 << 20))
    return path
