# SPDX-License-Identifier: Apache-2.0
"""The tables about test runs: what is put into pages, the matrix, where the time went."""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from pykexec.run import run
from tests import matrix_table, time_table
from tests.marked import replaced, stamp

JUNIT = ElementTree.fromstring("""
<testsuite>
  <testcase classname="tests.vm.test_a" name="test_it_boots[2022.11|tis]" time="10.5">
    <properties><property name="cpu_seconds" value="9.25"/></properties>
  </testcase>
  <testcase classname="tests.vm.test_a" name="test_it_boots[2025.02]" time="4.5">
    <properties><property name="cpu_seconds" value="3.0"/></properties>
    <failure message="lost"/>
  </testcase>
  <testcase classname="tests.vm.test_b" name="test_alone" time="20.0"/>
</testsuite>
""")


def test_only_what_is_between_the_marks_is_replaced() -> None:
    text = "a\n<!-- payloads: begin -->\nold\n<!-- payloads: end -->\nz\n"
    expected = "a\n<!-- payloads: begin -->\nnew\n<!-- payloads: end -->\nz\n"
    assert replaced(text, "payloads", ["new"]) == expected


def test_document_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="substring not found"):
        replaced("no marks", "payloads", ["new"])


def test_results_are_of_a_day_and_a_commit(tmp_path: Path) -> None:
    file = tmp_path / "payloads.json"
    file.touch()
    os.utime(file, (1_800_000_000, 1_800_000_000))
    assert stamp(file, tmp_path) == "on 2027-01-15"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path)]
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "a"]):
        run([*git, *words])
    assert re.fullmatch(r"on 2027-01-15 at commit [0-9a-f]{7,}", stamp(file, tmp_path))


def test_the_matrix_shows_the_cases_of_each_test_and_which_failed() -> None:
    lines = list(matrix_table.table(matrix_table.last(matrix_table.cases(JUNIT)), "on some day"))
    assert lines == [
        "| what | cases |",
        "|---|---|",
        "| it boots | `2022.11\\|tis`, `2025.02` ✗ |",
        "",
        "3 cases in virtual machines, on some day: 1 of them failed.",
    ]


def test_a_case_that_was_run_again_counts_as_it_went_then() -> None:
    again = ElementTree.fromstring(
        "<testsuite>"
        '<testcase classname="tests.vm.test_a" name="test_it_boots[2025.02]"/>'
        "</testsuite>"
    )
    runs = [*matrix_table.cases(JUNIT), *matrix_table.cases(again)]
    *_, last = matrix_table.table(matrix_table.last(runs), "on some day")
    assert last == "3 cases in virtual machines, on some day: all of them passed, 1 when run again."


def test_the_page_gets_the_cases_of_all_files(tmp_path: Path) -> None:
    files = [tmp_path / "vm.xml", tmp_path / "matrix.xml"]
    for file in files:
        document = ElementTree.tostring(JUNIT, "unicode")
        file.write_text(document.replace("tests.vm.test_a", f"tests.vm.test_{file.stem}"))
    page = tmp_path / "page.md"
    page.write_text("<!-- matrix: begin -->\n<!-- matrix: end -->\n")
    assert matrix_table.main([*map(str, files), str(page)]) == 0
    assert "\n5 cases in virtual machines, on " in page.read_text()


def test_time_is_summed_up_by_file_and_the_costliest_comes_first() -> None:
    assert list(time_table.table(time_table.costs([JUNIT]))) == [
        " tests   seconds processor",
        "     2      15.0      12.2 tests.vm.test_a",
        "     1      20.0       0.0 tests.vm.test_b",
        "     3      35.0      12.2 all",
    ]
