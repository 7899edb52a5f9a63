# SPDX-License-Identifier: Apache-2.0
"""PE images of EFI as untrusted bytes: headers, sections, Authenticode digest (PE/COFF
specification 8.3).
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

from pykexec._native import ffi, lib
from pykexec.abi import PeFault
from pykexec.errors import FormatError

MACHINE_AMD64 = 0x8664
SUBSYSTEM_EFI_APPLICATION = 10
MAGIC_PE32 = 0x10B
MAGIC_PE32_PLUS = 0x20B
SECTION_HEADER_SIZE = 40

MACHINES = {
    0x014C: "i386",
    MACHINE_AMD64: "x86-64",
    0x01C0: "arm",
    0x01C2: "thumb",
    0xAA64: "aarch64",
    0x0EBC: "EFI byte code",
    0x5064: "riscv64",
    0x6264: "loongarch64",
}
SUBSYSTEMS = {
    SUBSYSTEM_EFI_APPLICATION: "EFI application",
    11: "EFI boot service driver",
    12: "EFI runtime driver",
    13: "EFI ROM",
}
_STARTED = (SUBSYSTEM_EFI_APPLICATION, 11, 12)
# Windows takes 96. Each is compared with each, and each may ask for memory that the file has not.
_SECTIONS_MAX = 1024
_ZEROS_MAX = 128 << 20
_DIRECTORY_CERTIFICATES = 4
_EXECUTE = 0x20000000
_WRITE = 0x80000000


@dataclass(frozen=True, slots=True)
class Section:
    """One row of the section table; address is relative to the image, file_offset to the file."""

    name: str
    virtual_size: int
    address: int
    file_size: int
    file_offset: int
    characteristics: int

    @property
    def end(self) -> int:
        """First address behind the section in memory."""
        return self.address + (self.virtual_size or self.file_size)

    @property
    def file_end(self) -> int:
        """First offset behind the section's bytes in the file."""
        return self.file_offset + self.file_size if self.file_offset and self.file_size else 0

    def size_in(self, file_size: int) -> int:
        """How many bytes of it, in memory, a file of file_size bytes has."""
        return max(0, min(self.virtual_size, self.file_size, file_size - self.file_offset))

    def overlaps(self, other: Section) -> bool:
        """Whether two sections claim the same memory.

        Read-only data may: the .sbat of systemd 252's stub reaches into its .sdmagic.
        """
        if not (self.characteristics | other.characteristics) & (_EXECUTE | _WRITE):
            return False
        return max(self.address, other.address) < min(self.end, other.end)

    def __str__(self) -> str:
        return f"{self.name or '(unnamed)'} [{self.address:#x}, {self.end:#x})"


@dataclass(frozen=True, slots=True)
class Image:
    """What the headers of a PE image say; the offsets of fields are offsets in the file."""

    machine: int
    characteristics: int
    magic: int
    subsystem: int
    entry: int
    section_alignment: int
    file_alignment: int
    size_of_image: int
    size_of_headers: int
    checksum: int
    pe_offset: int
    optional_offset: int
    section_table: int
    nr_directories: int
    certificate_entry: int
    """Offset of the certificate table's directory entry, 0 when the headers have none."""
    certificates_offset: int
    certificates_size: int
    sections: tuple[Section, ...]

    @property
    def checksum_offset(self) -> int:
        """Offset of the CheckSum field, which no digest covers."""
        return self.optional_offset + 64

    @property
    def section_table_end(self) -> int:
        """First offset behind the last section header."""
        return self.section_table + SECTION_HEADER_SIZE * len(self.sections)

    def section(self, name: str) -> Section | None:
        """The first section called name."""
        return next((section for section in self.sections if section.name == name), None)


