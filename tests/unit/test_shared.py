# SPDX-License-Identifier: Apache-2.0
"""What several workers want is made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.shared import once


def test_it_is_made_once_and_whole(tmp_path_factory: pytest.TempPathFactory) -> None:
    made: list[Path] = []

    def make(directory: Path) -> None:
        made.append(directory)
        (directory / "file").write_text("whole")

    first, second = (once(tmp_path_factory, "made-once", make) for _ in range(2))
    assert first == second and len(made) == 1
    assert (second / "file").read_text() == "whole"


def test_what_could_not_be_made_is_made_by_the_next(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    def fail(directory: Path) -> None:
        (directory / "half").touch()
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        once(tmp_path_factory, "made-by-the-next", fail)
    made = once(tmp_path_factory, "made-by-the-next", lambda directory: None)
    assert list(made.iterdir()) == []
