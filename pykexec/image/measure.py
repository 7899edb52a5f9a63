# SPDX-License-Identifier: Apache-2.0
"""The value that PCR 11 has once the stub has measured a unified kernel image.

The stub extends PCR 11 as systemd-stub does: for every section that is present, in the order of
SECTION_ORDER, first with the hash of the section's name and its terminating NUL, then with the hash
of its contents, VirtualSize bytes. systemd 252 measures no .uname and no .sbat; 253 and later do,
in this order (src/fundamental/uki.h), and our stub with them. Sections that are not named here are
not measured.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from pykexec.efi import pe

PCR = 11
"""The register (TPM2_PCR_KERNEL_BOOT of systemd)."""

SECTION_ORDER = (
    ".linux",
    ".osrel",
    ".cmdline",
    ".initrd",
    ".splash",
    ".dtb",
    ".uname",
    ".sbat",
    ".pcrpkey",
)
"""The order in which sections are measured, whatever their order in the file."""

BANKS = ("sha1", "sha256", "sha384", "sha512")
"""TPM banks that are predicted."""


def extend(bank: str, value: bytes, data: bytes) -> bytes:
    """The register's value after TPM2_PCR_Event with data: hash(value || hash(data))."""
    return hashlib.new(bank, value + hashlib.new(bank, data).digest()).digest()


def predict(sections: Mapping[str, bytes], bank: str = "sha256") -> bytes:
    """PCR 11 of one bank after sections (name to contents) were measured, from a register of
    zeros.
    """
    value = bytes(hashlib.new(bank).digest_size)
    for name in SECTION_ORDER:
        if name in sections:
            value = extend(bank, value, name.encode() + b"\0")
            value = extend(bank, value, sections[name])
    return value


def predict_all(sections: Mapping[str, bytes]) -> dict[str, bytes]:
    """predict() for every bank."""
    return {bank: predict(sections, bank) for bank in BANKS}


def measured_sections(data: bytes, image: pe.Image) -> dict[str, bytes]:
    """The contents of those sections of a PE image that are measured; a second one of a name is
    ignored.
    """
    found = {name: image.section(name) for name in SECTION_ORDER}
    return {
        name: pe.section_data(data, section)
        for name, section in found.items()
        if section is not None
    }
