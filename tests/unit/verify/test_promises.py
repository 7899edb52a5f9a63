# SPDX-License-Identifier: Apache-2.0
"""Each type of event promises what the profile says: who promises nothing is never refused."""

from __future__ import annotations

import re
import struct
from dataclasses import replace

import pytest

from pykexec.efi.guid import named_guids
from pykexec.tpm.event_text import TYPES
from pykexec.verify.promises import NUMBERS, PROMISES
from pykexec.verify.verify import verify
from tests.support.attest_expected import EXPECTED, claims_of, codes
from tests.support.attest_log import (
    ACTION,
    APPLICATION,
    CRTM_VERSION,
    POST_CODE,
    SEPARATOR,
    VARIABLE_BOOT,
    VARIABLE_DRIVER_CONFIG,
    Measured,
    variable,
)
from tests.support.attest_machine import Machine

GLOBAL = named_guids()["global_variable"]
ERROR = struct.pack("<I", 1)
EXTENDING = sorted(TYPES.keys() - {NUMBERS["EV_NO_ACTION"]})
# Of revision 1.05, and the number of the later one that has 10.2.7.
SECTIONS = {"3.3.2", "3.3.4.1", "10.2.3", "10.2.5", "10.2.6", "10.2.7", "1.06"} | {
    f"10.4.{number}" for number in range(1, 6)
}
BINDING = [
    "EV_SEPARATOR",
    "EV_ACTION",
    "EV_EFI_VARIABLE_DRIVER_CONFIG",
    "EV_EFI_VARIABLE_BOOT",
    "EV_EFI_VARIABLE_BOOT2",
    "EV_EFI_GPT_EVENT",
    "EV_EFI_GPT_EVENT2",
    "EV_EFI_ACTION",
    "EV_EFI_VARIABLE_AUTHORITY",
    "EV_EFI_SPDM_DEVICE_POLICY",
]


def booted(*added: Measured, first: bool = False) -> Machine:
    """A good machine whose firmware has measured more: at the end, or before all else."""
    machine = Machine()
    machine.rewrite((*added, *machine.events) if first else (*machine.events, *added))
    return machine


def faults(machine: Machine) -> list[str]:
    return [finding.text for finding in verify(machine.evidence(), EXPECTED).verdict.reasons]


def test_the_table_has_every_type_and_where_its_promise_is_written() -> None:
    assert set(PROMISES) == set(TYPES.values())
    named = {
        number for p in PROMISES.values() for number in re.findall(r"\d+(?:\.\d+)+", p.section)
    }
    assert named <= SECTIONS
    assert all(promise.section[:5] in ("10.4.", "10.2.") for promise in PROMISES.values())
    assert [name for name, promise in PROMISES.items() if promise.binding] == BINDING


@pytest.mark.parametrize("type_", [*EXTENDING, 0x8000BEEF], ids=lambda type_: f"{type_:#x}")
def test_data_that_was_not_hashed_refuses_only_what_binds(type_: int) -> None:
    machine = booted(Measured(6, type_, b"a description", hashed=b"what was hashed"))
    refused = TYPES.get(type_) in BINDING
    assert codes(machine.evidence()) == (["log.event"] if refused else [])


@pytest.mark.parametrize("type_", EXTENDING, ids=lambda type_: f"{type_:#x}")
def test_contents_that_hash_as_a_separator_refuse_only_what_binds(type_: int) -> None:
    machine = booted(Measured(6, type_, b"four zeros", hashed=bytes(4)))
    refused = TYPES[type_] in BINDING
    assert codes(machine.evidence()) == (["log.event"] if refused else [])


def test_a_version_that_was_not_hashed_is_no_claim() -> None:
    machine = Machine()
    other = Measured(0, CRTM_VERSION, b"9.9\0", hashed=b"what was hashed")
    machine.rewrite((other, *machine.events[1:]))
    firmware = claims_of(machine.evidence())["firmware"]
    assert "version" not in firmware
    assert firmware["blobs"][0]["digest"] == other.digest("sha256").hex()


