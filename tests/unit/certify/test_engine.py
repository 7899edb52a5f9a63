# SPDX-License-Identifier: Apache-2.0
"""A step is on the stick before it runs; one that hangs is named, and the next start goes on."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from pykexec.certify import history
from pykexec.certify.journal import Journal, MemoryArea
from pykexec.certify.keep import Keeper
from pykexec.certify.plan import (
    ABSENT,
    CRASHED,
    FAILED,
    HUNG,
    OK,
    TRIPS,
    AbsentError,
    Bench,
    Facts,
    StepError,
)
from pykexec.certify.report import from_journal
from pykexec.certify.settings import SLOTS, Settings, slot_paths
from pykexec.errors import FirmwareError, FormatError
from pykexec.firmware.info import Outcome
from tests.unit.certify.machine import (
    NEVER,
    TRIPS_STEP,
    FileBlocks,
    Machine,
    Reset,
    opened,
    step,
    written,
)

RETURNED = Outcome(1, "returned", 0, "agent")


def fine(bench: Bench) -> Facts:
    return {"fine": True}


def raising(error: BaseException) -> Callable[[Bench], Facts]:
    def run(bench: Bench) -> Facts:
        raise error

    return run


def outcomes(machine: Machine) -> dict[str, str]:
    """What the stick says, read anew."""
    records = Journal(opened(machine.blocks, slot_paths(1)[0])).records
    return {entry.name: entry.result.outcome for entry in from_journal(records).entries}


def test_every_step_is_on_the_stick_before_it_runs(machine: Machine) -> None:
    seen = []

    def look(bench: Bench) -> Facts:
        records = Journal(opened(machine.blocks, slot_paths(1)[0])).records
        begun = history.open_step(records)
        seen.append(begun and begun["step"])
        return {}

    machine.boot([step("first", look), step("second", look)])
    assert seen == ["first", "second"]


@pytest.mark.parametrize(
    ("run", "outcome", "reason"),
    [
        (fine, OK, ""),
        (raising(AbsentError("no TPM")), ABSENT, "no TPM"),
        (raising(StepError("PCR 7 differs", {"pcr": 7})), FAILED, "PCR 7 differs"),
        (raising(FirmwareError(errno.EIO, "broken", "disk")), FAILED, "disk: broken"),
        (raising(ZeroDivisionError("x")), FAILED, "ZeroDivisionError: x"),
        (raising(RecursionError("deep")), FAILED, "RecursionError: deep"),
        (raising(MemoryError()), FAILED, "MemoryError: "),
    ],
)
def test_whatever_becomes_of_a_step_the_next_one_follows(
    machine: Machine, run: Callable[[Bench], Facts], outcome: str, reason: str
) -> None:
    engine = machine.boot([step("odd", run), step("next", fine)])
    assert outcomes(machine) == {"odd": outcome, "next": OK}
    assert engine.bench.results["odd"].reason == reason
    assert history.is_finished(engine.keeper.journal.records)


def test_a_step_that_hangs_is_named_and_the_next_start_goes_on_behind_it(machine: Machine) -> None:
    plan = [step("first", fine), step("hangs", raising(Reset())), step("last", fine)]
    with pytest.raises(Reset):
        machine.boot(plan)
    assert outcomes(machine) == {"first": OK, "hangs": FAILED}

    machine.boot(plan)
    assert outcomes(machine) == {"first": OK, "hangs": HUNG, "last": OK}
    assert "PK:certify:hangs:hung" in machine.said
    assert machine.said.count("PK:certify:first:ok") == 1


@pytest.mark.parametrize(
    ("outcome", "boot_id", "hung"),
    [(NEVER, "two", True), (NEVER, "one", True), (RETURNED, "two", False)],
)
def test_a_start_behind_a_step_that_hung_is_known(
    machine: Machine, outcome: Outcome, boot_id: str, hung: bool
) -> None:
    plan = [step("hangs", raising(Reset())), step("last", fine)]
    assert not machine.engine(plan, boot_id="none").go_on()
    with pytest.raises(Reset):
        machine.boot(plan, boot_id="one")
    engine = machine.engine(plan, outcome, boot_id=boot_id)
    assert engine.go_on() is hung
    assert "hangs" in outcomes(machine)


def test_two_steps_in_a_row_may_hang(machine: Machine) -> None:
    plan = [step("a", raising(Reset())), step("b", raising(Reset())), step("c", fine)]
    for _ in range(2):
        with pytest.raises(Reset):
            machine.boot(plan)
    machine.boot(plan)
    assert outcomes(machine) == {"a": HUNG, "b": HUNG, "c": OK}


def test_an_agent_that_ended_is_no_machine_that_hung(machine: Machine) -> None:
    plan = [step("ends", raising(Reset())), step("last", fine)]
    with pytest.raises(Reset):
        machine.boot(plan, boot_id="one")
    machine.boot(plan, boot_id="one")
    assert outcomes(machine) == {"ends": CRASHED, "last": OK}


def test_a_linux_that_panicked_is_no_machine_that_hung(machine: Machine) -> None:
    plan = [step("panics", raising(Reset())), step("last", fine)]
    with pytest.raises(Reset):
        machine.boot(plan)
    engine = machine.boot(plan, Outcome(1, "leave", 0, "agent"))
    assert outcomes(machine) == {"panics": CRASHED, "last": OK}
    assert "leave" in engine.bench.results["panics"].reason


def test_round_trips_go_on_from_one_linux_to_the_next(machine: Machine) -> None:
    plan, settings = [TRIPS_STEP, step("last", fine)], Settings(round_trips=3)
    for number in range(3):
        with pytest.raises(Reset):
            machine.boot(
                plan, Outcome(number, "returned" if number else "", 0, "agent"), settings=settings
            )
    engine = machine.boot(plan, Outcome(3, "returned", 0, "agent"), settings=settings)
    assert machine.trips == [1, 2, 3]
    assert engine.bench.results[TRIPS].facts == {"trips": [{"to_application_ms": 12.5}] * 3}
    assert outcomes(machine) == {TRIPS: OK, "last": OK}


@pytest.mark.parametrize(
    ("outcome", "expected", "reason"),
    [
        (Outcome(0, "", 0, "agent"), HUNG, "round trip 2: the machine was started anew"),
        (Outcome(2, "load", 1 << 63 | 26, "agent"), CRASHED, "round trip 2: Linux ended without"),
        (Outcome(2, "returned", 1 << 63 | 7, "agent"), FAILED, "round trip 2: the application ret"),
        (Outcome(3, "returned", 0, "agent"), CRASHED, "round trip 2: Linux ended without"),
    ],
)
def test_a_round_trip_that_goes_wrong_is_the_last(
    machine: Machine, outcome: Outcome, expected: str, reason: str
) -> None:
    plan, settings = [TRIPS_STEP, step("last", fine)], Settings(round_trips=3)
    with pytest.raises(Reset):
        machine.boot(plan, settings=settings)
    with pytest.raises(Reset):
        machine.boot(plan, RETURNED, settings=settings)
    engine = machine.boot(plan, outcome, settings=settings)
    result = engine.bench.results[TRIPS]
    assert machine.trips == [1, 2]
    assert result.outcome == expected and result.reason.startswith(reason)
    assert result.facts == {"trips": [{"to_application_ms": 12.5}]}
    assert outcomes(machine)["last"] == OK


def test_an_application_that_cannot_be_started_is_a_fault_of_that_step_alone(
    machine: Machine,
) -> None:
    def refuse(bench: Bench, number: int) -> None:
        raise FirmwareError(errno.ENOENT, "there is no such file", "hello.efi")

    plan = [TRIPS_STEP, step("last", fine)]
    machine.boot(plan, settings=Settings(round_trips=3), trip=refuse)
    assert outcomes(machine) == {TRIPS: FAILED, "last": OK}


def test_without_a_stick_linux_does_not_end_for_it_would_begin_anew_for_ever(
    machine: Machine,
) -> None:
    keeper = Keeper(Journal(MemoryArea(4096)), machine.said.append)
    plan, settings = [TRIPS_STEP, step("last", fine)], Settings(round_trips=3)
    engine = machine.boot(plan, keeper=keeper, settings=settings)
    machine.blocks.writes_left = 1
    other = machine.boot(plan, settings=settings)
    assert machine.trips == []
    for each in (engine, other):
        assert each.bench.results[TRIPS].outcome == ABSENT
        assert each.bench.results["last"].outcome == OK


def test_a_stick_without_room_keeps_the_outcome_without_the_facts(machine: Machine) -> None:
    def large(bench: Bench) -> Facts:
        return {"much": "x" * (3 << 20)}

    machine.boot([step("large", large), step("last", fine)])
    assert outcomes(machine) == {"large": OK, "last": OK}
    records = Journal(opened(machine.blocks, slot_paths(1)[0])).records
    assert history.results(records)["large"].facts == {"left_out": "the stick had no room for it"}


@pytest.mark.parametrize("nr_writes", range(1, 7))
def test_a_stick_that_takes_no_more_leaves_what_it_has_and_the_rest_is_shown(
    machine: Machine, nr_writes: int
) -> None:
    plan = [step("a", fine), step("b", fine), step("c", raising(StepError("bad", {})))]
    machine.blocks.writes_left = nr_writes
    engine = machine.boot(plan)
    assert {name: result.outcome for name, result in engine.bench.results.items()} == {
        "a": OK,
        "b": OK,
        "c": FAILED,
    }
    assert sum("write-protected" in line for line in machine.said) >= 1
    assert set(outcomes(machine)) <= {"a", "b", "c"}
    machine.blocks.writes_left = 1 << 30
    assert len(Journal(opened(machine.blocks, slot_paths(1)[0])).records) == nr_writes


def test_a_report_is_written_beside_the_journal(machine: Machine) -> None:
    engine = machine.boot([step("a", fine)])
    assert engine.keeper.save(b"{}", b"<p>") == "\\certify\\1"
    _, report, page = slot_paths(1)
    assert written(machine.blocks, report) == b"{}"
    assert written(machine.blocks, page) == b"<p>"


def test_a_report_that_cannot_be_written_is_told(machine: Machine) -> None:
    engine = machine.boot([step("a", fine)])
    machine.blocks.writes_left = 0
    assert engine.keeper.save(b"{}", b"<p>") == ""
    assert "the report cannot be written: stick: is write-protected" in machine.said


def test_each_machine_has_a_place_and_goes_on_in_its_own(machine: Machine) -> None:
    other = Machine(machine.blocks, "other")
    plan = [step("a", fine), step("hangs", raising(Reset())), step("c", fine)]
    for each in (machine, other):
        with pytest.raises(Reset):
            each.boot(plan)
    assert (machine.keeper().number, other.keeper().number) == (1, 2)
    machine.boot(plan)
    assert other.keeper().number == 2
    assert machine.keeper().number == 3  # Its report is finished: another one begins.


def test_a_stick_that_is_full_of_reports_says_so(machine: Machine) -> None:
    for number in range(SLOTS):
        Machine(machine.blocks, f"machine {number}").boot([step("a", fine)])
    with pytest.raises(FirmwareError, match="has 4 reports already") as caught:
        machine.keeper()
    assert caught.value.errno == errno.ENOSPC


def test_nobody_can_tell_the_machine_from_the_journal(machine: Machine) -> None:
    machine.boot([step("a", fine)])
    assert machine.name.encode() not in written(machine.blocks, slot_paths(1)[0])


def test_what_identifies_the_machine_is_on_no_record(machine: Machine) -> None:
    machine.disguise.learn_text("PF2ABCDE")

    def tell(bench: Bench) -> Facts:
        raise StepError("serial PF2ABCDE", {"serial": ["PF2ABCDE"], "PF2ABCDE": 1})

    machine.boot([step("tell", tell)])
    assert b"PF2ABCDE" not in written(machine.blocks, slot_paths(1)[0])
    assert not any("PF2ABCDE" in line for line in machine.said)


def test_a_stick_whose_files_are_gone_is_named(machine: Machine) -> None:
    blocks = FileBlocks(machine.blocks.path)
    data = bytearray(blocks.path.read_bytes())
    data[128 * 512 :] = bytes(len(data) - 128 * 512)
    blocks.path.write_bytes(bytes(data))
    with pytest.raises(FormatError, match="stick: no FAT volume"):
        Machine(blocks).keeper()
