# SPDX-License-Identifier: Apache-2.0
"""Events of a TCG log in words: type and data, as far as the specifications define them.

The data comes from anybody who could have something measured: what is shown is printable.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from pykexec.efi.device_path import DevicePath, parse
from pykexec.efi.guid import GUID_SIZE, Guid, guid_name
from pykexec.errors import FormatError
from pykexec.firmware.measure import parse_tagged_event
from pykexec.tpm.event_data import AUTHORITY_SURPLUS_MAX, parse_variable
from pykexec.tpm.eventlog import Event

# TCG PC Client Platform Firmware Profile 1.05, 10.4.1.
TYPES = {
    0x00: "EV_PREBOOT_CERT",
    0x01: "EV_POST_CODE",
    0x02: "EV_UNUSED",
    0x03: "EV_NO_ACTION",
    0x04: "EV_SEPARATOR",
    0x05: "EV_ACTION",
    0x06: "EV_EVENT_TAG",
    0x07: "EV_S_CRTM_CONTENTS",
    0x08: "EV_S_CRTM_VERSION",
    0x09: "EV_CPU_MICROCODE",
    0x0A: "EV_PLATFORM_CONFIG_FLAGS",
    0x0B: "EV_TABLE_OF_DEVICES",
    0x0C: "EV_COMPACT_HASH",
    0x0D: "EV_IPL",
    0x0E: "EV_IPL_PARTITION_DATA",
    0x0F: "EV_NONHOST_CODE",
    0x10: "EV_NONHOST_CONFIG",
    0x11: "EV_NONHOST_INFO",
    0x12: "EV_OMIT_BOOT_DEVICE_EVENTS",
    0x13: "EV_POST_CODE2",
    0x80000001: "EV_EFI_VARIABLE_DRIVER_CONFIG",
    0x80000002: "EV_EFI_VARIABLE_BOOT",
    0x80000003: "EV_EFI_BOOT_SERVICES_APPLICATION",
    0x80000004: "EV_EFI_BOOT_SERVICES_DRIVER",
    0x80000005: "EV_EFI_RUNTIME_SERVICES_DRIVER",
    0x80000006: "EV_EFI_GPT_EVENT",
    0x80000007: "EV_EFI_ACTION",
    0x80000008: "EV_EFI_PLATFORM_FIRMWARE_BLOB",
    0x80000009: "EV_EFI_HANDOFF_TABLES",
    0x8000000A: "EV_EFI_PLATFORM_FIRMWARE_BLOB2",
    0x8000000B: "EV_EFI_HANDOFF_TABLES2",
    0x8000000C: "EV_EFI_VARIABLE_BOOT2",
    0x8000000D: "EV_EFI_GPT_EVENT2",
    0x80000010: "EV_EFI_HCRTM_EVENT",
    0x800000E0: "EV_EFI_VARIABLE_AUTHORITY",
    0x800000E1: "EV_EFI_SPDM_FIRMWARE_BLOB",
    0x800000E2: "EV_EFI_SPDM_FIRMWARE_CONFIG",
    0x800000E3: "EV_EFI_SPDM_DEVICE_POLICY",
    0x800000E4: "EV_EFI_SPDM_DEVICE_AUTHORITY",
}
_SHOWN_MAX = 160  # characters
_DATA_MAX = 16  # bytes in hex


def type_name(type_: int) -> str:
    """EV_IPL for 13; a type that has no name as a number."""
    return TYPES.get(type_) or f"{type_:#010x}"


def describe(event: Event) -> str:
    """What the event's data says, on one printable line; "" where that is nothing."""
    try:
        text = _DESCRIBERS.get(type_name(event.type), _describe_bytes)(event.data)
    except (FormatError, struct.error):
        text = f"malformed: {_describe_bytes(event.data)}"
    text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return text if len(text) <= _SHOWN_MAX else f"{text[: _SHOWN_MAX - 3]}..."


def _describe_bytes(data: bytes) -> str:
    """Text if it is such, else the first bytes."""
    return _ascii(data) or _ucs2(data) or _hex(data)


def _hex(data: bytes) -> str:
    rest = f" ... {len(data)} bytes" if len(data) > _DATA_MAX else ""
    return data[:_DATA_MAX].hex() + rest


def _ascii(data: bytes) -> str:
    body = data.rstrip(b"\0")
    if body and all(0x20 <= byte < 0x7F for byte in body):
        return body.decode("ascii")
    return ""


