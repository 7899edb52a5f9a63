# SPDX-License-Identifier: Apache-2.0
"""Boot configuration data: what Windows' boot manager starts, out of the hive that says so.

Elements are named by Microsoft's BCD reference; a device's layout is that of ReactOS' boot library.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pykexec.disk.mbr import Identity
from pykexec.efi.guid import GUID_SIZE, Guid
from pykexec.errors import FormatError
from pykexec.windows.hive import Hive, Key, Value

PATH = r"\EFI\Microsoft\Boot\BCD"
SIZE_MAX = 32 << 20
BOOT_MANAGER = Guid.parse("9dea862c-5cdd-4e70-acc1-f32b344d4795")
KEY_NAME = "BCD00000000"

_DEVICE, _APPLICATION, _DESCRIPTION = 0x11000001, 0x12000002, 0x12000004
_OS_DEVICE, _SYSTEM_ROOT, _RESUME = 0x21000001, 0x22000002, 0x23000003
_DEFAULT = 0x23000003
"""The same number of a boot manager's object and of a loader's means another thing."""
_DEVICE_HEADER = struct.Struct("<16xIII4x")
_PARTITION = struct.Struct("<16s4xI16s")
_MBR_DEVICE = struct.Struct("<QI")
_KINDS = {0: "disk", 2: "old partition", 3: "serial line", 4: "network", 5: "boot device",
          6: "partition", 8: "searched"}  # fmt: skip
_PARTITION_KIND, _GPT, _MBR = 6, 0, 1
_SDI_PATH = 0x32000004
_WIM_NAME = re.compile(r"(?:\\[^\\/:*?\"<>|\0-\x1f]+)+\.wim(?=\0|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Device:
    """Where an entry looks; GUIDs are those of a GPT, an Identity is of an MBR."""

    kind: str
    partition: Guid | Identity | None = None
    disk: Guid | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.partition}" if self.partition else self.kind


@dataclass(frozen=True, slots=True)
class Entry:
    """An object that can be started; "" or None where it does not say."""

    identifier: Guid
    description: str
    device: Device | None
    path: str
    os_device: Device | None
    system_root: str
    resume: Guid | None

    def __str__(self) -> str:
        return f"{{{self.identifier}}} {self.description}".rstrip()


@dataclass(frozen=True, slots=True)
class BootConfiguration:
    """The boot manager's object and what it starts where nobody chooses.

    is_whole is False where a change was not written to the end.
    """

    manager: Entry
    default: Entry
    resume: Entry | None
    is_whole: bool


def parse_bcd(data: bytes, source: str) -> BootConfiguration:
    """Read a BCD; FormatError, which names source and object, for what the boot manager could not
    use either.
    """
    hive = Hive(data, source)
    description = hive.key("Description")
    value = hive.value(description, "KeyName") if description else None
    if value is None or value.text != KEY_NAME:
        raise FormatError(f"{source}: a registry hive, but no boot configuration data")
    manager = _entry(hive, source, BOOT_MANAGER, "the boot manager's object")
    wanted = _guid(_element(hive, BOOT_MANAGER, _DEFAULT), source)
    if wanted is None:
        raise FormatError(f"{source}: object {{{BOOT_MANAGER}}} names no default entry")
    default = _entry(hive, source, wanted, "the default entry")
    resume = None
    if default.resume and hive.key("Objects", f"{{{default.resume}}}"):
        resume = _entry(hive, source, default.resume, "the resume object")
    return BootConfiguration(manager, default, resume, hive.is_whole)


@dataclass(frozen=True, slots=True)
class RamdiskFiles:
    """What the default entry is started from, as paths; "" where the BCD does not say."""

    wim: str
    sdi: str


def ramdisk_files(data: bytes, source: str) -> RamdiskFiles:
    """The wim that the default entry's device names, and the .sdi of the options that belong to it.

    FormatError as parse_bcd() has it.
    """
    default = parse_bcd(data, source).default.identifier
    hive = Hive(data, source)
    device = _element(hive, default, _DEVICE)
    if device is None:
        return RamdiskFiles("", "")
    named = _WIM_NAME.search(device.data[_DEVICE_HEADER.size :].decode("utf-16-le", "replace"))
    sdi = _element(hive, Guid(device.data[:GUID_SIZE]), _SDI_PATH)
    return RamdiskFiles(named[0] if named else "", sdi.text if sdi else "")


def _entry(hive: Hive, source: str, identifier: Guid, what: str) -> Entry:
    if hive.key("Objects", f"{{{identifier}}}") is None:
        raise FormatError(f"{source}: no object {{{identifier}}}, {what}")

    def text(element: int) -> str:
        value = _element(hive, identifier, element)
        return value.text if value else ""

    def device(element: int) -> Device | None:
        value = _element(hive, identifier, element)
        return parse_device(value.data, f"{source}: object {{{identifier}}}") if value else None

    is_manager = identifier == BOOT_MANAGER
    return Entry(
        identifier,
        text(_DESCRIPTION),
        device(_DEVICE),
        text(_APPLICATION),
        None if is_manager else device(_OS_DEVICE),
        "" if is_manager else text(_SYSTEM_ROOT),
        None if is_manager else _guid(_element(hive, identifier, _RESUME), source),
    )


def _element(hive: Hive, identifier: Guid, element: int) -> Value | None:
    key: Key | None = hive.key("Objects", f"{{{identifier}}}", "Elements", f"{element:08x}")
    return hive.value(key, "Element") if key else None


def _guid(value: Value | None, source: str) -> Guid | None:
    if value is None or not value.text:
        return None
    try:
        return Guid.parse(value.text.strip("{}"))
    except FormatError as error:
        raise FormatError(f"{source}: {error}") from None


def parse_device(data: bytes, source: str) -> Device:
    """Decode a device element: additional options, type, flags, size, and what the type has."""
    if len(data) < _DEVICE_HEADER.size:
        raise FormatError(f"{source}: device of {len(data)} bytes")
    type_, _, _ = _DEVICE_HEADER.unpack_from(data)
    kind = _KINDS.get(type_, f"device of type {type_}")
    if type_ != _PARTITION_KIND:
        return Device(kind)
    if len(data) < _DEVICE_HEADER.size + _PARTITION.size:
        raise FormatError(f"{source}: partition of {len(data)} bytes")
    partition, style, disk = _PARTITION.unpack_from(data, _DEVICE_HEADER.size)
    if style == _GPT:
        return Device(kind, Guid(partition), Guid(disk))
    if style == _MBR:
        offset, signature = _MBR_DEVICE.unpack(partition[:8] + disk[:4])
        return Device(kind, Identity(signature, offset))
    return Device("partition of a disk without table")


def entries(configuration: BootConfiguration) -> Iterator[Entry]:
    """Boot manager, default entry, and what resumes it."""
    yield from (configuration.manager, configuration.default)
    if configuration.resume:
        yield configuration.resume
