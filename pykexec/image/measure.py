# SPDX-License-Identifier: Apache-2.0
"""The value of PCR 11 where the stub measures an image's sections.

By `build --measure systemd` the stub extends PCR 11, too, as systemd-stub does: for every section
that is present, in the order of SECTION_ORDER, first with the hash of the section's name and its
terminating NUL, then with the hash of its contents, VirtualSize bytes. systemd 252 measures no
.uname and no .sbat; 253 and later do, in this order (src/fundamental/uki.h), and our stub with
them. Sections that are not named here are not measured.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from pykexec.firmware.description import SECTION_ORDER

PARAMETER, SYSTEMD = "pykexec.measure", "systemd"
"""On the command line: what the stub measures besides."""

PCR = 11
"""The register (TPM2_PCR_KERNEL_BOOT of systemd)."""

BANKS = ("sha1", "sha256", "sha384", "sha512")
"""TPM banks that are predicted."""

_SBAT = b"\npykexec,"


def extend(bank: str, value: bytes, data: bytes) -> bytes:
    """The register's value after TPM2_PCR_Event with data: hash(value || hash(data))."""
    return hashlib.new(bank, value + hashlib.new(bank, data).digest()).digest()


def _extends(sections: Mapping[str, bytes]) -> bool:
    """Those with another stub than ours do, ours by the word on its command line."""
    words = sections.get(".cmdline", b"").rstrip(b"\0").decode("ascii", "replace").split(" ")
    given = next((word for word in words if word.startswith(f"{PARAMETER}=")), "")
    return _SBAT not in sections.get(".sbat", b"") or given == f"{PARAMETER}={SYSTEMD}"


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


def expected(sections: Mapping[str, bytes]) -> dict[str, bytes]:
    """predict_all() of an image that extends PCR 11 by these sections, {} of one that does not."""
    return predict_all(sections) if _extends(sections) else {}
