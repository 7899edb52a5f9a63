# SPDX-License-Identifier: Apache-2.0
"""What the digest of an event promises of the event's data, by type.

TCG PC Client Platform Firmware Profile 1.05, revision 23: table 27 in 10.4.1 (Event Types) and the
sections named beside each type: 3.3.2 (Error Conditions), 3.3.4.1 (of PCR 0), 10.2.3
(UEFI_IMAGE_LOAD_EVENT), 10.2.5 (firmware blobs), 10.2.6 (Measuring UEFI Variables and UEFI GPT
Data), 10.4.2 to 10.4.5 (EV_EVENT_TAG, EV_ACTION, EV_EFI_ACTION, EV_NO_ACTION). In revision 1.04 the
same are in chapters 2 and 9. What SPDM devices say, 10.2.7, came with 1.06.

A digest of the data itself binds: other data is a lie, and the log is refused. One of code, of a
table or of whatever the manufacturer chose promises nothing: the data is a description, which may
happen to be what was hashed, and if not is nobody's word; no machine is ever refused for it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pykexec.errors import FormatError
from pykexec.tpm.event_data import parse_variable
from pykexec.tpm.event_text import TYPES

NUMBERS = {name: number for number, name in TYPES.items()}
"""Types of events by name."""

# Four bytes say the profile and EDK II; some firmware has its integer in a register's width.
_SEPARATOR_SIZES = (4, 16)
SEPARATORS = tuple(fill * size for size in _SEPARATOR_SIZES for fill in (b"\0", b"\xff"))
"""All that is hashed for a separator."""
SEPARATOR_ERROR = struct.pack("<I", 1)
"""What is hashed instead of a separator when the firmware could not measure (3.3.2)."""
# GRUB's (grub-core/commands/tpm.c): what follows in the log is hashed without it.
_GRUB_PREFIXES = (b"grub_cmd: ", b"kernel_cmdline: ", b"module_cmdline: ")


@dataclass(frozen=True, slots=True)
class Promise:
    """The digest may be of an event's data, or of one of others, as the data tells them; binding:
    it must be of one of these. section is where the profile says so.
    """

    section: str
    others: Callable[[bytes], Iterable[bytes]]
    binding: bool


def _whole(data: bytes) -> Iterable[bytes]:
    return ()


def _text(data: bytes) -> Iterable[bytes]:
    """Some hash what ends a text, some do not."""
    return (data.rstrip(b"\0"),) if data.endswith(b"\0") else ()


def _separator(data: bytes) -> Iterable[bytes]:
    """A separator that is logged wider than it was hashed has the same byte all over."""
    if data in SEPARATORS:
        yield data[: _SEPARATOR_SIZES[0]]
    else:
        # Of an error the data is a description (10.4.1), or nothing but the value.
        yield SEPARATOR_ERROR


def _boot_variable(data: bytes) -> Iterable[bytes]:
    """EDK II hashes the variable's data, as 10.4.1 has it; others do the whole structure."""
    try:
        yield parse_variable(data).data
    except FormatError:
        return


def _authority(data: bytes) -> Iterable[bytes]:
    """shim before version 15 logs a byte more than it hashes."""
    return (data[:-1],)


def _ipl(data: bytes) -> Iterable[bytes]:
    """What boot loaders log: GRUB's prefixes, section names of systemd-stub and of ours."""
    yield from _text(data)
    text = data.rstrip(b"\0")
    for prefix in _GRUB_PREFIXES:
        if text.startswith(prefix):
            yield text[len(prefix) :]
    if data.endswith(b"\0\0") and not any(data[1::2]):
        yield data[::2]


