# SPDX-License-Identifier: Apache-2.0
"""A machine, and a stick in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.certify.machine import Machine, make_stick


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """It has a new stick."""
    return Machine(make_stick(tmp_path / "stick.img"))
