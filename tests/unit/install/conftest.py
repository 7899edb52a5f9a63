# SPDX-License-Identifier: Apache-2.0
"""A machine to install on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.boot_manager import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    directory = tmp_path / "efivars"
    directory.mkdir()
    return World(directory)
