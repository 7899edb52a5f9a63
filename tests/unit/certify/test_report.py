# SPDX-License-Identifier: Apache-2.0
"""A report says what was found out, whole or cut off, in words that a person can act on."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

import pykexec
from pykexec.certify.engine import Engine
from pykexec.certify.journal import parse_journal
from pykexec.certify.page import encode_page
from pykexec.certify.plan import PLAN, TRIPS, AbsentError, Bench, Facts, StepError
from pykexec.certify.report import encode_report, from_journal, read_report
from pykexec.certify.runs import RUNS
from pykexec.certify.settings import slot_paths
from pykexec.certify.show import report_lines, verdict
from pykexec.cli import main
from pykexec.errors import FormatError
from pykexec.image.imports import closure
from tests.unit.certify.machine import Machine, Reset, step, written

HOSTILE = "<script>alert(1)</script>\x1b[2J"


def firmware(bench: Bench) -> Facts:
    return {"vendor": "Maker", "smbios": {"sys_vendor": "Made", "product_name": HOSTILE}}


def broken(bench: Bench) -> Facts:
    raise StepError("no answer", {"disks": [{"path": HOSTILE, "bytes": 512}], "count": 1})


def absent(bench: Bench) -> Facts:
    raise AbsentError("no TPM")


PLAN_OF_TEST = (("firmware", firmware), ("disks", broken), ("tpm", absent))


def finished(machine: Machine) -> Engine:
    return machine.boot([step(name, run) for name, run in PLAN_OF_TEST])


def test_a_report_is_read_as_it_was_written(machine: Machine) -> None:
    report = from_journal(finished(machine).keeper.journal.records)
    data = encode_report(report)
    assert read_report(data, "report.json") == report
    assert read_report(data + b"\n" * 4096, "report.json") == report
    assert json.loads(data)["format"] == "pykexec-machine"
    assert report.complete and [each.name for each in report.faults] == ["disks"]


def test_the_journal_of_one_that_hung_is_a_report_too(machine: Machine) -> None:
    def hangs(bench: Bench) -> Facts:
        raise Reset

    plan = [step("firmware", firmware), step("disks", hangs), step("tpm", absent)]
    with pytest.raises(Reset):
        machine.boot(plan)
    report = read_report(written(machine.blocks, slot_paths(1)[0]), "journal.txt")
    assert not report.complete
    lines = list(report_lines(report))
    assert "cut off: not all steps were run" in lines
    assert "  was begun and has no end: the machine may hang in it" in lines
    assert not any("TPM" in line for line in lines)


def test_what_it_shows_says_what_follows(machine: Machine) -> None:
    lines = list(report_lines(from_journal(finished(machine).keeper.journal.records)))
    assert "every disk, read: does not work" in lines
    assert "  no answer" in lines
    assert "  that means: payloads on that disk cannot be started" in lines
    assert "TPM: banks, EK, quote: the machine has none" in lines
    assert lines[-1] == "1 of 3 steps have a fault: disks"
    assert not any("\x1b" in line for line in lines)


def test_the_page_runs_nothing_and_asks_nobody(machine: Machine) -> None:
    page = encode_page(from_journal(finished(machine).keeper.journal.records)).decode()
    found: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append(tag)
            assert not {name for name, _ in attrs} & {"src", "href", "onload"}

    Reader().feed(page)
    assert "script" not in found and "\x1b" not in page
    assert page.count("<li ") == 3 and "does not work" in page


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "x.json: is empty: no step has been begun"),
        (b"\n" * 4096, "x.json: is empty: no step has been begun"),
        (b"{", "x.json: neither a report nor a journal"),
        (b"\xff\xfe", "x.json: neither a report nor a journal"),
        (b"[" * 100_000, "x.json: neither a report nor a journal"),
        (b"[]", 'x.json: not a report: "format" is not pykexec-machine'),
        (b'{"format": "pykexec-machine", "version": 9}', "x.json: version 9, not 1"),
        (b'{"format": "pykexec-machine", "version": 1}', "x.json: steps: not a list"),
    ],
)
def test_what_is_no_report_is_named_in_a_line(data: bytes, fault: str) -> None:
    with pytest.raises(FormatError) as caught:
        read_report(data, "x.json")
    assert str(caught.value).startswith(fault)


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        (3, "step 0: has no name"),
        ({"name": 4}, "step 0: has no name"),
        ({"name": "disks", "outcome": "great"}, "disks: outcome 'great'"),
        ({"name": "disks", "outcome": "ok", "facts": []}, "disks: facts: not an object"),
    ],
)
def test_a_step_that_is_none_is_named(entry: object, fault: str) -> None:
    data = json.dumps({"format": "pykexec-machine", "version": 1, "steps": [entry]}).encode()
    with pytest.raises(FormatError, match=fault):
        read_report(data, "x.json")


def test_each_step_of_the_plan_is_run_in_the_initramfs() -> None:
    assert len({each.name for each in PLAN}) == len(PLAN)
    assert {each.name for each in PLAN} == RUNS.keys() | {TRIPS}
    shipped = closure(Path(pykexec.__file__).parent).own
    assert {run.__module__ for run in RUNS.values()} <= shipped.keys()
    assert not {name for name in shipped if name.startswith("pykexec.certify.replay")}


def test_a_journal_becomes_a_report_without_the_salt(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finished(machine)
    data = written(machine.blocks, slot_paths(1)[0])
    salt = str(parse_journal(data)[0][0]["salt"]).encode()
    journal, report = tmp_path / "journal.txt", tmp_path / "report.json"
    journal.write_bytes(data)
    assert main(["certify", "show", str(journal), "--output", str(report)]) == 1
    assert salt in data and salt not in report.read_bytes()
    assert read_report(report.read_bytes(), "x") == read_report(data, "x")
    assert main(["certify", "show", str(journal), "--output", str(tmp_path / "none" / "x")]) == 2


def test_the_verb_says_by_its_exit_code_whether_there_is_a_fault(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.json"
    report.write_bytes(encode_report(from_journal(finished(machine).keeper.journal.records)))
    assert main(["certify", "show", str(report)]) == 1
    assert "every disk, read: does not work" in capsys.readouterr().out
    assert main(["certify", "show", str(tmp_path / "none.json")]) == 1
    assert main(["certify", "replay", str(report)]) == 3
    empty = tmp_path / "empty.json"
    empty.write_bytes(b"")
    capsys.readouterr()
    assert main(["certify", "show", str(empty)]) == 3
    assert capsys.readouterr().err == f"pykexec: {empty}: is empty: no step has been begun\n"


def test_nothing_that_a_report_says_reaches_a_terminal_as_it_is() -> None:
    bad = "\x1b[2J\x7f"
    facts = {f"disks{bad}": [{f"name{bad}": bad}], bad: {bad: [bad]}}
    step = {"name": f"event-log{bad}", "outcome": "failed", "reason": bad, "facts": facts}
    whole = {"format": "pykexec-machine", "version": 1, f"by{bad}": bad, "steps": [step]}
    found = read_report(json.dumps(whole).encode(), "x")
    lines = [*report_lines(found), verdict(found)]
    assert len(lines) > 6 and all(line.isprintable() for line in lines)
