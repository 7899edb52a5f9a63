# SPDX-License-Identifier: Apache-2.0
"""What the machine says of Secure Boot: its variables, and who vouched for what ran in this
boot.
"""

from __future__ import annotations

from dataclasses import dataclass

from pykexec.efi.authenticode import Certificate, certificate
from pykexec.efi.efivarfs import EFIVARFS, StrPath
from pykexec.efi.guid import GUID_SIZE
from pykexec.efi.secure_boot import read_database, read_raw
from pykexec.efi.signature_list import (
    SignatureList,
    parse_signature_lists,
    without_authentication,
)
from pykexec.efi.variables import global_name
from pykexec.tpm.event_data import AUTHORITY_SURPLUS_MAX, parse_variable
from pykexec.tpm.event_text import type_name
from pykexec.tpm.eventlog import parse_event_log

_SECURE_BOOT_PCR = 7
_AUTHORITY = "EV_EFI_VARIABLE_AUTHORITY"
_SEQUENCE = 0x30


@dataclass(frozen=True, slots=True)
class Machine:
    """secure_boot, db, dbx and authorities are None where nothing tells.

    authorities are the certificates (or what else, in words) that the firmware measured as having
    vouched for something in this boot.
    """

    secure_boot: bool | None = None
    db: tuple[SignatureList, ...] | None = None
    dbx: tuple[SignatureList, ...] | None = None
    authorities: tuple[Certificate | str, ...] | None = None


def read_machine(root: StrPath = EFIVARFS, log: bytes | None = None) -> Machine:
    """Of efivarfs and, where given, of the firmware's event log; FormatError names a variable that
    is none.
    """
    state = read_raw(global_name("SecureBoot"), root)
    return Machine(
        None if state is None else state == b"\1",
        read_database("db", root),
        read_database("dbx", root),
        None if log is None else authorities(log),
    )


def database(data: bytes, source: str) -> tuple[SignatureList, ...]:
    """The content of a variable, or of a file that updates it; FormatError names source."""
    return parse_signature_lists(without_authentication(data), source)


def authorities(log: bytes) -> tuple[Certificate | str, ...]:
    """Of PCR 7's EV_EFI_VARIABLE_AUTHORITY events; FormatError for what is no log.

    The firmware measures EFI_SIGNATURE_DATA, shim the bare certificate.
    """
    found: list[Certificate | str] = []
    for event in parse_event_log(log).events:
        if (event.pcr, type_name(event.type)) == (_SECURE_BOOT_PCR, _AUTHORITY):
            variable = parse_variable(event.data, AUTHORITY_SURPLUS_MAX)
            ders = [part for part in (variable.data[GUID_SIZE:], variable.data) if _is_der(part)]
            found.append(certificate(ders[0]) if ders else f"an entry of {variable.name}")
    return tuple(found)


def _is_der(data: bytes) -> bool:
    """A sequence of two bytes of length that is all there is."""
    size = int.from_bytes(data[2:4], "big") + 4
    return len(data) >= 4 and data[0] == _SEQUENCE and data[1] == 0x82 and size == len(data)
