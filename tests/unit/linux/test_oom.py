# SPDX-License-Identifier: Apache-2.0
"""Who is killed when memory runs out."""

from __future__ import annotations

from pathlib import Path

from pykexec.linux.oom import spare_no_longer, spare_this_process


def test_who_is_spared_and_who_no_longer(tmp_path: Path) -> None:
    path = tmp_path / "oom_score_adj"
    spare_this_process(str(path))
    assert path.read_text() == "-1000"
    spare_no_longer(str(path))
    assert path.read_text() == "0"


def test_without_the_privilege_it_stays_as_it_is(tmp_path: Path) -> None:
    spare_this_process(str(tmp_path))
    assert list(tmp_path.iterdir()) == []
