# SPDX-License-Identifier: Apache-2.0
"""What a log tells is kept for that very log, bank and registers, and for nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest

from pykexec.attest.protocol import QUOTED_PCRS
from pykexec.tpm.eventlog import parse_event_log, replay, replayable_banks
from pykexec.verify import told
from pykexec.verify.told import told_by
from tests.support.attest_log import encode_log
from tests.support.attest_machine import Machine

BANKS = ("sha256", "sha384")
LOGS = sorted((Path(__file__).parents[2] / "data/eventlogs").glob("*.bin"))


@pytest.fixture(autouse=True)
def nothing_known() -> Generator[None, None, None]:
    told.forget_all()
    yield
    told.forget_all()


def quoted(machine: Machine) -> dict[int, bytes]:
    return {number: machine.pcrs["sha256"][number] for number in QUOTED_PCRS}


@pytest.fixture
def machine() -> Machine:
    return Machine(banks=BANKS)


@pytest.fixture
def known(machine: Machine) -> told.Told:
    return told_by(machine.event_log, "sha256", quoted(machine))


def test_a_log_that_comes_again_is_not_read_again(
    machine: Machine, known: told.Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(told, "check_log")
    again = told_by(machine.event_log, "sha256", quoted(machine))
    assert (again, known.findings) == (known, ())
    assert again.claims["events"] == len(machine.events)


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_real_logs_tell_the_same_again(path: Path) -> None:
    data = path.read_bytes()
    log = parse_event_log(data)
    bank = replayable_banks(log)[-1]
    registers = {number: bytes(hashlib.new(bank).digest_size) for number in QUOTED_PCRS}
    pcrs = {number: replay(log, bank).get(number, value) for number, value in registers.items()}
    first = told_by(data, bank, pcrs)
    assert told.kept_size() and repr(told_by(data, bank, pcrs)) == repr(first)


def test_another_register_is_another_question(machine: Machine, known: told.Told) -> None:
    changed = quoted(machine) | {7: bytes(32)}
    (finding,) = told_by(machine.event_log, "sha256", changed).findings
    assert (known.findings, finding.code) == ((), "log.replay.7")


def test_another_number_of_a_register_is_another_question(
    machine: Machine, known: told.Told
) -> None:
    values = quoted(machine)
    # The same values in the same order; but the last is of a register that begins with ones.
    moved = {20 if number == 15 else number: value for number, value in values.items()}
    (finding,) = told_by(machine.event_log, "sha256", moved).findings
    assert (known.findings, finding.code) == ((), "log.replay.20")


def test_another_bank_is_another_question(machine: Machine, known: told.Told) -> None:
    found = told_by(machine.event_log, "sha384", quoted(machine))
    assert {each.code for each in found.findings} >= {"log.replay.0", "log.replay.7"}
    assert known.findings == ()


def test_another_log_for_the_same_registers_tells_its_own(
    machine: Machine, known: told.Told
) -> None:
    # Which path an application came from is in no digest.
    event = next(each for each in machine.events if each.pcr == 4 and each.hashed is not None)
    other = replace(event, data=event.data.replace(b"p\0y\0", b"q\0z\0"))
    events = [other if each is event else each for each in machine.events]
    found = told_by(encode_log(BANKS, events), "sha256", quoted(machine))
    assert found.findings == ()
    assert "qzkexec" in str(found.claims) and "qzkexec" not in str(known.claims)


def test_what_is_made_of_claims_is_not_kept(machine: Machine, known: told.Told) -> None:
    known.claims.clear()
    first = told_by(machine.event_log, "sha256", quoted(machine))
    first.claims["firmware"] = "another's"
    again = told_by(machine.event_log, "sha256", quoted(machine))
    assert again.claims["firmware"] == {**again.claims["firmware"], "version": "2025.02-8"}  # type: ignore[dict-item]


def test_notes_are_kept_too(machine: Machine) -> None:
    machine.extend(7, 0x80000001, b"of nobody")
    twice = [told_by(machine.event_log, "sha256", quoted(machine)) for _ in range(2)]
    assert [[note.code for note in each.notes] for each in twice] == [["log.secure-boot"]] * 2
    assert not any(note.refuses for note in twice[1].notes)


def test_a_log_that_does_not_explain_its_registers_is_not_kept(machine: Machine) -> None:
    wrong = quoted(machine) | {7: bytes(32)}
    assert told_by(machine.event_log, "sha256", wrong).findings
    assert told.kept_size() == 0


def test_of_many_the_last_ones_are_kept(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    told_by(machine.event_log, "sha256", quoted(machine))
    one = told.kept_size()
    monkeypatch.setattr(told, "KEPT_MAX", 3 * one)
    logs = []
    for number in range(8):
        machine.extend(15, 13, b"%d" % number)
        logs.append(machine.event_log)
        told_by(machine.event_log, "sha256", quoted(machine))
    assert one < told.kept_size() <= 3 * one
    monkeypatch.delattr(told, "check_log")
    assert told_by(logs[-1], "sha256", quoted(machine)).findings == ()


def test_one_that_tells_very_much_is_not_kept(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(told, "ONE_MAX", 1000)
    assert told_by(machine.event_log, "sha256", quoted(machine)).findings == ()
    assert told.kept_size() == 0
