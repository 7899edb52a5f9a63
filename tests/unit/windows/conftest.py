# SPDX-License-Identifier: Apache-2.0
"""Volumes that Windows made: cryptsetup's, in its source package."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.vm.packages import BITLOCKER_IMAGES, fetch_archive


@pytest.fixture(scope="session")
def images() -> Path:
    """The directory with them and their startup keys."""
    return fetch_archive(BITLOCKER_IMAGES) / "bitlk-images"
