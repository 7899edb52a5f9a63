# SPDX-License-Identifier: Apache-2.0
"""Making Xen's unified image: sections appended to the hypervisor as packaged, the same bytes for
the same inputs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pykexec.efi import pe
from pykexec.efi.unified_xen import (
    CONFIG,
    KERNEL,
    RAMDISK,
    UCODE,
    XSM,
    check_unified,
    encode_config,
)
from pykexec.errors import FormatError
from pykexec.image.assemble import append_sections
from pykexec.image.resection import make_room

XEN_SIZE = 16 << 20
"""Xen takes so much memory from its own start on for itself; its linker script pads it, without
debug information (xen/arch/x86/xen.lds.S)."""
_VERSION = re.compile(rb"X\0e\0n\0 \0((?:[0-9a-zA-Z.+~-]\0){1,32}) \0\(\0c\0/\0s\0")
_SBAT = (
    "sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md\n"
    "xen,1,The Linux Foundation,Xen,{},https://xenproject.org/\n"
    "pykexec.launch,1,pykexec,pykexec,1,README.md\n"
)


@dataclass(frozen=True, slots=True)
class Parts:
    """What goes into the image beside the hypervisor; ucode and xsm may be empty."""

    options: str
    cmdline: str
    kernel: bytes
    ramdisk: bytes
    ucode: bytes = b""
    xsm: bytes = b""


def version(xen: bytes, source: str) -> str:
    """The version that a xen.efi announces itself with; FormatError if it does not."""
    found = _VERSION.search(xen)
    if not found:
        raise FormatError(f"{source}: not a xen.efi: it does not tell its version")
    return found[1].decode("utf-16-le")


def unify(xen: bytes, source: str, parts: Parts) -> bytes:
    """xen, an EFI application that source names in errors, with all parts in it; not signed.

    Xen hands kernel and initramfs on by the page and has mapped itself in large pages: each section
    begins at the image's own alignment, none where Xen's memory is.
    """
    number = version(xen, source)
    sections = {
        ".sbat": _SBAT.format(number).encode(),
        CONFIG: encode_config(parts.options, parts.cmdline),
        UCODE: parts.ucode,
        XSM: parts.xsm,
        KERNEL: parts.kernel,
        RAMDISK: parts.ramdisk,
    }
    if pe.parse(xen, source).section(".sbat"):
        del sections[".sbat"]
    wanted = {name: data for name, data in sections.items() if data or name not in (UCODE, XSM)}
    roomy = make_room(xen, source, len(wanted))
    data = append_sections(roomy, source, wanted, lowest=XEN_SIZE)
    check_unified(data, f"{source}, unified")
    return data
