# SPDX-License-Identifier: Apache-2.0
"""What an image says of its sections.

A section named DESCRIPTION has the SHA-256 of the others, as one event for PCR 5: the stub logs it
as it stands. It tells people where two images differ and proves nothing, for an image can say of
itself what it likes.
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


def os_release(content: bytes) -> dict[str, str]:
    """os-release(5), as far as systemd's and our own sections go."""
    pairs = (line.partition("=") for line in section_text(content).splitlines())
    return {key: value.strip("\"'") for key, equals, value in pairs if equals}


def section_text(content: bytes) -> str:
    """A section of text."""
    return content.rstrip(b"\0").decode("utf-8", "replace").strip()
