# SPDX-License-Identifier: Apache-2.0
"""Machines that somebody has tried: what they told goes through the code that would run there."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path

import pytest

from pykexec.certify.plan import Facts, Result
from pykexec.certify.replay import check_lines, replay
from pykexec.certify.report import Entry, Report, read_report
from pykexec.cli import main
from pykexec.efi.device_path import DevicePath

DATA = Path(__file__).parents[2] / "data"
MACHINES = sorted((DATA / "machines").glob("*.json"))
LOGS = sorted((DATA / "eventlogs").glob("*.bin"))
PATH = bytes(DevicePath.from_text("PciRoot(0x0)/Pci(0x1,0x0)/MAC(525400123456,0x1)"))
ARENA = [7, 0x100000, 0x20000, 15]
LOG = DATA / "eventlogs" / "ovmf-2025.02-secure-boot.bin"
TWO_SEGMENTS = ((0xE0000000, 0, 0, 255), (1 << 40, 7, 0x80, 0x9F))
SOUND_TABLE = b"TEST" + (36).to_bytes(4, "little") + bytes(28)


def faults(report: Report) -> dict[str, str]:
    """By what was fed to the code."""
    return {check.what: check.fault for check in replay(report)}


def of(step: str, facts: Facts) -> Report:
    """A report of one step."""
    return Report(True, {}, (Entry(step, step, Result("ok", facts=facts)),))


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("path", MACHINES, ids=lambda path: path.stem)
def test_a_machine_that_was_tried_is_read_by_all_that_runs_there(path: Path) -> None:
    found = faults(read_report(path.read_bytes(), str(path)))
    assert found and not any(found.values()), found


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_a_log_of_real_firmware_is_read_by_c_and_python(path: Path) -> None:
    facts: Facts = {"log": base64_of(path.read_bytes())}
    registers = path.with_suffix(".pcrs.json")
    tpm: Facts = {"pcrs": json.loads(registers.read_text())} if registers.exists() else {}
    entries = of("event-log", facts).entries + of("tpm", tpm).entries
    assert faults(Report(True, {}, entries)) == {"event log": ""}


def with_sum(table: bytes) -> bytes:
    """A table whose bytes add up to nothing."""
    return table[:9] + bytes([-sum(table) & 0xFF]) + table[10:]


def mcfg(*entries: tuple[int, int, int, int]) -> bytes:
    """The table of these: base, segment, first and last bus."""
    body = b"".join(struct.pack("<QHBB4x", *entry) for entry in entries)
    head = b"MCFG" + (44 + len(body)).to_bytes(4, "little") + bytes(36)
    return with_sum(head + body)


def of_mcfg(table: bytes) -> Facts:
    return {"tables": [{"signature": "MCFG", "data": base64_of(table)}]}


@pytest.mark.parametrize(
    ("step", "facts", "fault"),
    [
        ("acpi", of_mcfg(mcfg(TWO_SEGMENTS[0], (1 << 40, 2, 9, 8))), "MCFG: offset 60: buses 09"),
        ("acpi", of_mcfg(mcfg((0, 0, 0, 255))), "MCFG: offset 44: buses 00-ff at 0x0"),
        ("acpi", of_mcfg(with_sum(b"MCFG" + b"\x2d" + bytes(40))), "MCFG: 45 bytes are no table"),
        ("memory", {"map": [ARENA]}, ""),
        ("memory", {"map": [[7, 0, 16, 15]]}, "no free piece of 256 MiB for the arena"),
        ("memory", {"map": [ARENA, ["x"]]}, "memory map: ['x'] is no descriptor"),
        ("memory", {"map": [ARENA, [7, -1, 0, 0]]}, "memory map: [7, -1, 0, 0] is no descriptor"),
        ("memory", {}, ""),
        ("memory", {"map": 3}, "map: not a list"),
        ("handles", {"handles": [{"path_hex": PATH.hex()}]}, ""),
        ("handles", {"handles": [{"path_hex": PATH[:-1].hex()}]}, "device path "),
        ("handles", {"handles": [{"path_hex": "zz"}]}, "device path 'zz': not in hex"),
        ("acpi", {"tables": [{"signature": "TEST", "data": base64_of(with_sum(SOUND_TABLE))}]}, ""),
        ("acpi", {"tables": [{"signature": "TEST", "data": base64_of(SOUND_TABLE)}]}, "TEST: leng"),
        ("acpi", {"tables": [{"signature": "TEST", "data": "*"}]}, "TEST: "),
        ("variables", {"variables": [{"name": "Boot0000", "data": "AA=="}]}, "Boot0000: load opti"),
        ("variables", {"variables": [{"name": "db", "data": "AA=="}]}, "db: db: offset 0: signatu"),
        ("variables", {"variables": [{"name": "Lang", "size": 3}]}, ""),
        ("event-log", {"log": base64_of(LOG.read_bytes())}, ""),
        ("event-log", {"log": base64_of(LOG.read_bytes()[:-1])}, "event log: offset "),
    ],
)
def test_what_does_not_come_out_as_it_should_is_named(step: str, facts: Facts, fault: str) -> None:
    found = faults(of(step, facts))
    if not facts:
        assert found == {}
        return
    (text,) = found.values()
    assert text.startswith(fault) and bool(text) == bool(fault)


def test_a_register_that_the_log_does_not_explain_is_named() -> None:
    registers = json.loads(LOG.with_suffix(".pcrs.json").read_text())
    registers["sha256"]["7"] = "00" * 32
    entries = of("event-log", {"log": base64_of(LOG.read_bytes())}).entries
    entries += of("tpm", {"pcrs": registers}).entries
    assert faults(Report(True, {}, entries)) == {
        "event log": "event log: does not explain PCR 7 sha256"
    }


def test_a_machine_with_several_pci_segments_is_told_and_its_devices_have_paths() -> None:
    """A root bridge of another segment is known by its number alone: _UID, not the segment's."""
    roots = ["PciRoot(0x0)", "PciRoot(0x30)", "PcieRoot(0x1)"]
    paths = [f"{root}/Pci(0x1,0x0)" for root in roots]
    rows = [{"path_hex": bytes(DevicePath.from_text(path)).hex()} for path in paths]
    entries = of("acpi", of_mcfg(mcfg(*TWO_SEGMENTS))).entries
    entries += of("handles", {"handles": rows}).entries
    assert list(check_lines(replay(Report(True, {}, entries)))) == [
        "ACPI tables: 1 tables, PCI segment 0, buses 00-ff, PCI segment 7, buses 80-9f",
        "device paths: 3 paths",
    ]
    assert len({row["path_hex"] for row in rows}) == len(paths)


def test_memory_of_the_firmware_is_never_free_to_linux() -> None:
    """Each type beside the arena, and all that the specification does not know."""
    rows = [[kind, 0x80000000 + number * 0x1000, 1, 15] for number, kind in enumerate(range(20))]
    assert faults(of("memory", {"map": [ARENA, *rows]})) == {"memory map": ""}


def test_the_verb_replays_a_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["certify", "replay", str(DATA / "machines" / "asus-n56vz.json")]) == 0
    assert capsys.readouterr().out.startswith("memory map: 88 descriptors, of which Linux is shown")
