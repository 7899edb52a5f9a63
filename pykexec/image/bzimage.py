# SPDX-License-Identifier: Apache-2.0
"""Linux kernels as files: what the setup header says (Linux, Documentation/arch/x86/boot.rst)."""

from __future__ import annotations

from dataclasses import dataclass

from pykexec._native import ffi, lib
from pykexec.efi import pe
from pykexec.errors import FormatError


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


def is_bzimage(data: bytes) -> bool:
    """Whether data has the setup header's magic, whatever else is wrong with it."""
    return data[0x1FE:0x200] == b"\x55\xaa" and data[0x202:0x206] == b"HdrS"


def parse(data: bytes, source: str) -> Kernel:
    """Decode data as a kernel that EFI can start; FormatError names source and what is amiss."""
    if not data:
        raise FormatError(f"{source}: empty file, not a Linux kernel")
    header = ffi.new("struct pk_bzimage *")
    fault = lib.pk_bzimage_parse(ffi.from_buffer(data), len(data), header)
    if fault != lib.PK_BZIMAGE_OK:
        raise FormatError(f"{source}: {_fault(fault)}")
    pe.check_application(data, source)
    banner = _string(data, header.version_offset)
    return Kernel(
        version=banner.partition(" ")[0],
        banner=banner,
        protocol=(header.protocol >> 8, header.protocol & 0xFF),
        cmdline_size=header.cmdline_size,
        init_size=header.init_size,
        pref_address=header.pref_address,
        kernel_alignment=header.kernel_alignment,
    )


def _fault(fault: int) -> str:
    return {
        lib.PK_BZIMAGE_TRUNCATED: "truncated Linux kernel",
        lib.PK_BZIMAGE_NOT_BZIMAGE: "not a Linux kernel (no setup header)",
        lib.PK_BZIMAGE_TOO_OLD: "Linux kernel with a boot protocol before 2.12",
        lib.PK_BZIMAGE_NOT_64BIT: "not a 64-bit Linux kernel",
        lib.PK_BZIMAGE_NOT_RELOCATABLE: "Linux kernel is not relocatable",
        lib.PK_BZIMAGE_NO_EFI_STUB: "Linux kernel without EFI stub (CONFIG_EFI_STUB)",
    }[fault]


def _string(data: bytes, offset: int) -> str:
    if not offset:
        return ""
    return data[offset : data.find(b"\0", offset)].decode("ascii", "backslashreplace")