_IMAGE = Promise("10.4.1, 10.2.3: Authenticode digest of an image", _text, False)
_CODE = Promise("10.4.1: of code or contents that are not in the log", _text, False)
_POST_CODE = Promise("10.4.1, 3.3.4.1: of code, or of the string in the log", _text, False)
_BLOB = Promise("10.4.1, 10.2.5: of what the blob's address and size lead to", _text, False)
_DEVICE = Promise("10.2.7 of 1.06: of what a device has measured itself", _text, False)
_TABLE = Promise("10.4.1: of tables that the data points to", _text, False)
_OWN = Promise("10.4.1: of what the manufacturer chose", _text, False)
_ACTION = Promise("10.4.3: of the string", _text, True)
_EFI_ACTION = Promise("10.4.4: of the string", _text, True)
_VARIABLE = Promise("10.4.1, 10.2.6: of UEFI_VARIABLE_DATA", _whole, True)
_AUTHORITY = Promise("10.4.1, 10.2.6: of UEFI_VARIABLE_DATA", _authority, True)
_PARTITIONS = Promise("10.4.1, 10.2.6: of UEFI_GPT_DATA", _whole, True)
_NOTHING = Promise("10.4.5: extends nothing", _text, False)
_UNKNOWN = Promise("not in table 27", _text, False)

PROMISES = {
    "EV_PREBOOT_CERT": _OWN,
    "EV_POST_CODE": _POST_CODE,
    "EV_POST_CODE2": _POST_CODE,
    "EV_UNUSED": _OWN,
    "EV_NO_ACTION": _NOTHING,
    "EV_SEPARATOR": Promise("10.4.1, 3.3.2: of the value", _separator, True),
    "EV_ACTION": _ACTION,
    "EV_EVENT_TAG": Promise("10.4.2: of what the tag stands for", _text, False),
    "EV_S_CRTM_CONTENTS": _CODE,
    # The profile has the version hashed; there are servers that log another one than they hash.
    "EV_S_CRTM_VERSION": Promise("10.4.1: of the version", _whole, False),
    "EV_CPU_MICROCODE": _CODE,
    "EV_PLATFORM_CONFIG_FLAGS": _OWN,
    "EV_TABLE_OF_DEVICES": _OWN,
    "EV_COMPACT_HASH": _OWN,
    "EV_IPL": Promise("10.4.1: of what a loader chose", _ipl, False),
    "EV_IPL_PARTITION_DATA": _OWN,
    "EV_NONHOST_CODE": _CODE,
    "EV_NONHOST_CONFIG": _OWN,
    # Intel's CSME logs the events of a log of its own, and hashes that one's digest.
    "EV_NONHOST_INFO": _OWN,
    "EV_OMIT_BOOT_DEVICE_EVENTS": Promise("10.4.1: of a string", _text, False),
    "EV_EFI_VARIABLE_DRIVER_CONFIG": _VARIABLE,
    "EV_EFI_VARIABLE_BOOT": Promise("10.4.1, 10.2.6: of the variable", _boot_variable, True),
    "EV_EFI_VARIABLE_BOOT2": _VARIABLE,
    "EV_EFI_BOOT_SERVICES_APPLICATION": _IMAGE,
    "EV_EFI_BOOT_SERVICES_DRIVER": _IMAGE,
    "EV_EFI_RUNTIME_SERVICES_DRIVER": _IMAGE,
    "EV_EFI_GPT_EVENT": _PARTITIONS,
    "EV_EFI_GPT_EVENT2": _PARTITIONS,
    "EV_EFI_ACTION": _EFI_ACTION,
    "EV_EFI_PLATFORM_FIRMWARE_BLOB": _BLOB,
    "EV_EFI_PLATFORM_FIRMWARE_BLOB2": _BLOB,
    "EV_EFI_HANDOFF_TABLES": _TABLE,
    "EV_EFI_HANDOFF_TABLES2": _TABLE,
    "EV_EFI_HCRTM_EVENT": _CODE,
    "EV_EFI_VARIABLE_AUTHORITY": _AUTHORITY,
    "EV_EFI_SPDM_FIRMWARE_BLOB": _DEVICE,
    "EV_EFI_SPDM_FIRMWARE_CONFIG": _DEVICE,
    "EV_EFI_SPDM_DEVICE_POLICY": _VARIABLE,
    "EV_EFI_SPDM_DEVICE_AUTHORITY": _OWN,
}
"""By the type's name, all of them."""

_BY_NUMBER = {NUMBERS[name]: promise for name, promise in PROMISES.items()}


def promise_of(type_: int) -> Promise:
    """That of a type; one that nobody knows promises nothing."""
    return _BY_NUMBER.get(type_, _UNKNOWN)
