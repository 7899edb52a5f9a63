# SPDX-License-Identifier: Apache-2.0
"""Events of a log: what of an event's data its digest is of, so that a quote vouches for it.

A quote vouches for digests alone, in their order. Neither an event's type nor its data is part of
one: whoever hands over a log can write there what he likes. So data counts only where its digest is
that of the event; a type only where data and place in the log leave no other (see secure_boot and
claims). What is hashed of each type is told by promises.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from pykexec.errors import FormatError
from pykexec.tpm.banks import hash_of
from pykexec.tpm.event_data import parse_variable
from pykexec.tpm.event_text import describe, type_name
from pykexec.tpm.eventlog import Event
from pykexec.verify.promises import NUMBERS, SEPARATOR_ERROR, SEPARATORS, promise_of

# In further registers Windows has separators of its own (10.4.1 speaks of these alone).
_FIRMWARE_PCRS = range(8)
_SEPARATOR = NUMBERS["EV_SEPARATOR"]
_BOOT_VARIABLE = NUMBERS["EV_EFI_VARIABLE_BOOT"]


@cache
def _separator_values(bank: str) -> Mapping[bytes, bytes]:
    """What a separator's digest is of, by the digest."""
    return {hash_of(bank)(data).digest(): data for data in (*SEPARATORS, SEPARATOR_ERROR)}


def is_separator(event: Event, bank: str) -> bool:
    """Whether the digest is that of a separator, whatever the log calls the event.

    A boot variable may have that of the error's: BootOrder of 1 and 0 does. Who has a firmware's
    error pass for one would have to do so in all its registers, of which the others hold none.
    """
    value = _separator_values(bank).get(event.digests[bank])
    return value is not None and not (value == SEPARATOR_ERROR and _is_variable(event, value))


def _is_variable(event: Event, value: bytes) -> bool:
    if event.type != _BOOT_VARIABLE:
        return False
    try:
        return parse_variable(event.data).data == value
    except FormatError:
        return False


def measured(event: Event, bank: str) -> bytes | None:
    """The bytes that the event's digest is of, as its data tells them; None where it does not."""
    digest, hashed = event.digests[bank], hash_of(bank)
    if hashed(event.data).digest() == digest:
        return event.data
    for candidate in promise_of(event.type).others(event.data):
        if hashed(candidate).digest() == digest:
            return candidate
    return None


def fault(event: Event, bank: str, found: bytes | None) -> str | None:
    """Why an event is not what the specification says of its type, None where nothing is wrong;
    found is what measured() gives.
    """
    if found is None and promise_of(event.type).binding:
        return "its data is not what was measured"
    if event.pcr not in _FIRMWARE_PCRS:
        return None
    value = _separator_values(bank).get(event.digests[bank])
    if event.type == _SEPARATOR:
        if value == SEPARATOR_ERROR:
            return f"the firmware reports an error: {describe(event)}"
        return None if value is not None else "not a separator's data"
    if value is None or _is_variable(event, value):
        return None
    if value == SEPARATOR_ERROR:
        return "the firmware reports an error, by another name"
    # Contents that nobody sees may be four zeros; no string and no structure is.
    return "a separator by another name" if promise_of(event.type).binding else None


def event_title(index: int, event: Event) -> str:
    """An event for people: its number in the log, where it is, what it is."""
    name = type_name(event.type)
    return f"event {index} (PCR {event.pcr}, {name}, offset {event.offset:#x})"
