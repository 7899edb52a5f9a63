# SPDX-License-Identifier: Apache-2.0
"""The page's table is what the payload tests found."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from pykexec.run import run
from tests.payload_table import replaced, stamp, table
from tests.vm.results import read_results, recorded


def _row(file: Path) -> str:
    return next(line for line in table(read_results(file)) if line.startswith("| GRUB 2.06 |"))


def test_row_tells_our_start_and_the_control(tmp_path: Path) -> None:
    file = tmp_path / "payloads.json"
    with recorded("grub-2.06", "2022.11", "kexec", "6.1-cloud", file=file):
        pass
    with recorded("grub-2.06", "2022.11", "direct", file=file):
        pass
    assert _row(file).endswith("| ✓ from 6.1, ✓ directly | not run |")


def test_failure_replaces_an_earlier_success(tmp_path: Path) -> None:
    file = tmp_path / "payloads.json"
    with recorded("grub-2.06", "2025.02", "kexec", "6.12-cloud", file=file):
        pass
    with (
        pytest.raises(ValueError, match="lost"),
        recorded("grub-2.06", "2025.02", "kexec", "6.12-cloud", file=file),
    ):
        raise ValueError("lost")
    assert _row(file).endswith("| not run | ✗ from 6.12 |")


def test_table_says_of_which_day_and_commit_it_is(tmp_path: Path) -> None:
    file = tmp_path / "payloads.json"
    file.touch()
    os.utime(file, (1_800_000_000, 1_800_000_000))
    assert stamp(file, tmp_path) == "Made on 2027-01-15."
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path)]
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "a"]):
        run([*git, *words])
    assert re.fullmatch(r"Made on 2027-01-15 at commit [0-9a-f]{7,}\.", stamp(file, tmp_path))


def test_only_what_is_between_the_marks_is_replaced() -> None:
    text = "a\n<!-- payloads: begin -->\nold\n<!-- payloads: end -->\nz\n"
    expected = "a\n<!-- payloads: begin -->\nnew\n<!-- payloads: end -->\nz\n"
    assert replaced(text, ["new"]) == expected


def test_document_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="substring not found"):
        replaced("no marks", ["new"])
