# SPDX-License-Identifier: Apache-2.0
"""Looking into files that pykexec deals with: images, kernels, the resume image, dumps of the
handoff.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from pykexec import abi
from pykexec._native import ffi
from pykexec.efi import pe
from pykexec.errors import FormatError
from pykexec.firmware import description
from pykexec.firmware.handoff import TraceEntry, handoff_fault, parse_handoff
from pykexec.image import assemble, bzimage, files, measure
from pykexec.image.recipe import DATA
from pykexec.log import reason
from pykexec.memory import Range

_RESUME_MARKER = b"PK:resume:"
"""What the resume image says on the console; it is no kernel, but has a kernel's header."""

_TEXT_SECTIONS = (".cmdline", ".osrel", ".uname", ".sbat")
_CERTIFICATE_TYPES = {0x0002: "Authenticode (PKCS #7)", 0x0EF0: "PKCS #1.5", 0x0EF1: "EFI GUID"}


@dataclass(frozen=True, slots=True)
class SectionReport:
    """A section; sha256 is that of its contents in memory, VirtualSize bytes."""

    name: str
    address: int
    virtual_size: int
    file_offset: int
    file_size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Signature:
    """An entry of the certificate table; size is that of the certificate."""

    kind: str
    size: int


@dataclass(frozen=True, slots=True)
class PeReport:
    """A PE image; digests in hex."""

    machine: str
    subsystem: str
    size_of_image: int
    checksum: str
    """"valid", "not valid" or "not set"."""
    sections: tuple[SectionReport, ...]
    authenticode_sha256: str
    signatures: tuple[Signature, ...]


