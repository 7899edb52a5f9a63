# SPDX-License-Identifier: Apache-2.0
"""Generations of the kernel among those of the image (SBAT.md of rhboot/shim).

shim looks at .sbat of what it starts, and at none inside of that: without this a kernel's
generation, which distributions raise for a hole, would revoke no image that has that kernel.
"""

from __future__ import annotations

import struct

from pykexec.efi import pe
from pykexec.errors import FormatError

_NAME = ".sbat"
_OWN_VERSION = b"sbat,"
_VIRTUAL_SIZE_AT = 8  # in a section's header


def with_kernel(stub: bytes, source: str, kernel: bytes, kernel_source: str) -> bytes:
    """The stub, whose .sbat has the kernel's lines behind its own; as it is where the kernel has
    none. FormatError names the stub where these do not fit, or it has no such section.
    """
    given = _lines(kernel, pe.parse(kernel, kernel_source))
    if not given:
        return stub
    image = pe.check_application(stub, source)
    section = image.section(_NAME)
    if section is None:
        raise FormatError(f"{source}: no section {_NAME} for what {kernel_source} has")
    own = _lines(stub, image)
    more = [line for line in given if line not in own and not line.startswith(_OWN_VERSION)]
    content = b"".join(line + b"\n" for line in (*own, *more))
    if len(content) > section.file_size:
        fault = f"{kernel_source} needs {len(content)} bytes of {_NAME}"
        raise FormatError(f"{source}: {fault}, {section.file_size} are there")
    out = bytearray(stub)
    out[section.file_offset : section.file_offset + section.file_size] = content.ljust(
        section.file_size, b"\0"
    )
    header = image.section_table + pe.SECTION_HEADER_SIZE * image.sections.index(section)
    struct.pack_into("<I", out, header + _VIRTUAL_SIZE_AT, len(content))
    return bytes(out)


def _lines(data: bytes, image: pe.Image) -> list[bytes]:
    section = image.section(_NAME)
    text = pe.section_data(data, section).split(b"\0")[0] if section else b""
    return [line for line in text.splitlines() if line]
