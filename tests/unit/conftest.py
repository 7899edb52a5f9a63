# SPDX-License-Identifier: Apache-2.0
"""Stores for tests: each test that asks for one runs over SQLite and over PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from pykexec.attest.server.masterkey import LocalMasterKey
from pykexec.attest.server.store import Store
from tests import postgresql
from tests.store_samples import MASTER


@pytest.fixture(scope="session", name="postgresql_server")
def postgresql_server_fixture() -> Generator[postgresql.Server, None, None]:
    """One for all tests of a process."""
    with postgresql.running() as server:
        yield server


@pytest.fixture(scope="session", name="migrated")
def migrated_fixture(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, Path], str]:
    """Gives the URL of a copy of a new store; making one takes long."""
    made: dict[str, Path | str] = {}

    def copy(kind: str, directory: Path) -> str:
        if kind == "sqlite":
            if kind not in made:
                made[kind] = path = tmp_path_factory.mktemp("store") / "template.db"
                Store.open(f"sqlite:///{path}", LocalMasterKey(MASTER), migrate=True).close()
            target = directory / "store.db"
            shutil.copy(made[kind], target)
            return f"sqlite:///{target}"
        server: postgresql.Server = request.getfixturevalue("postgresql_server")
        if kind not in made:
            made[kind] = server.create()
            url = server.url(str(made[kind]))
            Store.open(url, LocalMasterKey(MASTER), migrate=True).close()
        return server.url(server.create(str(made[kind])))

    return copy


@pytest.fixture(name="store_url", params=["sqlite", "postgresql"])
def store_url_fixture(
    request: pytest.FixtureRequest, migrated: Callable[[str, Path], str], tmp_path: Path
) -> str:
    """Of a store in which nothing is, wrapped by MASTER."""
    return migrated(request.param, tmp_path)


@pytest.fixture(name="store")
def store_fixture(store_url: str) -> Generator[Store, None, None]:
    """The same, open."""
    with Store.open(store_url, LocalMasterKey(MASTER)) as store:
        yield store