def parse(data: bytes, source: str) -> Image:
    """Decode the headers of data; FormatError, which names source, unless they are whole and
    consistent, and ask for no more than the file gives and any program needs.
    """

    def fail(fault: str) -> FormatError:
        return FormatError(f"{source}: {fault}")

    if not data:
        raise fail("empty file, not a PE image")
    if data[:2] != b"MZ":
        raise fail("not a PE image (no MZ at offset 0)")
    if len(data) < 64:
        raise fail("truncated PE image (DOS header)")
    pe_offset: int = struct.unpack_from("<I", data, 60)[0]
    if len(data) < pe_offset + 24:
        raise fail(f"truncated PE image (headers at {pe_offset:#x}, {len(data)} bytes)")
    if data[pe_offset : pe_offset + 4] != b"PE\0\0":
        raise fail(f"not a PE image (no signature at {pe_offset:#x})")
    machine, nr_sections, optional_size, characteristics = struct.unpack_from(
        "<HH12xHH", data, pe_offset + 4
    )
    optional = pe_offset + 24
    table = optional + optional_size
    if nr_sections > _SECTIONS_MAX:
        raise fail(f"{nr_sections} sections, at most {_SECTIONS_MAX} are taken")
    if len(data) < table + SECTION_HEADER_SIZE * nr_sections:
        raise fail(f"truncated PE image (section table at {table:#x}, {len(data)} bytes)")
    magic: int = struct.unpack_from("<H", data, optional)[0] if optional_size >= 2 else 0
    directories = {MAGIC_PE32: 96, MAGIC_PE32_PLUS: 112}.get(magic)
    if directories is None:
        raise fail(f"not a PE image (optional header magic {magic:#x})")
    if optional_size < directories:
        raise fail(f"truncated optional header ({optional_size} bytes)")
    entry = struct.unpack_from("<I", data, optional + 16)[0]
    section_alignment, file_alignment = struct.unpack_from("<II", data, optional + 32)
    size_of_image, size_of_headers, checksum, subsystem = struct.unpack_from(
        "<IIIH", data, optional + 56
    )
    nr_directories = struct.unpack_from("<I", data, optional + directories - 4)[0]
    certificate_entry = certificates_offset = certificates_size = 0
    if nr_directories > _DIRECTORY_CERTIFICATES:
        certificate_entry = optional + directories + 8 * _DIRECTORY_CERTIFICATES
        if certificate_entry + 8 > table:
            raise fail(f"truncated optional header ({optional_size} bytes)")
        certificates_offset, certificates_size = struct.unpack_from("<II", data, certificate_entry)
    if certificates_size and certificates_offset + certificates_size > len(data):
        raise fail("truncated PE image (certificate table is outside the file)")
    sections = tuple(
        _section(data, table + SECTION_HEADER_SIZE * index) for index in range(nr_sections)
    )
    zeros = sum(section.virtual_size - section.size_in(len(data)) for section in sections)
    if zeros > _ZEROS_MAX:
        raise fail(f"its sections have {zeros} bytes that are not in the file")
    return Image(
        machine=machine,
        characteristics=characteristics,
        magic=magic,
        subsystem=subsystem,
        entry=entry,
        section_alignment=section_alignment,
        file_alignment=file_alignment,
        size_of_image=size_of_image,
        size_of_headers=size_of_headers,
        checksum=checksum,
        pe_offset=pe_offset,
        optional_offset=optional,
        section_table=table,
        nr_directories=nr_directories,
        certificate_entry=certificate_entry,
        certificates_offset=certificates_offset,
        certificates_size=certificates_size,
        sections=sections,
    )


def check_loadable(data: bytes, source: str) -> Image:
    """Parse data as an EFI application or driver that x86-64 firmware can load; FormatError names
    source and fault.
    """
    image = _parse_native(data, source)
    if image.subsystem not in _STARTED:
        name = SUBSYSTEMS.get(image.subsystem, f"subsystem {image.subsystem}")
        raise FormatError(f"{source}: {name}, neither an EFI application nor a driver")
    check_sections(data, image, source)
    return image


def check_driver(data: bytes, source: str) -> Image:
    """check_loadable() for what is to stay: an application is none."""
    image = check_loadable(data, source)
    if image.subsystem == SUBSYSTEM_EFI_APPLICATION:
        raise FormatError(f"{source}: {SUBSYSTEMS[image.subsystem]}, not a driver")
    return image


def _parse_native(data: bytes, source: str) -> Image:
    image = parse(data, source)
    if image.machine != MACHINE_AMD64:
        name = MACHINES.get(image.machine, f"{image.machine:#06x}")
        raise FormatError(f"{source}: wrong machine type: {name}, not x86-64")
    if image.magic != MAGIC_PE32_PLUS:
        raise FormatError(f"{source}: PE32, not PE32+")
    return image


