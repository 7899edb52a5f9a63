# SPDX-License-Identifier: Apache-2.0
"""What a machine has that any test with an agent may want, so that one snapshot serves them all."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pykexec import _freestanding
from pykexec.vm.disk import Esp, Files, Partition, make_disk
from pykexec.vm.guest_os import data_partition
from pykexec.vm.kernels import kernel, load_order
from pykexec.vm.machine import Nic
from pykexec.vm.ovmf import Firmware
from tests.vm import images
from tests.vm.payloads import PAYLOADS
from tests.vm.signed import SIGNED_DRIVER, SIGNED_HELLO, signed


@dataclass(frozen=True, slots=True)
class Contents:
    """Of a disk, beside the image and hello.efi: files, which firmware may make others; partitions
    behind the ESP.
    """

    files: Callable[[Firmware], Files]
    partitions: tuple[Partition, ...] = ()


HARDWARE: Mapping[str, Any] = {"cpus": 2, "tpm": "tis", "nic": Nic()}
BARE: Mapping[str, Any] = {"tpm": None, "nic": None}
NEXT_OPTIONS = "the next entry"
NETWORK_PATH = r"\EFI\network.efi"
RAMDISK = r"\ramdisk.img"
LABEL = "RAMDISK"
GREETING = b"hello from memory\r\n"
LINUX = PAYLOADS["linux-6.1-cloud"]
# That Linux, signed by whom the firmware trusts; a module of it that nobody needs, signed by its
# distribution.
SIGNED_KERNEL = r"\EFI\signed\vmlinuz"
MODULE_PATH = r"\EFI\dummy.ko"

# The specification's own namespace takes only the names that it defines.
VENDOR = uuid.UUID("0d9f7c1e-51a4-4d0c-8f6e-6b1d6a3c9e21")
NON_VOLATILE_BOOT_ONLY = 3
HIDDEN = {"PkHidden": b"only for boot services"}

_SCRIPT = b"""\
@echo -off\r
echo PK:shell:start:0\r
for %i in 0 1 2 3\r
  if exist fs%i:\\greeting.txt then\r
    type fs%i:\\greeting.txt\r
  endif\r
endfor\r
reset -s\r
"""


def _with_machine(data: bytes, machine: bytes) -> bytes:
    """A PE file for another processor."""
    offset = int.from_bytes(data[0x3C:0x40], "little") + 4
    return data[:offset] + machine + data[offset + 2 :]


def bad_files() -> dict[str, bytes | Path]:
    """No payloads, though they are named so."""
    hello = images.hello().read_bytes()
    return {
        "EFI/text.efi": b"This is no program.\n" * 100,
        "EFI/empty.efi": b"",
        "EFI/short.efi": hello[:3000],
        "EFI/arm.efi": _with_machine(hello, b"\x64\xaa"),
    }


@cache
def network() -> Path:
    """The application that looks at the network."""

    def make(path: Path) -> None:
        _freestanding.build_payload(images.CSRC, "network", path)

    return images.kept("network", ".efi", make, images.sources())


@cache
def volume() -> Path:
    """A disk image, for RAM disks: applications, a script for a shell, a text."""
    shell = PAYLOADS["efi-shell"].files()["shellx64.efi"]
    assert isinstance(shell, Path)
    files: dict[str, bytes | Path] = {
        "hello.efi": images.hello(),
        "shellx64.efi": shell,
        "startup.nsh": _SCRIPT,
        "greeting.txt": GREETING,
    }

    def make(path: Path) -> None:
        esp = Esp(files, label=LABEL, guid=uuid.UUID(int=7))
        make_disk(path, [esp], guid=uuid.UUID(int=8))

    key = hashlib.sha256(shell.read_bytes()).hexdigest()
    return images.kept("volume", ".img", make, images.sources(), key)


def module() -> bytes:
    """What is at MODULE_PATH."""
    return load_order(kernel("6.1-cloud"), ["dummy"])[-1][1]


def _everything(firmware: Firmware) -> Files:
    keyed = {
        SIGNED_HELLO: signed(images.hello(), firmware),
        SIGNED_DRIVER: signed(images.driver(), firmware),
        SIGNED_KERNEL: signed(kernel("6.1-cloud").image, firmware),
    }
    return {
        **{name[1:].replace("\\", "/"): path for name, path in keyed.items()},
        **bad_files(),
        **LINUX.files(),
        NETWORK_PATH[1:].replace("\\", "/"): network(),
        RAMDISK[1:]: volume(),
        MODULE_PATH[1:].replace("\\", "/"): module(),
    }


def _payloads(firmware: Firmware) -> Files:
    return {path: file for name in ON_ONE_DISK for path, file in PAYLOADS[name].files().items()}


USUAL = Contents(_everything)
# Payloads that do not mind each other.
ON_ONE_DISK = (
    *("grub-2.12", "shim", "systemd-boot-257", "uki-257", "refind-0.14", "efi-shell", "ipxe"),
    "memtest86+-7.20",
)
ALL_PAYLOADS = Contents(_payloads, (data_partition(),))
