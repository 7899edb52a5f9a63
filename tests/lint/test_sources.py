# SPDX-License-Identifier: Apache-2.0
"""Licence lines, sizes and words, in every file of the project."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.lint.tree import C_SUFFIXES, ROOT, relative, tracked

LICENCE = "SPDX-License-Identifier: "
# Text whose licence stands elsewhere: the licence itself, data, what a format leaves no room in.
WITHOUT_LICENCE_LINE = re.compile(
    r"(^|/)(LICENSE|COPYING|\.gitignore|py\.typed|series|source/format)$|^tests/golden/|^tests/data/fuzz/.*/|\.(json|patch|png|svg)$"
)
GPL_DIRECTORY = "kernel-patches/"

PYTHON_LINES_MAX = 400
C_LINES_MAX = 500
C_COLUMNS_MAX = 120
TAB = 8

# Written apart, so that this file does not contain them.
FORBIDDEN = re.compile(
    r"\b(TO"
    r"DO|FIX"
    r"ME|XX"
    r"X)\b"
    r"|/wo"
    r"rk/(main|shared|\.library)|/home/\w|/ro"
    r"ot/"
    r"|\b(pypi|debian|pythonhosted)\.org\b"
)
# They may say where a package's source is to be found.
HOSTS_ALLOWED = {"CHANGELOG.md", "README.md", "LICENSE"}

TEXT = [path for path in tracked() if b"\0" not in path.read_bytes()[:4096]]


@pytest.mark.parametrize(
    "path", [p for p in TEXT if not WITHOUT_LICENCE_LINE.search(relative(p))], ids=relative
)
def test_a_licence_line_leads_every_file(path: Path) -> None:
    head = path.read_text().splitlines()[:2]
    licence = "GPL-2.0-only" if relative(path).startswith(GPL_DIRECTORY) else "Apache-2.0"
    assert any(LICENCE + licence in line for line in head)


@pytest.mark.parametrize("path", tracked(".py"), ids=relative)
def test_a_python_file_is_one_concept(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= PYTHON_LINES_MAX


@pytest.mark.parametrize("path", tracked(*C_SUFFIXES), ids=relative)
def test_a_c_file_is_one_concept_indented_by_tabs(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) <= C_LINES_MAX
    assert [line for line in lines if len(line.expandtabs(TAB)) > C_COLUMNS_MAX] == []
    assert [line for line in lines if re.match(r" {8}", line) or line != line.rstrip()] == []


def test_no_two_headers_have_the_same_guard() -> None:
    # Of two that have, whoever includes both gets one.
    guard = re.compile(r"^#ifndef (\w+_H)$", re.MULTILINE)
    headers = [path for path in tracked(".h") if relative(path).startswith("csrc/")]
    guards = Counter(name for path in headers for name in guard.findall(path.read_text()))
    assert guards and [name for name, times in guards.items() if times > 1] == []


@pytest.mark.parametrize("path", TEXT, ids=relative)
def test_no_word_that_does_not_belong_here(path: Path) -> None:
    if relative(path) in HOSTS_ALLOWED:
        return
    found = [match[0] for match in FORBIDDEN.finditer(path.read_text(errors="replace"))]
    assert found == []


def test_there_is_one_version_number() -> None:
    number = re.compile(r"^(__version__|NUMBER) = ", re.MULTILINE)
    assigned = [path for path in tracked(".py") if number.search(path.read_text())]
    assert assigned == [ROOT / "pykexec/about.py"]
    assert 'dynamic = ["version"]' in (ROOT / "pyproject.toml").read_text()
