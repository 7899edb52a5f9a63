# SPDX-License-Identifier: Apache-2.0
"""What .editorconfig tells an editor is what the files are and the other linters want."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import editorconfig
import pytest

from tests.lint.test_sources import TAB, TEXT
from tests.lint.tree import C_SUFFIXES, ROOT, relative


@pytest.mark.parametrize("path", TEXT, ids=relative)
def test_a_file_is_as_an_editor_would_write_it(path: Path) -> None:
    wanted, data = editorconfig.get_properties(str(path)), path.read_bytes()
    if wanted["charset"] == "utf-8":
        data.decode()
    assert wanted["end_of_line"] != "lf" or b"\r" not in data
    assert wanted["insert_final_newline"] != "true" or data[-1:] in (b"\n", b"")
    assert wanted["trim_trailing_whitespace"] != "true" or not re.search(rb"[ \t]\n", data)
    assert wanted.get("indent_style") != "tab" or not re.search(rb"^ {8}", data, re.MULTILINE)


def test_python_is_formatted_alike_by_editor_and_ruff() -> None:
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]
    wanted = editorconfig.get_properties(str(ROOT / "any.py"))
    assert wanted["max_line_length"] == str(ruff["line-length"])
    assert (wanted["indent_style"], wanted["indent_size"]) == ("space", "4")


@pytest.mark.parametrize("suffix", C_SUFFIXES)
def test_c_is_indented_by_tabs(suffix: str) -> None:
    wanted = editorconfig.get_properties(str(ROOT / f"any{suffix}"))
    assert (wanted["indent_style"], wanted["tab_width"]) == ("tab", str(TAB))