def _ucs2(data: bytes) -> str:
    if len(data) < 4 or len(data) % 2:
        return ""
    text = data.decode("utf-16-le", "replace").rstrip("\0")
    return text if text and text.isprintable() and text.isascii() else ""


def _separator(data: bytes) -> str:
    return data[::-1].hex() if len(data) == 4 else _describe_bytes(data)


def _variable(data: bytes, surplus_max: int = 0) -> str:
    found = parse_variable(data, surplus_max)
    return f"{found.name} ({guid_name(found.vendor)}): {_value(found.name, found.data)}"


def _authority(data: bytes) -> str:
    return _variable(data, AUTHORITY_SURPLUS_MAX)


def _value(name: str, value: bytes) -> str:
    from pykexec.efi.variables import parse_load_option

    if name == "BootOrder":
        return " ".join(f"{number:04X}" for (number,) in struct.iter_unpack("<H", value))
    if name.startswith("Boot") and len(name) == 8:
        option = parse_load_option(value)
        return f"{option.description}, {option.path}"
    return _hex(value) if value else "empty"


def _image(data: bytes) -> str:
    """UEFI_IMAGE_LOAD_EVENT."""
    head = "<QQQQ"
    _, size, _, path_size = struct.unpack_from(head, data)
    start = struct.calcsize(head)
    if path_size != len(data) - start:
        raise FormatError("size of a device path")
    path = parse(data[start:]) if path_size else DevicePath(())
    return f"{path}, {size} bytes" if path.nodes else f"{size} bytes in memory"


def _gpt(data: bytes) -> str:
    """UEFI_GPT_DATA: the header (UEFI 2.10, 5.3.2), the entries that are in use."""
    head = "<56x16s20xQ"
    disk, count = struct.unpack_from(head, data)
    return f"disk {Guid(disk)}, {count} partitions"


def _blob(data: bytes) -> str:
    base, size = struct.unpack("<QQ", data)
    return f"{size} bytes at {base:#x}"


def _blob2(data: bytes) -> str:
    if not data or len(data) < 1 + data[0]:
        raise FormatError("name of a blob")
    return f"{_describe_bytes(data[1 : 1 + data[0]])}: {_blob(data[1 + data[0] :])}"


def _tables(data: bytes) -> str:
    (count,) = struct.unpack_from("<Q", data)
    names = []
    for offset in range(8, len(data), GUID_SIZE + 8):
        names.append(guid_name(Guid(data[offset : offset + GUID_SIZE])))
    if count != len(names):
        raise FormatError("number of tables")
    return ", ".join(names)


def _tables2(data: bytes) -> str:
    if not data or len(data) < 1 + data[0]:
        raise FormatError("name of tables")
    return f"{_describe_bytes(data[1 : 1 + data[0]])}: {_tables(data[1 + data[0] :])}"


def _tagged(data: bytes) -> str:
    tag, inner = parse_tagged_event(data)
    return f"tag {tag:#010x}: {_describe_bytes(inner)}"


def _no_action(data: bytes) -> str:
    signature, value = data[:16], data[16:]
    if signature == b"StartupLocality\0" and len(value) == 1:
        return f"StartupLocality {value[0]}"
    return _ascii(signature) or _describe_bytes(data)


def _post_code(data: bytes) -> str:
    return _blob(data) if len(data) == 16 and not _ascii(data) else _describe_bytes(data)


_DESCRIBERS: dict[str, Callable[[bytes], str]] = {
    "EV_NO_ACTION": _no_action,
    "EV_SEPARATOR": _separator,
    "EV_EVENT_TAG": _tagged,
    "EV_POST_CODE": _post_code,
    "EV_POST_CODE2": _blob2,
    "EV_EFI_VARIABLE_DRIVER_CONFIG": _variable,
    "EV_EFI_VARIABLE_BOOT": _variable,
    "EV_EFI_VARIABLE_BOOT2": _variable,
    "EV_EFI_VARIABLE_AUTHORITY": _authority,
    "EV_EFI_BOOT_SERVICES_APPLICATION": _image,
    "EV_EFI_BOOT_SERVICES_DRIVER": _image,
    "EV_EFI_RUNTIME_SERVICES_DRIVER": _image,
    "EV_EFI_GPT_EVENT": _gpt,
    "EV_EFI_GPT_EVENT2": _gpt,
    "EV_EFI_PLATFORM_FIRMWARE_BLOB": _blob,
    "EV_EFI_PLATFORM_FIRMWARE_BLOB2": _blob2,
    "EV_EFI_HANDOFF_TABLES": _tables,
    "EV_EFI_HANDOFF_TABLES2": _tables2,
}
