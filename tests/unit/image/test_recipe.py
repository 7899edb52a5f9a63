# SPDX-License-Identifier: Apache-2.0
"""What an image is to be made of: what makes no sense is refused, the rest is told to the stub."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.errors import UsageError
from pykexec.image import Recipe


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"arena_mib": 127}, "must be at least 128"),
        ({"window_mib": 14}, "window of 14 MiB: must be even, 16 to 256"),
        ({"window_mib": 17}, "window of 17 MiB: must be even, 16 to 256"),
        ({"window_mib": 258}, "window of 258 MiB: must be even, 16 to 256"),
        ({"cmdline": "pykexec.window=32M"}, "is set by the size of the window"),
        ({"cmdline": "quiet pykexec.arena=1G"}, "is set by the size of the arena"),
        ({"cmdline": "pykexec.measure=systemd"}, "is set by what is measured"),
        ({"cmdline": "a\nb"}, "must be printable ASCII"),
    ],
)
def test_recipe_that_makes_no_sense_is_refused(options: dict[str, object], fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        Recipe(kernel=Path("vmlinuz"), **options)  # type: ignore[arg-type]


def test_a_larger_window_is_told_to_the_stub() -> None:
    recipe = Recipe(kernel=Path("vmlinuz"), cmdline="quiet", window_mib=64)
    assert recipe.full_cmdline == "quiet pykexec.arena=256M pykexec.window=64M"
