# SPDX-License-Identifier: Apache-2.0
"""The "second OS": a stock Debian kernel with a tiny initramfs that proves it owns the machine.

Its marks on the serial console are OS:UP, OS:VIA, OS:CPUS, OS:MEMORY, OS:DISK, OS:EFIVAR, OS:TPM,
OS:PCR, OS:EVENTLOG, OS:NET, OS:RAMDISK, OS:SCREEN and OS:DONE (guest_os.sh); the kernel command
line says which checks to do and how to end.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pykexec.image import cpio
from pykexec.vm import packages
from pykexec.vm.disk import Ext4
from pykexec.vm.kernels import Kernel, load_order

_BUSYBOX = Path("/bin/busybox")
_SCRIPT = Path(__file__).with_name("guest_os.sh")
_MODULES = (
    "virtio_pci",
    "virtio_blk",
    "virtio_net",
    "virtio_rng",
    "crc32c_generic",
    "ext4",
    "vfat",
    "nls_cp437",
    "nls_ascii",
    "efivarfs",
    "tpm_tis",
    "tpm_crb",
    "nfit",
    "nd_pmem",
)
_DIRECTORIES = ("dev", "proc", "sys", "run", "mnt")

Check = Literal["memory", "disk", "efivar", "tpm", "eventlog", "pcr", "net", "ramdisk", "screen"]
End = Literal["poweroff", "reboot", "stay"]

DATA = "stored before the machine was switched on\n"


def initramfs(kernel: Kernel) -> Path:
    """The initramfs for kernel, made once and kept beside the downloaded packages."""
    target = packages.cache_dir() / "guest_os" / f"{kernel.release}.cpio"
    newest_input = max(_SCRIPT.stat().st_mtime, Path(__file__).stat().st_mtime)
    if target.exists() and target.stat().st_mtime > newest_input:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(f".{os.getpid()}")
    partial.write_bytes(cpio.archive(_entries(kernel)))
    partial.rename(target)
    return target


def command_line(
    via: str = "firmware",
    checks: tuple[Check, ...] = ("disk", "efivar"),
    end: End = "poweroff",
    screen: bool = False,
) -> str:
    """Kernel parameters for these checks; a missing device of an asked check is a failure.

    via is repeated in OS:VIA, to tell who passed this command line. screen shows everything on the
    first virtual terminal as well.
    """
    checks_word = ",".join(checks)
    console = "console=tty0 os.screen=/dev/tty0 " if screen else ""
    console += "console=ttyS0,115200"
    return f"{console} panic=-1 os.via={via} os.checks={checks_word} os.end={end}"


def data_partition() -> Ext4:
    """The partition that the disk check reads a file from and writes one to."""
    return Ext4({"greeting": DATA.encode()}, label="osdata")


def _entries(kernel: Kernel) -> Iterator[cpio.Entry]:
    yield cpio.file("init", _SCRIPT.read_bytes(), 0o755)
    yield cpio.file("bin/busybox", _BUSYBOX.read_bytes(), 0o755)
    yield cpio.link("bin/sh", "busybox")
    for name in _DIRECTORIES:
        yield cpio.directory(name)
    order = load_order(kernel, _MODULES)
    for name, content in order:
        yield cpio.file(f"modules/{name}.ko", content)
    yield cpio.file("modules/order", "".join(f"{name}\n" for name, _ in order).encode())
