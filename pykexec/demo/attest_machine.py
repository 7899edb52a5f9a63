# SPDX-License-Identifier: Apache-2.0
"""The machine that attests: a NIC to boot from, a TPM, a disk with GRUB, and one that is locked."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pykexec.demo.attest_image import ESP_LABEL, GRUB_PATH
from pykexec.efi import pe
from pykexec.vm import packages
from pykexec.vm.disk import Esp, make_disk
from pykexec.vm.guest_os import command_line, initramfs, unlock_parameters
from pykexec.vm.kernels import Kernel
from pykexec.vm.luks import VOLUME_UUID, make_volume
from pykexec.vm.machine import Disk, Machine, Nic
from pykexec.vm.ovmf import Firmware

KEY_FILE = f"{VOLUME_UUID}.key"
"""What a luks-key of that volume becomes on the RAM disk (pykexec.attest.deliver)."""
PROOF = "what only the key of this volume can show\n"
_GRUB = "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"


def grub() -> bytes:
    """Debian's GRUB, signed: the payload."""
    return (packages.fetch(packages.PAYLOADS["grub-2.06-signed"]) / _GRUB).read_bytes()


def grub_digest() -> str:
    """Its Authenticode digest (SHA-256) in hex, as the firmware measures it."""
    data = grub()
    return pe.authenticode_digest(data, pe.parse(data, GRUB_PATH)).hex()


def make_disks(directory: Path, os_kernel: Kernel, key: bytes) -> tuple[Disk, Disk]:
    """The boot disk, in clear, and the LUKS2 volume that key opens."""
    files: dict[str, bytes | Path] = {
        GRUB_PATH[1:].replace("\\", "/"): grub(),
        "EFI/debian/grub.cfg": _grub_config(os_kernel).encode(),
        "vmlinuz": os_kernel.image,
        "initrd.img": initramfs(os_kernel, unlock=True),
    }
    disk = make_disk(directory / "disk.img", [Esp(files, label=ESP_LABEL)])
    volume = directory / "volume.img"
    make_volume(volume, key, {"proof": PROOF.encode()})
    return Disk(disk.path), Disk(volume)


def make_machine(
    fw: Firmware, nic: Nic, within: tuple[str, ...], disks: tuple[Disk, ...], tpm: Path
) -> Machine:
    """It boots from nic; its TPM's state is in tpm. Its clock is right, for certificates."""
    return Machine(
        fw,
        cpus=2,
        disks=disks,
        nic=nic,
        tpm="tis",
        tpm_directory=tpm,
        extra=("-rtc", "base=utc"),
        within=within,
    )


def digest(disk: Disk) -> str:
    """SHA-256 of all that is on it, in hex."""
    with open(disk.path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _grub_config(os_kernel: Kernel) -> str:
    more = unlock_parameters(VOLUME_UUID, KEY_FILE)
    options = command_line("grub", ("memory", "unlock", "screen"), screen=True, more=more)
    return f"""\
set timeout=1
menuentry "Debian GNU/Linux, with Linux {os_kernel.release}, on an encrypted volume" {{
search --no-floppy --file --set=root /vmlinuz
search --no-floppy --file --set=key /{KEY_FILE}
echo "The key is on ($key):"
ls ($key)/
linux /vmlinuz {options}
initrd /initrd.img
echo "PK:grub:linux:0"
boot
}}
"""