def check_application(data: bytes, source: str) -> Image:
    """Parse data as an EFI application that x86-64 firmware can load; FormatError names source and
    fault.
    """
    image = _parse_native(data, source)
    if image.subsystem != SUBSYSTEM_EFI_APPLICATION:
        name = SUBSYSTEMS.get(image.subsystem, f"subsystem {image.subsystem}")
        raise FormatError(f"{source}: {name}, not an EFI application")
    check_sections(data, image, source)
    # The stub's own check has the last word; what it refuses beyond the above is rare.
    fault = PeFault(lib.pk_pe_parse(ffi.from_buffer(data), len(data), ffi.new("struct pk_pe *")))
    if fault != PeFault.OK:
        raise FormatError(f"{source}: bad PE image: {fault.name.lower().replace('_', ' ')}")
    return image


def check_sections(data: bytes, image: Image, source: str) -> None:
    """FormatError unless all sections lie inside file and image, apart from each other and the
    headers.
    """
    if not image.sections:
        raise FormatError(f"{source}: no sections")
    if not image.section_table_end <= image.size_of_headers <= len(data):
        raise FormatError(f"{source}: bad SizeOfHeaders {image.size_of_headers:#x}")
    for index, section in enumerate(image.sections):
        if section.file_end > len(data):
            raise FormatError(
                f"{source}: truncated: section {section.name} ends at {section.file_end:#x}, "
                f"the file at {len(data):#x}"
            )
        if section.end > image.size_of_image:
            raise FormatError(
                f"{source}: section {section} is outside the image, which ends at "
                f"{image.size_of_image:#x}"
            )
        if section.address < image.size_of_headers and section.end > section.address:
            raise FormatError(f"{source}: section {section} overlaps the headers")
        for other in image.sections[:index]:
            if section.overlaps(other):
                raise FormatError(f"{source}: section {section} overlaps {other}")
    if not any(section.address <= image.entry < section.end for section in image.sections):
        raise FormatError(f"{source}: entry point {image.entry:#x} is outside every section")


def section_data(data: bytes, section: Section) -> bytes:
    """The section as the firmware lays it out: VirtualSize bytes, zeros where the file has none."""
    size = section.size_in(len(data))
    content = data[section.file_offset : section.file_offset + size]
    return content.ljust(section.virtual_size, b"\0")


def authenticode_digest(data: bytes, image: Image, algorithm: str = "sha256") -> bytes:
    """The digest that signatures and the firmware's db, dbx and PCR 4 events hold (Windows
    Authenticode Portable Executable Signature Format 1.0, "Calculating the PE Image Hash").

    It covers everything but the checksum, the certificate table's directory entry and as many bytes
    at the file's end as the table has: nobody looks where it lies, so what is put behind it counts.
    A section's bytes count where its header says, also at offset 0. FormatError where sections and
    table are more than the file: firmware refuses it. A file whose size is no multiple of 8 is
    padded by the tool that signs it, and has another digest then.
    """
    end = len(data) - image.certificates_size
    digest = hashlib.new(algorithm)
    view = memoryview(data)
    digest.update(view[: image.checksum_offset])
    if image.certificate_entry:
        digest.update(view[image.checksum_offset + 4 : image.certificate_entry])
        digest.update(view[image.certificate_entry + 8 : image.size_of_headers])
    else:
        digest.update(view[image.checksum_offset + 4 : image.size_of_headers])
    hashed = image.size_of_headers
    for section in sorted(image.sections, key=lambda section: section.file_offset):
        digest.update(view[section.file_offset : section.file_offset + section.file_size])
        hashed += section.file_size
    if end < hashed < len(data):
        raise FormatError("the certificate table lies over the sections: the image has no digest")
    if hashed < end:
        digest.update(view[hashed:end])
    return digest.digest()


def _section(data: bytes, offset: int) -> Section:
    name, virtual_size, address, file_size, file_offset, characteristics = struct.unpack_from(
        "<8sIIII12xI", data, offset
    )
    return Section(
        name=name.rstrip(b"\0").decode("ascii", "backslashreplace"),
        virtual_size=virtual_size,
        address=address,
        file_size=file_size,
        file_offset=file_offset,
        characteristics=characteristics,
    )