@dataclass(frozen=True, slots=True)
class UkiReport:
    """What makes a PE image a unified kernel image: text of its sections by name, PCR 11 by
    bank where it extends that.

    pcr11_before is what it extends if its stub is ours of before 0.2, which nothing in it tells: it
    is there where the image does not describe itself, as those of now do.
    """

    texts: Mapping[str, str]
    pcr11: Mapping[str, str]
    pcr11_before: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class HandoffReport:
    """A dump of struct pk_handoff; the trace is left out of one that has a fault."""

    version: int
    resume_entry: int
    stub: Range
    arena: Range
    low: Range
    window: Range
    tsc_khz: int
    cpu: Mapping[str, int | str]
    trace: tuple[TraceEntry, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What a file is; fault is "" unless nothing can be done with it."""

    source: str
    kind: str
    """"uki", "kernel", "pe", "resume" or "handoff"."""
    size: int
    sha256: str
    fault: str
    pe: PeReport | None = None
    uki: UkiReport | None = None
    kernel: bzimage.Kernel | None = None
    handoff: HandoffReport | None = None
    resume_is_ours: bool = False
    """The file is a resume image, and the very one of this installation."""


def inspect(data: bytes, source: str) -> Report:
    """Recognise and describe data; FormatError names source if it is none of ours or cannot be
    read.
    """
    sha256 = hashlib.sha256(data).hexdigest()
    if data[:8] == struct.pack("<Q", abi.HandoffConstant.MAGIC):
        fault = handoff_fault(data)
        report = _handoff(data, source, fault)
        return Report(source, "handoff", len(data), sha256, fault, handoff=report)
    if bzimage.is_bzimage(data):
        if data[:2] != b"MZ" and _RESUME_MARKER in data:
            return _resume(data, source, sha256)
        kernel = bzimage.parse(data, source)
        image = pe.parse(data, source)
        return Report(source, "kernel", len(data), sha256, "", pe=_pe(data, image), kernel=kernel)
    image = pe.parse(data, source)
    fault = _fault(data, source)
    linux = image.section(".linux")
    if linux is None:
        return Report(source, "pe", len(data), sha256, fault, pe=_pe(data, image))
    kernel_data = pe.section_data(data, linux)
    return Report(
        source,
        "uki",
        len(data),
        sha256,
        fault,
        pe=_pe(data, image),
        uki=_uki(data, image),
        kernel=None if fault else bzimage.parse(kernel_data, f"{source}: section .linux"),
    )


def _resume(data: bytes, source: str, sha256: str) -> Report:
    own = DATA / "resume.bin"
    ours = own.is_file() and files.read(own) == data
    return Report(source, "resume", len(data), sha256, "", resume_is_ours=ours)


def _fault(data: bytes, source: str) -> str:
    try:
        pe.check_application(data, source)
    except FormatError as error:
        return reason(error, source)
    return ""


def _pe(data: bytes, image: pe.Image) -> PeReport:
    return PeReport(
        machine=pe.MACHINES.get(image.machine, f"{image.machine:#06x}"),
        subsystem=pe.SUBSYSTEMS.get(image.subsystem, str(image.subsystem)),
        size_of_image=image.size_of_image,
        checksum=_checksum(data, image),
        sections=tuple(_section(data, section) for section in image.sections),
        authenticode_sha256=pe.authenticode_digest(data, image).hex(),
        signatures=_signatures(data, image),
    )


def _checksum(data: bytes, image: pe.Image) -> str:
    if not image.checksum:
        return "not set"
    right = assemble.checksum(data, image.checksum_offset)
    return "valid" if image.checksum == right else "not valid"


def _section(data: bytes, section: pe.Section) -> SectionReport:
    return SectionReport(
        name=section.name,
        address=section.address,
        virtual_size=section.virtual_size,
        file_offset=section.file_offset,
        file_size=section.file_size,
        sha256=hashlib.sha256(pe.section_data(data, section)).hexdigest(),
    )


def _signatures(data: bytes, image: pe.Image) -> tuple[Signature, ...]:
    """The entries of the certificate table: WIN_CERTIFICATE, each at a multiple of 8."""
    found = []
    offset = image.certificates_offset
    end = offset + image.certificates_size
    while end - offset >= 8:
        length, _, kind = struct.unpack_from("<IHH", data, offset)
        if not 8 <= length <= end - offset:
            break
        found.append(Signature(_CERTIFICATE_TYPES.get(kind, f"type {kind:#x}"), length - 8))
        offset += -(-length // 8) * 8
    return tuple(found)


def _uki(data: bytes, image: pe.Image) -> UkiReport:
    sections = description.measured_sections(data, image)
    pcr11, before = measure.expected(sections), {}
    if not pcr11 and image.section(description.DESCRIPTION) is None:
        before = measure.predict_all(sections)
    return UkiReport(
        texts={
            name: sections[name].rstrip(b"\0").decode("utf-8", "backslashreplace")
            for name in _TEXT_SECTIONS
            if name in sections
        },
        pcr11={bank: value.hex() for bank, value in pcr11.items()},
        pcr11_before={bank: value.hex() for bank, value in before.items()},
    )


def _handoff(data: bytes, source: str, fault: str) -> HandoffReport:
    if len(data) < abi.sizeof("struct pk_handoff"):
        raise FormatError(f"{source}: truncated handoff ({len(data)} bytes)")
    raw = abi.unpack("struct pk_handoff", data)
    names = [name for name, _ in ffi.typeof("struct pk_cpu_context").fields if name != "reserved"]
    cpu = {name: getattr(raw.cpu, name) for name in names}
    return HandoffReport(
        version=raw.version,
        resume_entry=raw.resume_entry,
        stub=_range(raw.stub),
        arena=_range(raw.arena),
        low=_range(raw.low),
        window=_range(raw.window),
        tsc_khz=raw.tsc_khz,
        cpu={
            name: value.hex() if isinstance(value, bytes) else value for name, value in cpu.items()
        },
        trace=() if fault else parse_handoff(data, source).trace,
    )


def _range(raw: abi.Struct) -> Range:
    return Range(raw.start, raw.start + raw.size)
