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
THEIRS = [
    ("tss-hcrtm", "sha1"),
    ("tss-hcrtm", "sha256"),
    ("tss-nuc", "sha1"),
    ("tss-pc-client", "sha1"),
    ("tss-pc-client", "sha256"),
]
# PCR 0 of that log by tpm2-tools 5.7: 5.4 does not know that an H-CRTM starts it at 4.
H_CRTM = {
    "sha1": "15f4e6ca457d1af6bc49511a93ba3500ad69acc5",
    "sha256": "332dd5f22946bd10839599ea0041cc7a59c7b11e6442eca521c0e82b05b1c36d",
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
    if name == "tss-hcrtm":
        values[0] = bytes.fromhex(H_CRTM[bank])
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


@pytest.mark.parametrize(("name", "bank"), BANKS + THEIRS)
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


@pytest.mark.parametrize("name", OURS)
def test_ovmf_tells_what_was_started_and_what_it_is_made_of(name: str) -> None:
    claims: dict[str, Any] = event_claims(checked(name, "sha256", read_from_tpm(name, "sha256")))
    (application,) = claims["boot"]["applications"]
    assert application["path"].endswith(r"\EFI\pykexec\pykexec.efi")
    names = [section["name"] for section in claims["image"]["sections"]]
    assert names == [".linux", ".osrel", ".cmdline", ".initrd", ".uname", ".sbat"]


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


@pytest.mark.parametrize("name", [*OURS, "tss-hcrtm", "tss-pc-client"])
def test_a_log_that_is_cut_off_anywhere_explains_less(name: str) -> None:
    data, pcrs = data_of(name), replayed_by_tools(name, "sha256")
    for size in range(0, len(data), 97):
        report = Report()
        check_log(data[:size], "sha256", pcrs, report)
        assert not report.verdict.accepted
