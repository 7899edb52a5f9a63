# SPDX-License-Identifier: Apache-2.0
"""A small xen.efi as Debian's are made, and what of a launch tests begin with."""

from __future__ import annotations

import struct

from pykexec.launch.unified import Parts, unify
from tests.unit.image.inputs import OPTIONAL_SIZE, PE_OFFSET, SectionInput, kernel_bytes, pe_bytes

ANNOUNCED = "Xen 4.17.5 (c/s ) EFI loader\r\n".encode("utf-16-le")
CODE = SectionInput(".text", 0x1000, b"\xc3" * 64 + ANNOUNCED, characteristics=0x60000020)
BUILD_ID = SectionInput(".buildid", 0x2000, b"I" * 28 + b"RSDS" + b"\7" * 21)
DISCARDABLE = 0x42000040
PARTS = Parts("console=com1 dom0_mem=700M", "console=hvc0 quiet", kernel_bytes(), b"initramfs" * 99)


def xen_bytes() -> bytes:
    """Two sections to keep and one of debug information, no room for more headers, symbols behind
    them, and a debug directory that says where in the file the build's number is.
    """
    debug = SectionInput("/4", 0x3000, b"D" * 999, characteristics=DISCARDABLE)
    headers_size = PE_OFFSET + 24 + OPTIONAL_SIZE + 2 * 8 + 3 * 40
    headers_size = -(-headers_size // 32) * 32
    data = bytearray(
        pe_bytes((CODE, BUILD_ID, debug), file_alignment=32, headers_size=headers_size,
                 image_size=0x4000)
    )  # fmt: skip
    # A seventh directory, the sections' headers behind it.
    optional = PE_OFFSET + 24
    table = optional + OPTIONAL_SIZE
    headers = bytes(data[table : table + 3 * 40])
    struct.pack_into("<H", data, PE_OFFSET + 20, OPTIONAL_SIZE + 16)
    struct.pack_into("<I", data, optional + 108, 8)
    data[table : table + 16] = struct.pack("<IIII", 0x2000, 28, 0, 0)
    data[table + 16 : table + 16 + len(headers)] = headers
    at = headers_size + -(-len(CODE.data) // 32) * 32
    struct.pack_into("<I", data, at + 24, at + 28)
    struct.pack_into("<II", data, PE_OFFSET + 12, len(data), 1)
    return bytes(data) + bytes(18) + struct.pack("<I", 16) + b".debug_info\0"


def launch_bytes() -> bytes:
    """A unified image of it."""
    return unify(xen_bytes(), "xen.efi", PARTS)
