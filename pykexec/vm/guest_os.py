# SPDX-License-Identifier: Apache-2.0
"""The "second OS": a stock Debian kernel with a tiny initramfs that proves it owns the machine.

Its marks on the serial console are OS:UP, OS:VIA, OS:CPUS, OS:MEMORY, OS:DISK, OS:EFIVAR, OS:TPM,
OS:PCR, OS:UNUSED, OS:EVENTLOG, OS:NET, OS:RAMDISK, OS:KEY, OS:UNLOCKED, OS:SCREEN and OS:DONE
(guest_os.sh); the kernel command line says which checks to do and how to end.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pykexec.image import cpio, elf
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
# What ext4 sums with, before Linux 6.14 had it built in.
_OLD_MODULES = ("crc32c_generic",)
# A kernel's tests of its own ciphers take an emulated processor half a second.
_QUICK = "cryptomgr.notests mitigations=off"
_UNLOCK_MODULES = ("dm_crypt", "xts", "ecb")
_CRYPTSETUP = Path("/usr/sbin/cryptsetup")
_DIRECTORIES = ("dev", "proc", "sys", "run", "mnt")

Check = Literal[
    "memory", "disk", "efivar", "tpm", "eventlog", "pcr", "net", "ramdisk", "unlock", "screen"
]
End = Literal["poweroff", "reboot", "stay"]

DATA = "stored before the machine was switched on\n"


def initramfs(kernel: Kernel, *, unlock: bool = False) -> Path:
    """The initramfs for kernel, made once and kept beside the downloaded packages.

    unlock adds what the check of that name needs: cryptsetup, as it is on this machine.
    """
    name = f"{kernel.release}-unlock" if unlock else kernel.release
    target = packages.cache_dir() / "guest_os" / f"{name}.cpio"
    inputs = [_SCRIPT, Path(__file__), *([_CRYPTSETUP] if unlock else [])]
    newest_input = max(path.stat().st_mtime for path in inputs)
    if target.exists() and target.stat().st_mtime > newest_input:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{name}.{os.getpid()}")
    partial.write_bytes(cpio.archive(_entries(kernel, unlock)))
    partial.rename(target)
    return target


def command_line(
    via: str = "firmware",
    checks: tuple[Check, ...] = ("disk", "efivar"),
    end: End = "poweroff",
    screen: bool = False,
    more: str = "",
) -> str:
    """Kernel parameters for these checks; a missing device of an asked check is a failure.

    via is repeated in OS:VIA, to tell who passed this command line. screen shows everything on the
    first virtual terminal as well. more are further parameters, see unlock_parameters().
    """
    checks_word = ",".join(checks)
    console = "console=tty0 os.screen=/dev/tty0 " if screen else ""
    console += "console=ttyS0,115200"
    words = f"{console} panic=-1 {_QUICK} os.via={via} os.checks={checks_word} os.end={end}"
    return f"{words} {more}".strip()


def unlock_parameters(volume: uuid.UUID, key: str) -> str:
    """What the check "unlock" must know: the LUKS volume, and the key file's path on the RAM disk.

    The kernel then clears memory when it is freed, at its start for the first time: what read
    the RAM disk before it, as GRUB does to list it, leaves no copy of the key behind.
    """
    return f"init_on_free=1 os.volume={volume} os.key={key}"


def data_partition() -> Ext4:
    """The partition that the disk check reads a file from and writes one to."""
    return Ext4({"greeting": DATA.encode()}, label="osdata")


def _entries(kernel: Kernel, unlock: bool) -> Iterator[cpio.Entry]:
    yield cpio.file("init", _SCRIPT.read_bytes(), 0o755)
    yield cpio.file("bin/busybox", _BUSYBOX.read_bytes(), 0o755)
    yield cpio.link("bin/sh", "busybox")
    for name in _DIRECTORIES:
        yield cpio.directory(name)
    if unlock:
        tool = elf.Object(_CRYPTSETUP, "bin/cryptsetup")
        for path, source in elf.closure([tool]).items():
            yield cpio.file(path, source.read_bytes(), 0o755)
    names = _MODULES + (_UNLOCK_MODULES if unlock else ())
    order = load_order(kernel, names, _OLD_MODULES)
    for name, content in order:
        yield cpio.file(f"modules/{name}.ko", content)
    yield cpio.file("modules/order", "".join(f"{name}\n" for name, _ in order).encode())
