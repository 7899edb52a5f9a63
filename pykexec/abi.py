# SPDX-License-Identifier: Apache-2.0
"""Names for Python of what csrc/include/ and csrc/common/ define; values come from the C compiler.

tests/unit/test_abi.py sees to it that no enumerator of the headers is missing here.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

from pykexec._native import ffi, lib
from pykexec.errors import FormatError

if TYPE_CHECKING:
    from pykexec._native import CData, CType


class Limit(IntEnum):
    """enum pk_limits: sizes in bytes, counts in elements."""

    PAGE_SIZE = lib.PK_PAGE_SIZE
    MESSAGE_MAX = lib.PK_MESSAGE_MAX
    BATCH_MAX = lib.PK_BATCH_MAX
    HANDLE_MAX = lib.PK_HANDLE_MAX
    OPTIONS_MAX = lib.PK_OPTIONS_MAX
    DEVICE_PATH_MAX = lib.PK_DEVICE_PATH_MAX
    PATH_MAX = lib.PK_PATH_MAX
    TRACE_MAX = lib.PK_TRACE_MAX
    STATE_MAX = lib.PK_STATE_MAX
    STATE_NAME_MAX = lib.PK_STATE_NAME_MAX
    PAYLOAD_MAX = lib.PK_PAYLOAD_MAX
    ARENA_DEFAULT = lib.PK_ARENA_DEFAULT
    ARENA_MIN = lib.PK_ARENA_MIN
    PARAMETERS_MAX = lib.PK_PARAMETERS_MAX


class Component(IntEnum):
    """enum pk_component: who speaks in a marker or trace entry."""

    STUB = lib.PK_COMPONENT_STUB
    RESUME = lib.PK_COMPONENT_RESUME
    PAYLOAD = lib.PK_COMPONENT_PAYLOAD
    AGENT = lib.PK_COMPONENT_AGENT


class Stage(IntEnum):
    """enum pk_stage: how far it came."""

    START = lib.PK_STAGE_START
    SECTIONS = lib.PK_STAGE_SECTIONS
    MEASURE = lib.PK_STAGE_MEASURE
    ARENA = lib.PK_STAGE_ARENA
    KERNEL = lib.PK_STAGE_KERNEL
    CONTEXT = lib.PK_STAGE_CONTEXT
    LINUX = lib.PK_STAGE_LINUX
    EXIT_BS = lib.PK_STAGE_EXIT_BS
    RESUME = lib.PK_STAGE_RESUME
    HANDOFF = lib.PK_STAGE_HANDOFF
    FIRMWARE = lib.PK_STAGE_FIRMWARE
    LOAD = lib.PK_STAGE_LOAD
    STARTED = lib.PK_STAGE_STARTED
    RETURNED = lib.PK_STAGE_RETURNED
    LEAVE = lib.PK_STAGE_LEAVE
    ACTION = lib.PK_STAGE_ACTION
    READY = lib.PK_STAGE_READY
    TICKS = lib.PK_STAGE_TICKS


class HandoffConstant(IntEnum):
    """enum pk_handoff_constants."""

    MAGIC = lib.PK_HANDOFF_MAGIC
    VERSION = lib.PK_HANDOFF_VERSION


class Action(IntEnum):
    """enum pk_action: what the end of a payload or of Linux leads to."""

    AGENT = lib.PK_ACTION_AGENT
    FIRMWARE = lib.PK_ACTION_FIRMWARE
    BOOT_NEXT = lib.PK_ACTION_BOOT_NEXT
    RESET = lib.PK_ACTION_RESET
    SHELL = lib.PK_ACTION_SHELL
    PAYLOAD = lib.PK_ACTION_PAYLOAD


class LastEndConstant(IntEnum):
    """enum pk_last_end_constants; REASON_MAX in bytes."""

    LAST_END_VERSION = lib.PK_LAST_END_VERSION
    REASON_MAX = lib.PK_REASON_MAX


class MailboxConstant(IntEnum):
    """enum pk_mailbox_constants."""

    MESSAGE_MAGIC = lib.PK_MESSAGE_MAGIC
    MESSAGE_VERSION = lib.PK_MESSAGE_VERSION
    ATTRIBUTES = lib.PK_MAILBOX_ATTRIBUTES


class Op(IntEnum):
    """enum pk_op: what a request of the mailbox asks for."""

    INFO = lib.PK_OP_INFO
    HANDOFF = lib.PK_OP_HANDOFF
    HANDLES = lib.PK_OP_HANDLES
    MEMORY_MAP = lib.PK_OP_MEMORY_MAP
    STATE = lib.PK_OP_STATE
    SELF_TEST = lib.PK_OP_SELF_TEST
    CONNECT = lib.PK_OP_CONNECT
    CONSOLE = lib.PK_OP_CONSOLE
    VOLUME_INFO = lib.PK_OP_VOLUME_INFO
    FILE_READ = lib.PK_OP_FILE_READ
    BOOT_PATH = lib.PK_OP_BOOT_PATH
    TRANSFER = lib.PK_OP_TRANSFER
    SECRETS = lib.PK_OP_SECRETS
    WINDOW = lib.PK_OP_WINDOW
    CONSOLE_INFO = lib.PK_OP_CONSOLE_INFO
    CONSOLE_KEYS = lib.PK_OP_CONSOLE_KEYS
    CONSOLE_TEXT = lib.PK_OP_CONSOLE_TEXT
    CONSOLE_DRAW = lib.PK_OP_CONSOLE_DRAW
    BLOCK_INFO = lib.PK_OP_BLOCK_INFO
    BLOCK_READ = lib.PK_OP_BLOCK_READ
    BLOCK_WRITE = lib.PK_OP_BLOCK_WRITE
    BLOCK_FLUSH = lib.PK_OP_BLOCK_FLUSH
    BLOCK_REFRESH = lib.PK_OP_BLOCK_REFRESH
    NET_INFO = lib.PK_OP_NET_INFO
    NET_OPEN = lib.PK_OP_NET_OPEN
    NET_CLOSE = lib.PK_OP_NET_CLOSE
    NET_EXCHANGE = lib.PK_OP_NET_EXCHANGE
    NET_STATISTICS = lib.PK_OP_NET_STATISTICS
    NET_PXE = lib.PK_OP_NET_PXE
    PCI_INFO = lib.PK_OP_PCI_INFO
    TPM_INFO = lib.PK_OP_TPM_INFO
    TPM_COMMAND = lib.PK_OP_TPM_COMMAND
    TPM_EVENT_LOG = lib.PK_OP_TPM_EVENT_LOG
    TPM_EVENT = lib.PK_OP_TPM_EVENT
    RAMDISK_CREATE = lib.PK_OP_RAMDISK_CREATE
    RAMDISK_DATA = lib.PK_OP_RAMDISK_DATA
    RAMDISK_REGISTER = lib.PK_OP_RAMDISK_REGISTER
    RAMDISK_REMOVE = lib.PK_OP_RAMDISK_REMOVE
    RAMDISK_LIST = lib.PK_OP_RAMDISK_LIST
    PAYLOAD_STAGE = lib.PK_OP_PAYLOAD_STAGE
    PAYLOAD_DATA = lib.PK_OP_PAYLOAD_DATA
    LEAVE = lib.PK_OP_LEAVE
    IMAGE_START = lib.PK_OP_IMAGE_START
    IMAGE_LOCK = lib.PK_OP_IMAGE_LOCK
    FIRMWARE_RAM = lib.PK_OP_FIRMWARE_RAM
    ACPI_TABLE = lib.PK_OP_ACPI_TABLE


class RequestFlag(IntFlag):
    """enum pk_request_flags."""

    TIMERS = lib.PK_REQUEST_TIMERS


class AccidentKind(IntEnum):
    """enum pk_accident_kind: why a machine was reset while its firmware worked for Linux."""

    NONE = lib.PK_ACCIDENT_NONE
    HANG = lib.PK_ACCIDENT_HANG
    MACHINE_CHECK = lib.PK_ACCIDENT_MACHINE_CHECK
    DOUBLE_FAULT = lib.PK_ACCIDENT_DOUBLE_FAULT


class InfoFlag(IntFlag):
    """enum pk_info_flags."""

    SECURE_BOOT = lib.PK_INFO_SECURE_BOOT
    TPM = lib.PK_INFO_TPM
    MEASURED = lib.PK_INFO_MEASURED
    SHELL = lib.PK_INFO_SHELL
    LOG_FULL = lib.PK_INFO_LOG_FULL


class MemoryMapKind(IntEnum):
    """enum pk_memory_map_kind."""

    FIRMWARE = lib.PK_MEMORY_MAP_FIRMWARE
    LINUX = lib.PK_MEMORY_MAP_LINUX


class StateFlag(IntFlag):
    """enum pk_state_flags."""

    HAS_LEFT = lib.PK_STATE_HAS_LEFT
    GATE = lib.PK_STATE_GATE
    VOLATILE = lib.PK_STATE_VOLATILE
    TOLD = lib.PK_STATE_TOLD


class BlockFlag(IntFlag):
    """enum pk_block_flags."""

    PRESENT = lib.PK_BLOCK_PRESENT
    LOGICAL = lib.PK_BLOCK_LOGICAL
    READ_ONLY = lib.PK_BLOCK_READ_ONLY
    REMOVABLE = lib.PK_BLOCK_REMOVABLE
    WRITE_CACHING = lib.PK_BLOCK_WRITE_CACHING


class TpmBank(IntFlag):
    """enum pk_tpm_banks."""

    SHA1 = lib.PK_TPM_BANK_SHA1
    SHA256 = lib.PK_TPM_BANK_SHA256
    SHA384 = lib.PK_TPM_BANK_SHA384
    SHA512 = lib.PK_TPM_BANK_SHA512
    SM3_256 = lib.PK_TPM_BANK_SM3_256


class MemoryType(IntEnum):
    """enum efi_memory_type (UEFI 2.10, 7.2)."""

    RESERVED_MEMORY_TYPE = lib.EFI_RESERVED_MEMORY_TYPE
    LOADER_CODE = lib.EFI_LOADER_CODE
    LOADER_DATA = lib.EFI_LOADER_DATA
    BOOT_SERVICES_CODE = lib.EFI_BOOT_SERVICES_CODE
    BOOT_SERVICES_DATA = lib.EFI_BOOT_SERVICES_DATA
    RUNTIME_SERVICES_CODE = lib.EFI_RUNTIME_SERVICES_CODE
    RUNTIME_SERVICES_DATA = lib.EFI_RUNTIME_SERVICES_DATA
    CONVENTIONAL_MEMORY = lib.EFI_CONVENTIONAL_MEMORY
    UNUSABLE_MEMORY = lib.EFI_UNUSABLE_MEMORY
    ACPI_RECLAIM_MEMORY = lib.EFI_ACPI_RECLAIM_MEMORY
    ACPI_MEMORY_NVS = lib.EFI_ACPI_MEMORY_NVS
    MEMORY_MAPPED_IO = lib.EFI_MEMORY_MAPPED_IO
    MEMORY_MAPPED_IO_PORT_SPACE = lib.EFI_MEMORY_MAPPED_IO_PORT_SPACE
    PAL_CODE = lib.EFI_PAL_CODE
    PERSISTENT_MEMORY = lib.EFI_PERSISTENT_MEMORY
    UNACCEPTED_MEMORY_TYPE = lib.EFI_UNACCEPTED_MEMORY_TYPE


class MemoryAttribute(IntFlag):
    """EFI_MEMORY_...: the attribute bits of a memory descriptor that we know (UEFI 2.10, 7.2)."""

    UC = lib.EFI_MEMORY_UC
    WB = lib.EFI_MEMORY_WB
    CACHEABILITY_MASK = lib.EFI_MEMORY_CACHEABILITY_MASK
    SP = lib.EFI_MEMORY_SP
    RUNTIME = lib.EFI_MEMORY_RUNTIME


class VariableAttribute(IntFlag):
    """EFI_VARIABLE_...: attributes of a variable (UEFI 2.10, 8.2.1)."""

    NON_VOLATILE = lib.EFI_VARIABLE_NON_VOLATILE
    BOOTSERVICE_ACCESS = lib.EFI_VARIABLE_BOOTSERVICE_ACCESS
    RUNTIME_ACCESS = lib.EFI_VARIABLE_RUNTIME_ACCESS
    APPEND_WRITE = lib.EFI_VARIABLE_APPEND_WRITE


class HandoffFault(IntEnum):
    """enum pk_handoff_fault: what pk_handoff_check() found."""

    OK = lib.PK_HANDOFF_OK
    BAD_MAGIC = lib.PK_HANDOFF_BAD_MAGIC
    BAD_VERSION = lib.PK_HANDOFF_BAD_VERSION
    BAD_SIZE = lib.PK_HANDOFF_BAD_SIZE
    BAD_CHECKSUM = lib.PK_HANDOFF_BAD_CHECKSUM
    BAD_ENTRY = lib.PK_HANDOFF_BAD_ENTRY


class PeFault(IntEnum):
    """enum pk_pe_fault: what pk_pe_parse() found."""

    OK = lib.PK_PE_OK
    NOT_PE = lib.PK_PE_NOT_PE
    TRUNCATED = lib.PK_PE_TRUNCATED
    BAD_MACHINE = lib.PK_PE_BAD_MACHINE
    NOT_PE32_PLUS = lib.PK_PE_NOT_PE32_PLUS
    NOT_EFI = lib.PK_PE_NOT_EFI
    BAD_ALIGNMENT = lib.PK_PE_BAD_ALIGNMENT
    BAD_SECTION = lib.PK_PE_BAD_SECTION
    OVERLAP = lib.PK_PE_OVERLAP
    BAD_ENTRY = lib.PK_PE_BAD_ENTRY
    NO_SECTION = lib.PK_PE_NO_SECTION


class BzimageFault(IntEnum):
    """enum pk_bzimage_fault: what pk_bzimage_parse() found."""

    OK = lib.PK_BZIMAGE_OK
    TRUNCATED = lib.PK_BZIMAGE_TRUNCATED
    NOT_BZIMAGE = lib.PK_BZIMAGE_NOT_BZIMAGE
    TOO_OLD = lib.PK_BZIMAGE_TOO_OLD
    NOT_64BIT = lib.PK_BZIMAGE_NOT_64BIT
    NOT_RELOCATABLE = lib.PK_BZIMAGE_NOT_RELOCATABLE
    NO_EFI_STUB = lib.PK_BZIMAGE_NO_EFI_STUB


class PteBit(IntFlag):
    """enum pk_pte_bits: x86-64 page table entries."""

    PRESENT = lib.PK_PTE_PRESENT
    WRITE = lib.PK_PTE_WRITE
    HUGE = lib.PK_PTE_HUGE


class Struct:
    """An immutable copy of a C struct: its members are attributes.

    Integers are int, byte arrays bytes, other arrays tuples, nested structs Struct.
    """

    __slots__ = ("_members", "_name")

    def __init__(self, name: str, members: dict[str, Any]) -> None:
        object.__setattr__(self, "_name", name)
        object.__setattr__(self, "_members", members)

    def __getattr__(self, name: str) -> Any:
        members: dict[str, Any] = object.__getattribute__(self, "_members")
        try:
            return members[name]
        except KeyError:
            raise AttributeError(f"{self._name} has no member {name}") from None

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{self._name} is immutable")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Struct):
            return NotImplemented
        return bool(self._name == other._name and self._members == other._members)

    def __hash__(self) -> int:
        return hash((self._name, tuple(self._members.items())))

    def __repr__(self) -> str:
        members = ", ".join(f"{name}={value!r}" for name, value in self._members.items())
        return f"<{self._name} {members}>"


def sizeof(name: str) -> int:
    """Bytes of a C type, "struct pk_info" for example."""
    return ffi.sizeof(name)


def unpack(name: str, data: bytes | bytearray | memoryview, offset: int = 0) -> Struct:
    """The struct called name ("struct pk_info") at offset of data; FormatError if it is cut off."""
    size = ffi.sizeof(name)
    if not 0 <= offset <= len(data) - size:
        raise FormatError(
            f"{name} at offset {offset:#x}: needs {size} bytes, {len(data)} are there"
        )
    cdata = ffi.new(f"{name} *")
    ffi.memmove(cdata, memoryview(data)[offset : offset + size], size)
    return _copy(ffi.typeof(name), cdata[0])


def pack(name: str, **members: object) -> bytes:
    """The bytes of the struct called name with these members (the rest zero).

    A member is what unpack() gives, Struct excepted: nested structs are given as dictionaries.
    Raises KeyError for a member that there is not, OverflowError for a value that does not fit.
    """
    return bytes(ffi.buffer(ffi.new(f"{name} *", members)))


def text(units: tuple[int, ...]) -> str:
    """A UCS-2 array up to its terminator, as str."""
    end = units.index(0) if 0 in units else len(units)
    return b"".join(unit.to_bytes(2, "little") for unit in units[:end]).decode(
        "utf-16-le", "replace"
    )


def _copy(ctype: CType, cdata: CData) -> Struct:
    members = {
        name: getattr(cdata, name) if plain else _value(type_, getattr(cdata, name))
        for name, type_, plain in _fields(ctype)
    }
    return Struct(ctype.cname, members)


@cache
def _fields(ctype: CType) -> tuple[tuple[str, CType, bool], ...]:
    """Names and types of members, and whether their values are taken as they are."""
    return tuple(
        (name, field.type, field.type.kind not in ("struct", "array"))
        for name, field in ctype.fields
    )


def _value(ctype: CType, value: Any) -> object:
    if ctype.kind == "struct":
        return _copy(ctype, value)
    if ctype.kind != "array":
        return value
    if ctype.item.kind == "primitive" and ffi.sizeof(ctype.item) == 1:
        return bytes(ffi.buffer(value))
    return tuple(_value(ctype.item, item) for item in value)
