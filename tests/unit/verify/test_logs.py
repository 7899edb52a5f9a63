# SPDX-License-Identifier: Apache-2.0
"""Logs of real firmware are understood, explain the TPM's registers, and agree with tpm2-tools."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from pykexec.run import run
from pykexec.verify.claims import event_claims
from pykexec.verify.log import ProvenLog, check_firmware_pcrs, check_log
from pykexec.verify.report import Report
from pykexec.verify.secure_boot import secure_boot_claims

LOGS = Path(__file__).parents[2] / "data/eventlogs"
OURS = ["ovmf-2022.11", "ovmf-2025.02-secure-boot"]
BANKS = [(path, bank) for path in OURS for bank in ("sha1", "sha256", "sha384")]
LENOVO = "keylime-lenovo"
THEIRS = [
    ("tss-hcrtm", "sha1"),
    ("tss-hcrtm", "sha256"),
    ("tss-nuc", "sha1"),
    ("tss-pc-client", "sha1"),
    ("tss-pc-client", "sha256"),
    (LENOVO, "sha1"),
    (LENOVO, "sha256"),
]
# Of which upstream knows what the machine's TPM had; sha384 has been in use since.
RECORDED = [
    (name, bank)
    for name in ("google-cos-85", "google-gke", "google-workstation")
    for bank in ("sha1", "sha256")
]
# tpm2-tools 5.4 do not know where PCR 0 begins, of an H-CRTM or at another locality, and take some
# EV_NO_ACTION for a measurement: these are what was recorded; the Lenovo's, which nobody did, ours.
PCR_0 = {
    ("tss-hcrtm", "sha1"): "15f4e6ca457d1af6bc49511a93ba3500ad69acc5",
    ("tss-hcrtm", "sha256"): "332dd5f22946bd10839599ea0041cc7a59c7b11e6442eca521c0e82b05b1c36d",
    (LENOVO, "sha1"): "78f3e576d5da8873860e557535d181f4a37e2963",
    (LENOVO, "sha256"): "0ee9a7feba8f4172f1a7451594aa5731665a4d353ac61814042ce107a00742f2",
}


def data_of(name: str) -> bytes:
    return (LOGS / f"{name}.bin").read_bytes()


def registers(values: dict[int, bytes], bank: str) -> dict[int, bytes]:
    """All that are quoted; those that nothing is said of are zero."""
    return {number: bytes(hashlib.new(bank).digest_size) for number in range(16)} | values


def read_from_tpm(name: str, bank: str) -> dict[int, bytes]:
    text = json.loads((LOGS / f"{name}.pcrs.json").read_text())[bank]
    return registers({int(number): bytes.fromhex(value) for number, value in text.items()}, bank)


def replayed_by_tools(name: str, bank: str) -> dict[int, bytes]:
    output = run(["tpm2_eventlog", LOGS / f"{name}.bin"]).decode(errors="replace")
    text = output.partition("\npcrs:\n")[2].partition(f"  {bank}:\n")[2]
    lines = re.match(r"(?:    \d+ *: 0x\w+\n?)+", text)
    assert lines, output
    found = re.findall(r"(\d+) *: 0x(\w+)", lines[0])
    values = {int(number): bytes.fromhex(value) for number, value in found}
    if (name, bank) in RECORDED:
        values[0] = read_from_tpm(name, bank)[0]
    elif (name, bank) in PCR_0:
        values[0] = bytes.fromhex(PCR_0[name, bank])
    return registers(values, bank)


def checked(name: str, bank: str, pcrs: dict[int, bytes]) -> ProvenLog:
    """The log, in which nothing is wrong."""
    report = Report()
    check_firmware_pcrs(bank, pcrs, report)
    log = check_log(data_of(name), bank, pcrs, report)
    assert report.verdict.findings == ()
    return log


@pytest.mark.parametrize(("name", "bank"), BANKS)
def test_our_machines_logs_explain_what_their_tpm_has(name: str, bank: str) -> None:
    log = checked(name, bank, read_from_tpm(name, bank))
    assert log.count == {"ovmf-2022.11": 38, "ovmf-2025.02-secure-boot": 42}[name]


@pytest.mark.parametrize(("name", "bank"), RECORDED)
def test_others_logs_explain_what_their_tpm_had(name: str, bank: str) -> None:
    checked(name, bank, read_from_tpm(name, bank))


@pytest.mark.parametrize(("name", "bank"), BANKS + THEIRS + RECORDED)
def test_tpm2_tools_compute_the_same_registers(name: str, bank: str) -> None:
    checked(name, bank, replayed_by_tools(name, bank))


@pytest.mark.parametrize(("name", "bank"), BANKS)
def test_a_register_that_differs_is_not_explained(name: str, bank: str) -> None:
    pcrs = read_from_tpm(name, bank)
    pcrs[4] = bytes(len(pcrs[4]) - 1) + b"x"
    report = Report()
    log = check_log(data_of(name), bank, pcrs, report)
    assert [finding.code for finding in report.verdict.findings] == ["log.replay.4"]
    assert log.of(4) == ()


def test_ovmf_with_secure_boot_says_who_vouched_for_our_image() -> None:
    name = "ovmf-2025.02-secure-boot"
    log = checked(name, "sha256", read_from_tpm(name, "sha256"))
    secure_boot: dict[str, Any] = secure_boot_claims(log)
    assert secure_boot["enabled"] is True
    subject = "CN=SnakeOil Test Key for EFI Secure Boot"
    (authority,) = secure_boot["authorities"]
    assert (authority["variable"], authority["subject"][: len(subject)]) == ("db", subject)
    claims: dict[str, Any] = event_claims(log)
    assert claims["firmware"]["version"] == "2025.02-8+deb13u1"


@pytest.mark.parametrize(("name", "bank"), THEIRS + RECORDED)
def test_on_no_machine_an_override_could_hide_or_an_application_be_followed(
    name: str, bank: str
) -> None:
    claims: dict[str, Any] = event_claims(checked(name, bank, replayed_by_tools(name, bank)))
    assert (claims["boot"]["behind"], claims["image"]["hidden"]) == ([], [])


@pytest.mark.parametrize("name", OURS)
def test_ovmf_tells_what_was_started_and_that_nothing_could_hide(name: str) -> None:
    claims: dict[str, Any] = event_claims(checked(name, "sha256", read_from_tpm(name, "sha256")))
    (application,) = claims["boot"]["applications"]
    assert application["path"].endswith(r"\EFI\pykexec\pykexec.efi")
    assert claims["boot"]["behind"] == []
    assert claims["image"] == {"sections": [], "config": [], "hidden": []}


@pytest.mark.parametrize(
    ("name", "bank", "certificates", "hashes"),
    [
        ("tss-hcrtm", "sha256", 0, 1),
        ("tss-nuc", "sha1", 3, 78),
        ("tss-pc-client", "sha256", 7, 77),
    ],
)
@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@pytest.mark.filterwarnings("ignore:Attribute's length")
def test_keys_of_real_machines_are_read(
    name: str, bank: str, certificates: int, hashes: int
) -> None:
    claims: dict[str, Any] = secure_boot_claims(checked(name, bank, replayed_by_tools(name, bank)))
    assert claims["enabled"] is False
    variables = claims["variables"].values()
    assert sum(len(found.get("certificates", ())) for found in variables) == certificates
    assert sum(len(found.get("hashes", ())) for found in variables) == hashes


def test_an_authority_that_is_logged_with_padding_is_told() -> None:
    """shim 15's predecessors did so: this system's runs under Secure Boot by two keys."""
    log = checked("google-cos-85", "sha256", read_from_tpm("google-cos-85", "sha256"))
    secure_boot: dict[str, Any] = secure_boot_claims(log)
    assert secure_boot["enabled"] is True
    subjects = [found["subject"].partition(",")[0] for found in secure_boot["authorities"]]
    assert subjects == ["CN=UEFI DB Key v10"] * 3


def test_contents_that_hash_as_a_separator_end_what_is_known_of_the_firmware() -> None:
    log = checked("google-workstation", "sha256", read_from_tpm("google-workstation", "sha256"))
    assert "EV_S_CRTM_CONTENTS" in log.of(0)[2].title
    claims: dict[str, Any] = event_claims(log)
    firmware = claims["firmware"]
    assert "version" not in firmware
    assert len(firmware["blobs"]) == 2


def test_a_boot_order_that_hashes_as_an_error_is_a_boot_order() -> None:
    claims: dict[str, Any] = event_claims(
        checked("google-gke", "sha256", read_from_tpm("google-gke", "sha256"))
    )
    assert claims["boot"]["order"] == ["Boot0001", "Boot0000"]
    assert set(claims["boot"]["entries"]) == {"Boot0000", "Boot0001"}


def test_what_a_management_engine_hashed_is_unproven_and_refuses_nothing() -> None:
    pcrs = replayed_by_tools(LENOVO, "sha256")
    entries = checked(LENOVO, "sha256", pcrs).of(0)
    (event,) = (entry for entry in entries if entry.event.data.startswith(b"IntelCSxEEvent01"))
    assert event.measured is None


@pytest.mark.parametrize("name", [*OURS, "tss-hcrtm", "tss-pc-client"])
def test_a_log_that_is_cut_off_anywhere_explains_less(name: str) -> None:
    data, pcrs = data_of(name), replayed_by_tools(name, "sha256")
    for size in range(0, len(data), 97):
        report = Report()
        check_log(data[:size], "sha256", pcrs, report)
        assert not report.verdict.accepted
