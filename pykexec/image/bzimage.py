# SPDX-License-Identifier: Apache-2.0
"""Linux kernels as files: what the setup header says (Linux, Documentation/arch/x86/boot.rst)."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from pykexec._native import ffi, lib
from pykexec.abi import BzimageFault
from pykexec.efi import pe
from pykexec.errors import FormatError

_VERSION = re.compile(r"\w[\w.+~-]{0,63}", re.ASCII)
_PE_OFFSET_AT, _MAJOR_IMAGE_VERSION = 0x3C, 24 + 44
_LOAD_FILE2 = 1
_FAULTS = {
    BzimageFault.TRUNCATED: "truncated Linux kernel",
    BzimageFault.NOT_BZIMAGE: "not a Linux kernel (no setup header)",
    BzimageFault.TOO_OLD: "Linux kernel with a boot protocol before 2.12",
    BzimageFault.NOT_64BIT: "not a 64-bit Linux kernel",
    BzimageFault.NOT_RELOCATABLE: "Linux kernel that is not relocatable",
    BzimageFault.NO_EFI_STUB: "Linux kernel without EFI stub (CONFIG_EFI_STUB)",
}


@dataclass(frozen=True, slots=True)
class Kernel:
    """The kernel's setup header; sizes and addresses in bytes."""

    version: str
    """As uname -r says it, "" if the header has none."""
    banner: str
    """The whole version string: version, builder, date."""
    protocol: tuple[int, int]
    cmdline_size: int
    init_size: int
    pref_address: int
    kernel_alignment: int
    loads_initrd: bool
    """Its EFI stub asks the firmware for the initramfs (LoadFile2), as Linux' does since 5.8."""


def is_bzimage(data: bytes) -> bool:
    """Whether data has the setup header's magic, whatever else is wrong with it."""
    return data[0x1FE:0x200] == b"\x55\xaa" and data[0x202:0x206] == b"HdrS"


def parse(data: bytes, source: str) -> Kernel:
    """Decode data as a kernel that EFI can start; FormatError names source and what is amiss."""
    if not data:
        raise FormatError(f"{source}: empty file, not a Linux kernel")
    header = ffi.new("struct pk_bzimage *")
    fault = BzimageFault(lib.pk_bzimage_parse(ffi.from_buffer(data), len(data), header))
    if fault == BzimageFault.NO_EFI_STUB and data[:2] == b"MZ":
        # It has one, but a broken one: say how.
        pe.check_application(data, source)
    if fault != BzimageFault.OK:
        raise FormatError(f"{source}: {_FAULTS[fault]}")
    text = _string(data, header.version_offset) if header.version_offset else ""
    version = text.partition(" ")[0]
    # It becomes a directory's name, and a line of .osrel.
    if text and not _VERSION.fullmatch(version):
        raise FormatError(f"{source}: {version!r} is no kernel version")
    return Kernel(
        version=version,
        banner=text,
        protocol=(header.protocol >> 8, header.protocol & 0xFF),
        cmdline_size=header.cmdline_size,
        init_size=header.init_size,
        pref_address=header.pref_address,
        kernel_alignment=header.kernel_alignment,
        loads_initrd=bool(_stub_version(data) & _LOAD_FILE2),
    )


def _stub_version(data: bytes) -> int:
    """MajorImageVersion, bits of what the EFI stub can do (Linux, include/linux/pe.h)."""
    pe_offset: int = struct.unpack_from("<I", data, _PE_OFFSET_AT)[0]
    version: int = struct.unpack_from("<H", data, pe_offset + _MAJOR_IMAGE_VERSION)[0]
    return version


def _string(data: bytes, offset: int) -> str:
    return data[offset : data.find(b"\0", offset)].decode("ascii", "backslashreplace")