def test_a_boot_order_of_one_and_zero_is_no_error() -> None:
    machine = Machine()
    order = Measured(1, VARIABLE_BOOT, variable("BootOrder", GLOBAL, ERROR), hashed=ERROR)
    (old, *_) = (event for event in machine.events if event.type == VARIABLE_BOOT)
    machine.rewrite(tuple(order if event == old else event for event in machine.events))
    boot = claims_of(machine.evidence())["boot"]
    assert boot["order"] == ["Boot0001", "Boot0000"]
    assert len(boot["entries"]) == 3


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        (POST_CODE, b"POST CODE"),
        (APPLICATION, b""),
        (VARIABLE_BOOT, ERROR),
        (VARIABLE_DRIVER_CONFIG, ERROR),
    ],
)
def test_an_error_of_the_firmware_has_no_other_name(type_: int, data: bytes) -> None:
    (fault,) = faults(booted(Measured(2, type_, data, hashed=ERROR)))
    assert fault.endswith("the firmware reports an error, by another name")


@pytest.mark.parametrize("text", [b"\x01\0\0\0", b"TPM2_PCR_Extend failed"])
def test_an_error_of_the_firmware_is_told_with_what_it_says(text: bytes) -> None:
    (fault,) = faults(booted(Measured(2, SEPARATOR, text, hashed=ERROR)))
    said = "00000001" if text == ERROR else text.decode()
    assert fault.startswith("event ")
    assert f"the firmware reports an error: {said}" in fault


@pytest.mark.parametrize("fill", [b"\0", b"\xff"])
@pytest.mark.parametrize("hashed", [4, 16])
def test_a_separator_may_be_sixteen_bytes_wide(fill: bytes, hashed: int) -> None:
    machine = Machine()
    wide = Measured(7, SEPARATOR, fill * 16, hashed=fill * hashed)
    events = [wide if (e.pcr, e.type) == (7, SEPARATOR) else e for e in machine.events]
    machine.rewrite(tuple(events))
    assert claims_of(machine.evidence())["secure_boot"]["enabled"] is True


@pytest.mark.parametrize("data", [bytes(3), bytes(15) + b"\1", b"WBCL", b""])
def test_nothing_else_is_a_separator(data: bytes) -> None:
    (fault,) = faults(booted(Measured(5, SEPARATOR, data)))
    assert fault.endswith("not a separator's data")


@pytest.mark.parametrize("locality", [3, 4])
def test_a_start_that_is_not_logged_is_told_and_refuses_nothing(locality: int) -> None:
    machine = Machine()
    machine.begin_at(locality)
    verified = verify(machine.evidence(), EXPECTED)
    text = f"PCR 0 began at locality {locality}, which is not what the log says of it"
    assert [(found.code, found.text) for found in verified.verdict.findings] == [
        ("log.locality", text)
    ]
    assert verified.claims["firmware"] == claims_of(Machine().evidence())["firmware"]


@pytest.mark.parametrize(
    ("added", "fault"),
    [
        (Measured(7, VARIABLE_DRIVER_CONFIG, b"no variable"), "variable of 11 bytes"),
        (Measured(7, VARIABLE_DRIVER_CONFIG, variable("x", GLOBAL, b"") + b"\0"), "do not fit"),
        (Measured(7, ACTION, b"no\nline"), "no event of Secure Boot"),
        (Measured(7, POST_CODE, b"said", hashed=b"measured"), "not what was measured"),
        (Measured(7, VARIABLE_DRIVER_CONFIG, variable("PK", GLOBAL, b"x")), "signature database"),
    ],
)
def test_what_keeps_secure_boot_from_being_told_is_named(added: Measured, fault: str) -> None:
    verified = verify(booted(added, first=True).evidence(), EXPECTED)
    (note,) = verified.verdict.findings
    assert note.code == "log.secure-boot"
    assert f"of Secure Boot: event 1 (PCR 7, {TYPES[added.type]}, offset " in note.text
    assert fault in note.text


def test_an_action_may_be_logged_with_what_ends_it() -> None:
    machine = booted(
        Measured(7, ACTION, b"DMA Protection Disabled\0", hashed=b"DMA Protection Disabled")
    )
    actions = claims_of(machine.evidence())["secure_boot"]["actions"]
    assert actions == ["DMA Protection Disabled"]


def test_a_log_in_a_padded_area_is_refused_with_its_event() -> None:
    evidence = Machine().evidence()
    padded = replace(evidence, event_log=evidence.event_log + b"\xff" * 64)
    (finding,) = verify(padded, EXPECTED).verdict.reasons
    assert finding.code == "log.format"
    assert f"event {len(Machine().events) + 1}: no entry, but 64 bytes of padding" in finding.text
