# SPDX-License-Identifier: Apache-2.0
"""The firmware builds of Debian: OVMF's by version and variant, U-Boot's."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pykexec.errors import UsageError
from pykexec.run import run
from pykexec.vm import packages

NEWEST = "sid"
VERSIONS = tuple(version for version in packages.FIRMWARES if version != NEWEST)

# variant: (code, variables); all but plain and legacy need SMM to guard the variable store.
_VARIANTS = {
    "plain": ("OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"),
    "secboot": ("OVMF_CODE_4M.secboot.fd", "OVMF_VARS_4M.fd"),
    "strictnx": ("OVMF_CODE_4M.secboot.strictnx.fd", "OVMF_VARS_4M.fd"),
    "snakeoil": ("OVMF_CODE_4M.snakeoil.fd", "OVMF_VARS_4M.snakeoil.fd"),
    "ms": ("OVMF_CODE_4M.ms.fd", "OVMF_VARS_4M.ms.fd"),
    "legacy": ("OVMF_CODE.fd", "OVMF_VARS.fd"),
}

_ROM = "rom"
_WITHOUT_SMM = {"plain", "legacy", _ROM}


@dataclass(frozen=True, slots=True)
class Firmware:
    """Flash images of one build; variables is a template that each machine copies.

    A ROM has no variables.
    """

    version: str
    variant: str
    code: Path
    variables: Path

    @property
    def smm(self) -> bool:
        """Whether the machine must have System Management Mode."""
        return self.variant not in _WITHOUT_SMM

    @property
    def is_rom(self) -> bool:
        """Whether it is no flash, and keeps its variables elsewhere."""
        return self.variant == _ROM


def firmware(version: str = "2025.02", variant: str = "plain") -> Firmware:
    """Firmware of a version in VERSIONS, or NEWEST, in a variant.

    These are plain; secboot, which can enforce Secure Boot but has no keys; snakeoil, which does so
    with the package's test keys; ms, with Microsoft's; strictnx, from 2025.02 on, which is built
    without executable data pages; legacy, until 2022.11, of half the size.
    """
    if version not in packages.FIRMWARES or variant not in _VARIANTS:
        raise UsageError(f"no firmware {version} {variant}")
    directory = packages.fetch(packages.FIRMWARES[version]) / "usr/share/OVMF"
    code, variables = (directory / name for name in _VARIANTS[variant])
    if not code.exists():
        raise UsageError(f"OVMF {version} has no variant {variant}")
    return Firmware(version, variant, code, variables)


def u_boot() -> Firmware:
    """U-Boot, as a ROM of a machine of type pc."""
    directory = packages.fetch(packages.U_BOOT)
    rom = directory / "usr/lib/u-boot/qemu-x86_64/u-boot.rom"
    return Firmware(directory.name, _ROM, rom, rom)


def snakeoil_key(version: str = "2025.02") -> tuple[Path, Path]:
    """Private key, without password, and certificate (PEM) that version's snakeoil trusts."""
    package = packages.fetch(packages.FIRMWARES[version])
    directory = package / "usr/share/ovmf"
    key = packages.cache_dir() / f"snakeoil-{package.name}.key"
    if not key.exists():
        encrypted = directory / "PkKek-1-snakeoil.key"
        words = ["openssl", "pkey", "-in", str(encrypted), "-passin", "pass:snakeoil"]
        partial = key.with_suffix(f".{os.getpid()}")
        partial.write_bytes(run(words, timeout_s=60))
        partial.rename(key)
    return key, directory / "PkKek-1-snakeoil.pem"
