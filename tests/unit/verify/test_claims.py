# SPDX-License-Identifier: Apache-2.0
"""Claims are what quoted digests cover: whoever writes the log later can hide, but not invent."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import replace

import pytest

from pykexec.abi_devices import TpmEventConstant
from pykexec.efi.guid import named_guids
from pykexec.firmware.measure import tagged_event
from pykexec.verify.verify import verify
from tests.support.attest_expected import EXPECTED, claims_of, codes
from tests.support.attest_log import (
    ACTION,
    APPLICATION,
    CRTM_VERSION,
    EVENT_TAG,
    FIRMWARE_BLOB,
    GPT_EVENT,
    IPL,
    POST_CODE,
    SECURITY_DATABASE,
    SEPARATOR,
    VARIABLE_AUTHORITY,
    VARIABLE_BOOT,
    VARIABLE_DRIVER_CONFIG,
    Measured,
    application,
    certificate,
    encode_log,
    variable,
)
from tests.support.attest_machine import Boot, Machine

GLOBAL = named_guids()["global_variable"]
SECURE_BOOT_ON = variable("SecureBoot", GLOBAL, b"\1")
OFF = Boot(secure_boot=False)


def relabelled(event: Measured, type_: int, data: bytes | None = None) -> Measured:
    """The same digest under another type, and maybe with other data."""
    digests = tuple((bank, event.digest(bank)) for bank in ("sha256", "sha384"))
    return replace(event, type=type_, data=event.data if data is None else data, digests=digests)


def told(machine: Machine, change: Callable[[Measured], Measured]) -> list[str]:
    """What refuses true evidence whose log was rewritten event by event."""
    log = encode_log(machine.banks, map(change, machine.events))
    return codes(replace(machine.evidence(), event_log=log))


def secure_boot(machine: Machine, events: tuple[Measured, ...] | None = None) -> object:
    """The claim, of true evidence whose log says that these were the events."""
    log = machine.event_log if events is None else encode_log(machine.banks, events)
    return verify(replace(machine.evidence(), event_log=log), EXPECTED).claims.get("secure_boot")


@pytest.mark.parametrize(
    "type_",
    [SEPARATOR, VARIABLE_DRIVER_CONFIG, VARIABLE_BOOT, VARIABLE_AUTHORITY, GPT_EVENT, ACTION],
)
def test_data_that_was_not_measured_is_refused(type_: int) -> None:
    (first, *_) = (event for event in Machine().events if event.type == type_)
    other = bytes([first.data[-1] ^ 1])
    change = relabelled(first, type_, first.data[:-1] + other)
    found = told(Machine(), lambda event: change if event == first else event)
    assert set(found) == {"log.event"}


def test_secure_boot_is_told_with_its_keys_and_who_vouched() -> None:
    claims = claims_of(Machine().evidence())["secure_boot"]
    (db,) = claims["variables"]["db"]["certificates"]
    assert (claims["enabled"], db["subject"]) == (True, "CN=Test UEFI CA")
    assert len(claims["variables"]["dbx"]["hashes"]) == 4
    assert claims["authorities"] == [
        {"variable": "db", "sha256": db["sha256"], "subject": "CN=Test UEFI CA"}
    ]
    assert claims_of(Machine(boot=OFF).evidence())["secure_boot"]["enabled"] is False


def test_an_operating_system_cannot_switch_secure_boot_on_afterwards() -> None:
    machine = Machine(boot=OFF)
    machine.extend(7, VARIABLE_DRIVER_CONFIG, SECURE_BOOT_ON)
    assert secure_boot(machine) is None
    for type_ in (EVENT_TAG, VARIABLE_AUTHORITY):
        hidden = tuple(
            relabelled(event, type_) if event.pcr == 7 and b"S\0e\0c" in event.data else event
            for event in machine.events[:-1]
        )
        assert secure_boot(machine, (*hidden, machine.events[-1])) is None


def test_a_separator_cannot_be_moved_behind_what_was_added() -> None:
    machine = Machine(boot=OFF)
    machine.extend(7, VARIABLE_DRIVER_CONFIG, SECURE_BOOT_ON)
    machine.extend(7, SEPARATOR, bytes(4))
    assert secure_boot(machine) is None
    other = told(
        machine,
        lambda event: relabelled(event, ACTION) if event.data == bytes(4) else event,
    )
    assert set(other) == {"log.event"}


def test_a_second_separator_tells_nothing() -> None:
    machine = Machine()
    machine.extend(7, SEPARATOR, bytes(4))
    assert secure_boot(machine) is None


def test_an_authority_that_was_not_measured_tells_nothing() -> None:
    machine = Machine()
    other = variable("db", SECURITY_DATABASE, bytes(16) + certificate("somebody else"))
    events = tuple(
        relabelled(event, VARIABLE_AUTHORITY, other) if event.type == VARIABLE_AUTHORITY else event
        for event in machine.events
    )
    assert secure_boot(machine, events) is None


@pytest.mark.parametrize(
    "added",
    [
        Measured(7, IPL, b"of no kind that belongs here"),
        Measured(7, VARIABLE_AUTHORITY, b"no variable"),
        Measured(7, ACTION, b"no\ntext"),
        Measured(7, EVENT_TAG, b"said", hashed=b"measured"),
    ],
    ids=["type", "form", "text", "digest"],
)
def test_pcr_7_with_anything_else_tells_nothing(added: Measured) -> None:
    machine = Machine()
    machine.rewrite((*machine.events, added))
    assert secure_boot(machine) is None


@pytest.mark.parametrize(
    ("added", "first"),
    [
        (Measured(7, VARIABLE_DRIVER_CONFIG, SECURE_BOOT_ON), True),
        (Measured(7, VARIABLE_DRIVER_CONFIG, variable("dbt", SECURITY_DATABASE, b"x")), True),
    ],
    ids=["twice", "malformed database"],
)
def test_pcr_7_that_contradicts_itself_tells_nothing(added: Measured, first: bool) -> None:
    machine = Machine()
    machine.rewrite((added, *machine.events))
    assert secure_boot(machine) is None


def test_pcr_7_without_its_separator_or_its_state_tells_nothing() -> None:
    machine = Machine()
    machine.rewrite(tuple(e for e in machine.events if (e.pcr, e.type) != (7, SEPARATOR)))
    assert secure_boot(machine) is None
    machine.rewrite(tuple(e for e in Machine().events if e.data != SECURE_BOOT_ON))
    assert secure_boot(machine) is None


def test_a_variable_of_another_vendor_is_another_variable() -> None:
    machine = Machine()
    fake = Measured(7, VARIABLE_DRIVER_CONFIG, variable("db", GLOBAL, b"\1"))
    machine.rewrite((fake, *machine.events))
    claims = claims_of(machine.evidence())["secure_boot"]["variables"]
    assert claims["db"]["certificates"]
    assert f"db-{GLOBAL}" in claims


def test_entries_of_a_database_that_nobody_knows_are_not_passed_over() -> None:
    machine = Machine()
    kind = bytes(range(16))
    entry = kind + struct.pack("<III", 28 + 18, 0, 18) + bytes(16) + b"\xab\xcd"
    dbr = Measured(7, VARIABLE_DRIVER_CONFIG, variable("dbr", SECURITY_DATABASE, entry))
    machine.rewrite((dbr, *machine.events))
    hashes = claims_of(machine.evidence())["secure_boot"]["variables"]["dbr"]["hashes"]
    assert hashes == ["03020100-0504-0706-0809-0a0b0c0d0e0f:abcd"]


def test_shim_may_log_a_byte_more_than_it_hashes() -> None:
    machine = Machine()
    shim = bytes.fromhex("50ab5d6046e00043abb63dd810dd8b23")
    der = certificate("shim's vendor")
    data = shim + struct.pack("<QQ", 4, len(der)) + "Shim".encode("utf-16-le") + der
    machine.extend(7, VARIABLE_AUTHORITY, data + b"\0", hashed=data)
    machine.extend(7, VARIABLE_AUTHORITY, data + bytes(6), hashed=data + bytes(5))
    authorities = claims_of(machine.evidence())["secure_boot"]["authorities"]
    assert [a["subject"] for a in authorities[1:]] == ["CN=shim's vendor"] * 2


def test_an_application_by_another_name_is_one_all_the_same() -> None:
    machine = Machine()
    evil = application(r"\EFI\evil.efi", b"evil")
    machine.rewrite((*machine.events, evil))
    events = [*machine.events[:-1], relabelled(evil, EVENT_TAG)]
    log = encode_log(machine.banks, events)
    claims = claims_of(replace(machine.evidence(), event_log=log))
    assert claims["boot"]["applications"][-1] == {
        "path": "",
        "authenticode": {"sha256": evil.digest("sha256").hex()},
        "unproven": ["path", "type"],
        "type": "EV_EVENT_TAG",
    }


def test_what_authenticode_hashes_of_an_image_is_no_text() -> None:
    machine = Machine()
    image = b"MZ\0\0 all that is hashed of an image"
    machine.rewrite((*machine.events, Measured(4, APPLICATION, b"", hashed=image)))
    events = [*machine.events[:-1], relabelled(machine.events[-1], ACTION, image)]
    log = encode_log(machine.banks, events)
    claims = claims_of(replace(machine.evidence(), event_log=log))
    assert len(claims["boot"]["applications"]) == 2


def test_the_path_of_an_application_is_nobodys_word() -> None:
    machine = Machine()
    renamed = application(r"\EFI\nice.efi", machine.boot.image)
    events = [renamed if e.type == APPLICATION else e for e in machine.events]
    log = encode_log(machine.banks, events)
    (found,) = claims_of(replace(machine.evidence(), event_log=log))["boot"]["applications"]
    assert found["path"].endswith("nice.efi")
    assert found["unproven"] == ["path"]


def test_a_path_beyond_all_measure_is_left_out() -> None:
    machine = Machine()
    endless = application("\\a" * 4096, machine.boot.image)
    log = encode_log(
        machine.banks, [endless if e.type == APPLICATION else e for e in machine.events]
    )
    (found,) = claims_of(replace(machine.evidence(), event_log=log))["boot"]["applications"]
    assert found["path"] == ""


def test_a_version_from_behind_the_separator_is_not_the_firmwares() -> None:
    machine = Machine()
    machine.extend(0, CRTM_VERSION, "9.9\0".encode("utf-16-le"))
    log = encode_log(
        machine.banks,
        [relabelled(machine.events[0], POST_CODE), *machine.events[1:]],
    )
    assert "version" not in claims_of(replace(machine.evidence(), event_log=log))["firmware"]
    assert claims_of(machine.evidence())["firmware"]["version"] == "2025.02-8"


@pytest.mark.parametrize(
    ("data", "version"),
    [
        ("1.0\0".encode("utf-16-le"), "1.0"),
        (b"1.0\0", "1.0"),
        (bytes(range(16)), "03020100-0504-0706-0809-0a0b0c0d0e0f"),
        (b"\x80\x81\x82", "808182"),
    ],
)
def test_versions_are_written_in_several_ways(data: bytes, version: str) -> None:
    machine = Machine()
    machine.rewrite((Measured(0, CRTM_VERSION, data), *machine.events[1:]))
    assert claims_of(machine.evidence())["firmware"]["version"] == version


def test_no_blob_of_the_firmware_can_be_hidden() -> None:
    machine = Machine()
    blobs = claims_of(machine.evidence())["firmware"]["blobs"]
    measured = [e.digest("sha256").hex() for e in machine.events if e.pcr == 0][1:4]
    assert [blob["digest"] for blob in blobs] == measured
    assert blobs[0]["unproven"] == ["base", "size"]
    events = [relabelled(e, EVENT_TAG) if e.type == FIRMWARE_BLOB else e for e in machine.events]
    log = encode_log(machine.banks, events)
    blobs = claims_of(replace(machine.evidence(), event_log=log))["firmware"]["blobs"]
    assert [blob["digest"] for blob in blobs] == measured
    assert blobs[0]["type"] == "EV_EVENT_TAG"


def test_a_boot_option_is_proven_its_name_only_if_it_was_hashed() -> None:
    machine = Machine()
    whole = [replace(e, hashed=None) if e.type == VARIABLE_BOOT else e for e in machine.events]
    entries = claims_of(machine.evidence())["boot"]["entries"]
    assert entries["Boot0000"]["unproven"] == ["name"]
    machine.rewrite(tuple(whole))
    assert "unproven" not in claims_of(machine.evidence())["boot"]["entries"]["Boot0000"]


def test_what_an_image_says_of_itself_is_told_and_proves_nothing() -> None:
    machine = Machine()
    sections = claims_of(machine.evidence())["image"]["sections"]
    contents = dict(machine.boot.sections)
    assert [each["name"] for each in sections] == list(contents)
    assert sections[0] == {
        "name": ".linux",
        "sha256": hashlib.sha256(contents[".linux"]).hexdigest(),
        "unproven": ["name", "sha256"],
    }


def test_what_another_image_said_is_not_told_of_the_last() -> None:
    machine = Machine()
    machine.rewrite((*machine.events, application(r"\EFI\evil.efi", b"evil")))
    assert claims_of(machine.evidence())["image"]["sections"] == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"pksd",
        tagged_event(TpmEventConstant.TAG_CONFIG, b".linux=" + b"a" * 64),
        tagged_event(TpmEventConstant.TAG_SECTIONS, b".linux=" + b"a" * 64)[:-1],
        tagged_event(
            TpmEventConstant.TAG_SECTIONS, b".text=" + b"a" * 64 + b" .linux=A .osrel\xff"
        ),
    ],
)
def test_what_is_no_description_tells_no_sections(data: bytes) -> None:
    machine = Machine()
    machine.rewrite(tuple(e for e in machine.events if (e.pcr, e.type) != (5, EVENT_TAG)))
    machine.extend(5, EVENT_TAG, data)
    assert claims_of(machine.evidence())["image"]["sections"] == []


def test_a_register_that_the_log_does_not_explain_tells_nothing() -> None:
    machine = Machine()
    machine.extend(7, ACTION, b"said to nobody", log=False)
    verified = verify(machine.evidence(), EXPECTED)
    assert [finding.code for finding in verified.verdict.reasons] == ["log.replay.7"]
    assert "secure_boot" not in verified.claims
    assert verified.claims["events"] == len([e for e in machine.events if e.pcr != 7])


def test_a_configuration_is_told_by_the_digest_of_its_file() -> None:
    file = b"locked = false\n"
    machine = Machine(boot=Boot(config=file))
    digest = b"pykexec-config-sha256\0" + b"\xab" * 32
    machine.extend(5, EVENT_TAG, tagged_event(TpmEventConstant.TAG_CONFIG, digest))
    # Of images of before, and of others.
    machine.extend(12, IPL, b"pykexec-config\0" + file)
    machine.extend(12, IPL, " quiet\0".encode("utf-16-le"))
    machine.extend(12, IPL, b"a description", hashed=b"what was measured")
    image = claims_of(machine.evidence())["image"]
    first, second, third, fourth, fifth = image["config"]
    assert first["sha256"] == third["sha256"] == hashlib.sha256(file).hexdigest()
    assert (first["pcr"], third["pcr"]) == (5, 12)
    assert second["sha256"] == "ab" * 32
    assert fourth["text"] == " quiet"
    assert fifth == {"pcr": 12, "digest": machine.events[-1].digest("sha256").hex()}
    assert image["hidden"] == []


def test_an_event_of_no_data_in_the_log_could_be_a_configuration() -> None:
    machine = Machine()
    machine.extend(5, EVENT_TAG, b"loader.conf", hashed=b"timeout 3\n")
    (hidden,) = claims_of(machine.evidence())["image"]["hidden"]
    assert hidden["digest"] == hashlib.sha256(b"timeout 3\n").hexdigest()
    assert hidden["event"].startswith("event 52 (PCR 5, EV_EVENT_TAG, offset ")


def test_registers_that_were_not_asked_for_tell_nothing() -> None:
    machine = Machine()
    wanted = (0, 1, 2, 3, 4, 5, 6, 11)
    claims = claims_of(machine.evidence(pcrs=wanted), pcrs=wanted)
    assert "secure_boot" not in claims
    assert claims["image"]["config"] == []
    assert set(claims["pcrs"]) == {str(number) for number in wanted}


def test_a_firmware_that_reports_an_error_is_refused() -> None:
    machine = Machine()
    error = Measured(2, SEPARATOR, struct.pack("<I", 1))
    machine.rewrite((*machine.events, error))
    (finding,) = verify(machine.evidence(), EXPECTED).verdict.reasons
    assert (finding.code, "the firmware reports an error" in finding.text) == ("log.event", True)


def test_windows_separators_are_its_own_business() -> None:
    machine = Machine()
    machine.extend(12, SEPARATOR, b"WBCL")
    assert codes(machine.evidence()) == []
    machine.extend(5, SEPARATOR, b"WBCL")
    assert codes(machine.evidence()) == ["log.event"]
