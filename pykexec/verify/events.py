# SPDX-License-Identifier: Apache-2.0
"""Events of a log: what of an event's data its digest is of, so that a quote vouches for it.

A quote vouches for digests alone, in their order. Neither an event's type nor its data is part of
one: whoever hands over a log can write there what he likes. So data counts only where its digest is
that of the event; a type only where data and place in the log leave no other (see secure_boot and
claims). TCG PC Client Platform Firmware Profile 1.05, 10.4: what is hashed of each type.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from pykexec.efi.guid import Guid
from pykexec.errors import FormatError
from pykexec.tpm.event_text import TYPES, type_name
from pykexec.tpm.eventlog import Event

NUMBERS = {name: number for number, name in TYPES.items()}
"""Types of events by name."""

_FIRMWARE_PCRS = range(8)
# In further registers Windows has others (10.4.1 speaks of these alone).
_SEPARATORS = tuple(struct.pack("<I", value) for value in (0, 0xFFFFFFFF))
_SEPARATOR_ERROR = struct.pack("<I", 1)
_VARIABLE = "<16sQQ"
# Of GRUB (grub-core/commands/tpm.c): what follows in the log is hashed without it.
_GRUB_PREFIXES = (b"grub_cmd: ", b"kernel_cmdline: ", b"module_cmdline: ")


@dataclass(frozen=True, slots=True)
class UefiVariable:
    """UEFI_VARIABLE_DATA (10.2.6)."""

    vendor: Guid
    name: str
    data: bytes


def parse_variable(data: bytes) -> UefiVariable:
    """Decode UEFI_VARIABLE_DATA; FormatError for what is none."""
    head = struct.calcsize(_VARIABLE)
    if len(data) < head:
        raise FormatError(f"variable of {len(data)} bytes")
    vendor, name_length, size = struct.unpack_from(_VARIABLE, data)
    start = head + 2 * name_length
    if start + size != len(data):
        raise FormatError("sizes of a variable do not fit")
    return UefiVariable(Guid(vendor), data[head:start].decode("utf-16-le", "replace"), data[start:])


@cache
def _separator_digests(bank: str) -> tuple[bytes, ...]:
    return tuple(hashlib.new(bank, data).digest() for data in (*_SEPARATORS, _SEPARATOR_ERROR))


def is_separator(event: Event, bank: str) -> bool:
    """Whether the digest is that of a separator, whatever the log calls the event."""
    return event.digests[bank] in _separator_digests(bank)


def measured(event: Event, bank: str) -> bytes | None:
    """The bytes that the event's digest is of, as its data tells them; None where it does not."""
    digest = event.digests[bank]
    for candidate in _CANDIDATES.get(event.type, _text)(event.data):
        if hashlib.new(bank, candidate).digest() == digest:
            return candidate
    return None


def fault(event: Event, bank: str, found: bytes | None) -> str | None:
    """Why an event is not what the specification says of its type, None where nothing is wrong;
    found is what measured() gives.
    """
    if event.type in _HASHED and found is None:
        return "its data is not what was measured"
    if event.pcr > _FIRMWARE_PCRS[-1]:
        return None
    if event.type == NUMBERS["EV_SEPARATOR"]:
        if event.data == _SEPARATOR_ERROR:
            return "the firmware reports an error"
        return None if event.data in _SEPARATORS else "not a separator's data"
    return "a separator by another name" if is_separator(event, bank) else None


def event_title(index: int, event: Event) -> str:
    """An event for people: its number in the log, where it is, what it is."""
    name = type_name(event.type)
    return f"event {index} (PCR {event.pcr}, {name}, offset {event.offset:#x})"


def _whole(data: bytes) -> Iterator[bytes]:
    yield data


def _text(data: bytes) -> Iterator[bytes]:
    """Some hash what ends a text, some do not."""
    yield data
    if data.endswith(b"\0"):
        yield data.rstrip(b"\0")


def _boot_variable(data: bytes) -> Iterator[bytes]:
    """EDK II hashes the variable's data, as 10.4.1 has it; others do the whole structure."""
    yield data
    try:
        yield parse_variable(data).data
    except FormatError:
        return


def _authority(data: bytes) -> Iterator[bytes]:
    """shim before version 15 logs a byte more than it hashes."""
    yield data
    yield data[:-1]


def _ipl(data: bytes) -> Iterator[bytes]:
    """What boot loaders log: GRUB's prefixes, section names of systemd-stub and of ours."""
    yield from _text(data)
    text = data.rstrip(b"\0")
    for prefix in _GRUB_PREFIXES:
        if text.startswith(prefix):
            yield text[len(prefix) :]
    if data.endswith(b"\0\0") and not any(data[1::2]):
        yield data[::2]


_CANDIDATES: dict[int, Callable[[bytes], Iterator[bytes]]] = {
    NUMBERS["EV_EFI_VARIABLE_BOOT"]: _boot_variable,
    NUMBERS["EV_EFI_VARIABLE_AUTHORITY"]: _authority,
    NUMBERS["EV_IPL"]: _ipl,
    **{
        NUMBERS[name]: _whole
        for name in (
            "EV_SEPARATOR",
            "EV_EFI_ACTION",
            "EV_S_CRTM_VERSION",
            "EV_EFI_VARIABLE_DRIVER_CONFIG",
            "EV_EFI_VARIABLE_BOOT2",
            "EV_EFI_GPT_EVENT",
            "EV_EFI_GPT_EVENT2",
            "EV_EFI_SPDM_DEVICE_POLICY",
        )
    },
}

# The data of these is what is hashed, or has it; all others may have a description for people.
_HASHED = {
    NUMBERS[name]
    for name in (
        "EV_SEPARATOR",
        "EV_ACTION",
        "EV_EFI_ACTION",
        "EV_S_CRTM_VERSION",
        "EV_EFI_VARIABLE_DRIVER_CONFIG",
        "EV_EFI_VARIABLE_BOOT",
        "EV_EFI_VARIABLE_BOOT2",
        "EV_EFI_VARIABLE_AUTHORITY",
        "EV_EFI_GPT_EVENT",
        "EV_EFI_GPT_EVENT2",
        "EV_NONHOST_INFO",
        "EV_EFI_SPDM_DEVICE_POLICY",
    )
}
