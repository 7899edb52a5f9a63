# SPDX-License-Identifier: Apache-2.0
"""The machine that attests: a NIC to boot from, a TPM, a disk with the payload, one that is
locked."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pykexec.demo.attest_image import ESP_LABEL, PAYLOAD_PATH
from pykexec.efi import pe
from pykexec.image import SigningKey, assemble
from pykexec.image.sign import sign
from pykexec.vm import packages
from pykexec.vm.disk import Esp, make_disk
from pykexec.vm.guest_os import Check, command_line, initramfs, unlock_parameters
from pykexec.vm.kernels import Kernel
from pykexec.vm.luks import VOLUME_UUID, make_volume
from pykexec.vm.machine import Disk, Machine, Nic
from pykexec.vm.ovmf import Firmware

KEY_FILE = f"{VOLUME_UUID}.key"
"""What a luks-key of that volume becomes on the RAM disk (pykexec.attest.deliver)."""
PROOF = "what only the key of this volume can show\n"
_STUB = "usr/lib/systemd/boot/efi/linuxx64.efi.stub"


def make_payload(os_kernel: Kernel, signing: SigningKey) -> bytes:
    """A unified kernel image, signed: the whole of what runs once the key is within reach."""
    checks: tuple[Check, ...] = ("memory", "unlock", "screen")
    more = unlock_parameters(VOLUME_UUID, KEY_FILE)
    parts = {
        ".osrel": b"ID=pykexec-demo\n",
        ".cmdline": command_line("uki", checks, screen=True, more=more).encode(),
        ".uname": os_kernel.release.encode(),
        ".initrd": initramfs(os_kernel, unlock=True).read_bytes(),
        ".linux": os_kernel.image.read_bytes(),
    }
    stub = packages.fetch(packages.PAYLOADS["systemd-boot-257"]) / _STUB
    return sign(assemble.append_sections(stub.read_bytes(), str(stub), parts), signing)


def authenticode(image: bytes, what: str) -> str:
    """Its Authenticode digest (SHA-256) in hex, as the firmware measures it."""
    return pe.authenticode_digest(image, pe.parse(image, what)).hex()


def make_disks(directory: Path, payload: bytes, key: bytes) -> tuple[Disk, Disk]:
    """The boot disk, in clear, and the LUKS2 volume that key opens."""
    files: dict[str, bytes | Path] = {PAYLOAD_PATH[1:].replace("\\", "/"): payload}
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
