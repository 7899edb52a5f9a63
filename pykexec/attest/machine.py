# SPDX-License-Identifier: Apache-2.0
"""What the attester says of its machine and its payload."""

from __future__ import annotations

import hashlib
import os

from pykexec.attest.protocol import UKI_SECTIONS
from pykexec.log import printable

DMI = "/sys/class/dmi/id"
_FILES = {
    "vendor": "sys_vendor",
    "product": "product_name",
    "serial": "product_serial",
    "uuid": "product_uuid",
}
_TEXT_MAX = 256  # characters


def machine_identity(directory: str = DMI) -> dict[str, str]:
    """SMBIOS' system information (DSP0134 3.7, 7.2) as far as Linux has it; UUID in small letters.

    It is what the firmware says: an identity only together with the EK.
    """
    found = {}
    for key, name in _FILES.items():
        try:
            with open(os.path.join(directory, name), encoding="utf-8", errors="replace") as file:
                text = file.read().strip()
        except OSError:
            continue
        if text:
            found[key] = printable(text[:_TEXT_MAX])
    if "uuid" in found:
        found["uuid"] = found["uuid"].lower()
    return found


def payload_facts(path: str, data: bytes) -> dict[str, str]:
    """Of an EFI application: its path or address, its digest, the one that PCR 4 has of it, and
    what of a unified kernel image it has, if anything: a server before this knows no such key.
    """
    from pykexec.efi.pe import authenticode_digest, parse

    image = parse(data, path)
    facts = {
        "path": path,
        "sha256": hashlib.sha256(data).hexdigest(),
        "authenticode_sha256": authenticode_digest(data, image).hex(),
    }
    named = {s.name for s in image.sections if min(s.virtual_size, s.file_size)}
    sections = " ".join(name for name in UKI_SECTIONS if name in named)
    return {**facts, "sections": sections} if sections else facts
