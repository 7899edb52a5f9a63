# SPDX-License-Identifier: Apache-2.0
"""What the stub and the firmware say about themselves: identity, memory, TPM, last outcome."""

from __future__ import annotations

from dataclasses import dataclass

from pykexec.abi import (
    AccidentKind,
    Action,
    InfoFlag,
    Limit,
    MemoryMapKind,
    Op,
    Stage,
    Struct,
    text,
)
from pykexec.firmware.mailbox import Mailbox, Request
from pykexec.firmware.status import status_name
from pykexec.firmware.wire import (
    answer_error,
    enum_member,
    enum_word,
    pack,
    struct_size,
    unpack,
)
from pykexec.memory import MemoryDescriptor, MemoryMap, Range

_EFI_MEMORY_DESCRIPTOR_SIZE = 40


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the last Linux or payload ended; stage is "" while nothing has."""

    nr_runs: int
    stage: str
    status: int
    action: str

    def __str__(self) -> str:
        if not self.stage:
            return "none yet"
        return f"{self.stage}: {status_name(self.status)}, action {self.action}"


@dataclass(frozen=True, slots=True)
class Accident:
    """Why the start before this one ended by a reset; kind is none if it did not.

    number is an operation's, 0 for a runtime service, or a bank of machine check registers, whose
    status detail is; address is that of an instruction.
    """

    kind: str
    number: int
    detail: int
    address: int

    def __bool__(self) -> bool:
        return self.kind != "none"

    def __str__(self) -> str:
        if self.kind == "hang":
            what = enum_word(Op, self.number) if self.number else "a runtime service"
            return f"the firmware did not come back from {what}"
        where = f"{self.kind.replace('-', ' ')} in the firmware at {self.address:#x}"
        if self.kind == "machine-check":
            return f"{where}, bank {self.number} says {self.detail:#x}"
        return where


@dataclass(frozen=True, slots=True)
class FirmwareInfo:
    """The answer to PK_OP_INFO; boot_volume is a handle, 0 if the image came from no volume."""

    vendor: str
    revision: int
    uefi_revision: str
    secure_boot: bool
    tpm: bool
    measured: bool
    log_full: bool
    shell: bool
    tsc_khz: int
    nr_switches: int
    arena_peak: int
    nr_handles: int
    boot_volume: int
    image_path: str
    outcome: Outcome
    accident: Accident


@dataclass(frozen=True, slots=True)
class TpmInfo:
    """EFI_TCG2's capabilities; the banks are EFI_TCG2_EVENT_ALGORITHM_BITMAP."""

    present: bool
    manufacturer: str
    active_banks: int
    supported_banks: int


def decode_outcome(raw: Struct) -> Outcome:
    """A pk_outcome struct as a value."""
    return Outcome(
        nr_runs=raw.nr_runs,
        stage=enum_word(Stage, raw.stage) if raw.stage else "",
        status=raw.status,
        action=enum_word(Action, raw.action),
    )


def decode_info(body: bytes) -> FirmwareInfo:
    """A pk_info struct as a value."""
    raw = unpack("pk_info", body, 0, "info")
    revision = raw.uefi_revision
    return FirmwareInfo(
        vendor=text(raw.vendor),
        revision=raw.firmware_revision,
        uefi_revision=_revision(revision >> 16, revision & 0xFFFF),
        secure_boot=bool(raw.flags & InfoFlag.SECURE_BOOT),
        tpm=bool(raw.flags & InfoFlag.TPM),
        measured=bool(raw.flags & InfoFlag.MEASURED),
        log_full=bool(raw.flags & InfoFlag.LOG_FULL),
        shell=bool(raw.flags & InfoFlag.SHELL),
        tsc_khz=raw.tsc_khz,
        nr_switches=raw.nr_switches,
        arena_peak=raw.arena_peak,
        nr_handles=raw.nr_handles,
        boot_volume=raw.boot_volume,
        image_path=text(raw.image_path),
        outcome=decode_outcome(raw.outcome),
        accident=_decode_accident(raw.accident),
    )


def _decode_accident(raw: Struct) -> Accident:
    return Accident(enum_word(AccidentKind, raw.kind), raw.number, raw.detail, raw.address)


def _revision(major: int, minor: int) -> str:
    """UEFI 2.10, 4.2.1: the low half is minor * 10 plus the errata's digit."""
    return f"{major}.{minor // 10}" + (f".{minor % 10}" if minor % 10 else "")


def read_info(mailbox: Mailbox) -> FirmwareInfo:
    """Who the firmware is, and what has happened since it started us."""
    return decode_info(mailbox.ask(Request(Op.INFO, "info")))


def read_memory_map(mailbox: Mailbox, kind: str = "firmware") -> MemoryMap:
    """GetMemoryMap's answer now (kind "firmware"), or what Linux was given (kind "linux")."""
    body = pack("pk_memory_map_request", kind=enum_member(MemoryMapKind, kind))
    return decode_memory_map(mailbox.ask(Request(Op.MEMORY_MAP, "memory map", body)))


def decode_memory_map(body: bytes) -> MemoryMap:
    """A pk_memory_map_reply and its descriptors, sorted by address."""
    import struct

    head = unpack("pk_memory_map_reply", body, 0, "memory map")
    offset = struct_size("pk_memory_map_reply")
    step = head.descriptor_size
    if step < _EFI_MEMORY_DESCRIPTOR_SIZE or len(body) - offset < step * head.nr_descriptors:
        fault = f"{head.nr_descriptors} descriptors of {step} bytes"
        raise answer_error("memory map", 0, fault)
    descriptors = []
    for i in range(head.nr_descriptors):
        type_, start, pages, attribute = struct.unpack_from("<I4xQ8xQQ", body, offset + i * step)
        place = Range(start, start + pages * Limit.PAGE_SIZE)
        descriptors.append(MemoryDescriptor(place, type_, attribute))
    return MemoryMap(tuple(sorted(descriptors, key=lambda item: item.range.start)))


def read_tpm_info(mailbox: Mailbox) -> TpmInfo:
    """Which TPM the firmware has; FirmwareError (ENOENT) where it has none."""
    raw = unpack("pk_tpm_info", mailbox.ask(Request(Op.TPM_INFO, "TPM")), 0, "TPM")
    # EDK II hands on the TPM's bytes as they came, whatever the processor's order.
    maker = int(raw.manufacturer).to_bytes(4, "little").strip(b"\0 ").decode("ascii", "replace")
    return TpmInfo(bool(raw.present), maker, raw.active_banks, raw.supported_banks)
