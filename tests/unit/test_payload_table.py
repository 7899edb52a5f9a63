# SPDX-License-Identifier: Apache-2.0
"""The page's table is what the payload tests found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.payload_table import table
from tests.vm.results import read_results, recorded


def _row(file: Path) -> str:
    return next(line for line in table(read_results(file)) if line.startswith("| GRUB 2.06 |"))


def test_row_tells_our_start_and_the_control(tmp_path: Path) -> None:
    file = tmp_path / "payloads.json"
    with recorded("grub-2.06", "2022.11", "kexec", "6.1-cloud", file=file):
        pass
    with recorded("grub-2.06", "2022.11", "direct", file=file):
        pass
    assert _row(file).endswith("| ✓ from 6.1, ✓ directly | not run | not run |")


def test_failure_replaces_an_earlier_success(tmp_path: Path) -> None:
    file = tmp_path / "payloads.json"
    with recorded("grub-2.06", "2025.02", "kexec", "6.12-cloud", file=file):
        pass
    with (
        pytest.raises(ValueError, match="lost"),
        recorded("grub-2.06", "2025.02", "kexec", "6.12-cloud", file=file),
    ):
        raise ValueError("lost")
    assert _row(file).endswith("| not run | ✗ from 6.12 | not run |")


def test_what_sid_has_is_told_by_its_version_of_that_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYKEXEC_CACHE", str(tmp_path))
    for package in ("ovmf-generic_2026.08+ds-2", "linux-image-cloud-amd64_7.2.13-1"):
        (tmp_path / "packages/sid" / package).mkdir(parents=True)
    with recorded("linux-sid-cloud", "sid", "kexec", "sid-cloud", file=tmp_path / "results"):
        pass
    lines = list(table(read_results(tmp_path / "results")))
    assert lines[0].endswith("| OVMF 2025.02 | OVMF 2026.08 |")
    row = next(line for line in lines if line.startswith("| Linux 7.2.13 (EFI stub) |"))
    assert row.endswith("| ✓ from 7.2.13 |")
