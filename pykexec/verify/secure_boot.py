# SPDX-License-Identifier: Apache-2.0
"""Secure Boot as PCR 7 tells it: whether it was on, by which keys, who vouched for what ran.

An operating system can extend PCR 7, too, and afterwards hand over a log that calls the firmware's
events something else. So this register must have exactly the shape that the firmware gives it
(PC Client Platform Firmware Profile 1.05, 3.3.4.8): configuration, one separator, authorities; each
event's data is what was measured; nothing else, nothing twice. If it has not, nothing is claimed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from pykexec.efi.guid import GUID_SIZE, Guid, named_guids
from pykexec.efi.signature_list import SECURITY_DATABASE
from pykexec.errors import FormatError
from pykexec.tpm.event_data import AUTHORITY_SURPLUS_MAX, UefiVariable, parse_variable
from pykexec.verify.events import is_separator
from pykexec.verify.log import Entry, ProvenLog
from pykexec.verify.promises import NUMBERS
from pykexec.verify.signatures import parse_certificate, parse_signatures

SECURE_BOOT_PCR = 7

_CONFIG = NUMBERS["EV_EFI_VARIABLE_DRIVER_CONFIG"]
_AUTHORITIES = (NUMBERS["EV_EFI_VARIABLE_AUTHORITY"], NUMBERS["EV_EFI_SPDM_DEVICE_POLICY"])
_ACTION = NUMBERS["EV_EFI_ACTION"]
_DATABASES = {"PK", "KEK", "db", "dbx", "dbt", "dbr"}
_SECURITY_NAMES = {"db", "dbx", "dbt", "dbr"}
_DER_LONG = b"\x30\x82"


class SecureBootError(FormatError):
    """PCR 7 has not the shape that firmware gives it."""


@dataclass(slots=True)
class _Found:
    """Claims of what was read so far; enabled is None until SecureBoot was."""

    enabled: bool | None = None
    variables: dict[str, object] = field(default_factory=dict)
    authorities: list[object] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    separated: bool = False


def secure_boot_claims(log: ProvenLog) -> dict[str, object]:
    """The claims about Secure Boot; SecureBootError names the event that keeps them from being."""
    found = _Found()
    for entry in log.of(SECURE_BOOT_PCR):
        try:
            _take(entry, log.bank, found)
        except FormatError as error:
            raise SecureBootError(f"{entry.title}: {error}") from None
    if not found.separated:
        raise SecureBootError("PCR 7 has no separator")
    if found.enabled is None:
        raise SecureBootError("PCR 7 does not tell the variable SecureBoot")
    return {
        "enabled": found.enabled,
        "variables": found.variables,
        "authorities": found.authorities,
        "actions": found.actions,
    }


def _take(entry: Entry, bank: str, found: _Found) -> None:
    event = entry.event
    if entry.measured is None:
        raise FormatError("its data is not what was measured")
    if is_separator(event, bank):
        if found.separated:
            raise FormatError("a second separator")
        found.separated = True
    elif event.type == _CONFIG and not found.separated:
        variable = parse_variable(event.data)
        name = _name(variable)
        if name in found.variables:
            raise FormatError(f"{name} is there twice")
        found.variables[name] = _variable(name, variable)
        if name == "SecureBoot":
            found.enabled = variable.data == b"\1"
    elif event.type in _AUTHORITIES:
        found.authorities.append(_authority(parse_variable(event.data, AUTHORITY_SURPLUS_MAX)))
    elif event.type == _ACTION and _is_line(entry.measured):
        found.actions.append(entry.measured.decode())
    else:
        raise FormatError("no event of Secure Boot, or none in its place")


def _is_line(data: bytes) -> bool:
    return data.isascii() and data.decode().isprintable()


def _name(variable: UefiVariable) -> str:
    """The name alone for those of the specification; others carry their vendor."""
    known = SECURITY_DATABASE if variable.name in _SECURITY_NAMES else _global()
    return variable.name if variable.vendor == known else f"{variable.name}-{variable.vendor}"


def _global() -> Guid:
    return named_guids()["global_variable"]


def _variable(name: str, variable: UefiVariable) -> dict[str, object]:
    claims: dict[str, object] = {"sha256": hashlib.sha256(variable.data).hexdigest()}
    if name in _DATABASES:
        signatures = parse_signatures(variable.data)
        claims["certificates"] = [found.to_json() for found in signatures.certificates]
        claims["hashes"] = list(signatures.hashes)
    return claims


def _authority(variable: UefiVariable) -> dict[str, object]:
    """EFI_SIGNATURE_DATA for the firmware's databases; shim measures the bare certificate."""
    data, claims = variable.data, {"variable": variable.name}
    for der in (data[GUID_SIZE:], data):
        if der[:2] == _DER_LONG and int.from_bytes(der[2:4], "big") == len(der) - 4:
            certificate = parse_certificate(der)
            subject = {"subject": certificate.subject} if certificate.subject else {}
            return {**claims, "sha256": certificate.sha256, **subject}
    if variable.vendor == SECURITY_DATABASE:
        data = data[GUID_SIZE:]  # A hash, and before it its owner.
        if len(data) == hashlib.sha256().digest_size:
            return {**claims, "sha256": data.hex()}
    return {**claims, "sha256": hashlib.sha256(data).hexdigest()}
