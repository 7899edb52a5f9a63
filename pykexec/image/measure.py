# SPDX-License-Identifier: Apache-2.0
"""What an image says of its sections, and the value of PCR 11 where the stub measures them.

A section named DESCRIPTION has the SHA-256 of the others, as one event for PCR 5: the stub logs it
as it stands. It tells people where two images differ and proves nothing, for an image can say of
itself what it likes.

By `build --measure systemd` the stub extends PCR 11, too, as systemd-stub does: for every section
that is present, in the order of SECTION_ORDER, first with the hash of the section's name and its
terminating NUL, then with the hash of its contents, VirtualSize bytes. systemd 252 measures no
.uname and no .sbat; 253 and later do, in this order (src/fundamental/uki.h), and our stub with
them. Sections that are not named here are not measured.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from pykexec.abi_devices import TpmEventConstant
from pykexec.efi import pe
from pykexec.errors import FormatError
from pykexec.firmware.measure import parse_tagged_event, tagged_event

DESCRIPTION = ".digests"
"""The section that is logged."""

PARAMETER, SYSTEMD = "pykexec.measure", "systemd"
"""On the command line: what the stub measures besides."""

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

_SBAT = b"\npykexec,"
_SHA256 = re.compile("[0-9a-f]{64}")


def describe(sections: Mapping[str, bytes]) -> bytes:
    """What DESCRIPTION holds beside sections (name to contents): TCG_PCClientTaggedEvent with words
    such as ".linux=" and a SHA-256, in SECTION_ORDER.
    """
    return describe_digests(
        {
            name: hashlib.sha256(sections[name]).hexdigest()
            for name in SECTION_ORDER
            if name in sections
        }
    )


def describe_digests(digests: Mapping[str, str]) -> bytes:
    """describe() of digests in hex."""
    words = " ".join(f"{name}={digests[name]}" for name in SECTION_ORDER if name in digests)
    return tagged_event(TpmEventConstant.TAG_SECTIONS, words.encode())


def parse_description(data: bytes) -> dict[str, str]:
    """The digests of describe(), by section; FormatError if that is no such event."""
    tag, words = parse_tagged_event(data)
    if tag != TpmEventConstant.TAG_SECTIONS:
        raise FormatError(f"an event with the tag {tag:#x}")
    found = {}
    for word in words.decode("ascii", "replace").split():
        name, _, digest = word.partition("=")
        if name in SECTION_ORDER and _SHA256.fullmatch(digest):
            found[name] = digest
    return found


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
