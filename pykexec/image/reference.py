# SPDX-License-Identifier: Apache-2.0
"""Reference values of an image: what a verifier compares evidence with (RFC 9334)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from pykexec.efi import pe
from pykexec.errors import FormatError
from pykexec.firmware import description
from pykexec.image import measure

VERSION = 1


def reference_values(data: bytes, source: str) -> dict[str, object]:
    """Reference values of a unified kernel image; FormatError if it is none.

    Digests are in hex, by bank. sections are those of the contents; described: the image has the
    same of itself, for the stub to log. pcr11 is there only of an image that extends it. The same
    image gives the same values.
    """
    image = pe.check_application(data, source)
    sections = description.measured_sections(data, image)
    if ".linux" not in sections:
        raise FormatError(f"{source}: no section .linux: not a unified kernel image")
    release = description.os_release(sections.get(".osrel", b""))
    own = image.section(description.DESCRIPTION)
    described = own is not None and pe.section_data(data, own) == description.describe(sections)
    pcr11 = measure.expected(sections)
    return {
        "version": VERSION,
        "name": release.get("PRETTY_NAME", "image"),
        "pykexec": release.get("VERSION_ID", "") if release.get("ID") == "pykexec" else "",
        "kernel": description.section_text(sections.get(".uname", b"")),
        "cmdline": description.section_text(sections.get(".cmdline", b"")),
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "authenticode": {
            bank: pe.authenticode_digest(data, image, bank).hex() for bank in measure.BANKS
        },
        **({"pcr11": {bank: value.hex() for bank, value in pcr11.items()}} if pcr11 else {}),
        "described": described,
        "sections": {
            name: {bank: hashlib.new(bank, sections[name]).hexdigest() for bank in measure.BANKS}
            for name in description.SECTION_ORDER
            if name in sections
        },
    }


def encode_reference(values: Mapping[str, object]) -> bytes:
    """The file of reference values: JSON, the same bytes for the same values."""
    return json.dumps(values, indent=2, ensure_ascii=False).encode() + b"\n"
