# SPDX-License-Identifier: Apache-2.0
"""A store with something in every corner, and its backup: made once, copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pykexec.server.store.store import Store
from tests.support.backups import KEY, backup, populate


@pytest.fixture(scope="session", name="full_template")
def full_template_fixture(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with both."""
    directory = tmp_path_factory.mktemp("full")
    shutil.copy(sqlite_template, directory / "store.db")
    with Store.open(f"sqlite:///{directory}/store.db", KEY) as store:
        populate(store)
        backup(store, directory / "backup")
    return directory
