# SPDX-License-Identifier: Apache-2.0
"""Stores for tests: each test that asks for one runs over SQLite and over PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from pathlib import Path

import pytest

from pykexec.server.keys.masterkey import LocalMasterKey
from pykexec.server.store.store import Store
from tests.support import postgresql
from tests.support.postgresql import Server
from tests.support.service_world import World, service_world
from tests.support.store_samples import MASTER


@pytest.fixture(scope="session", name="postgresql_server")
def postgresql_server_fixture() -> Generator[Server, None, None]:
    """One for all tests of a process."""
    with postgresql.running() as server:
        yield server


@pytest.fixture(scope="session", name="sqlite_template")
def sqlite_template_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new store, to be copied: making one takes longer."""
    path = tmp_path_factory.mktemp("store") / "template.db"
    Store.open(f"sqlite:///{path}", LocalMasterKey(MASTER), migrate=True).close()
    return path


@pytest.fixture(scope="session", name="postgresql_template")
def postgresql_template_fixture(postgresql_server: Server) -> str:
    """A database with a new store, to be restored for each test."""
    name = postgresql_server.create()
    Store.open(postgresql_server.url(name), LocalMasterKey(MASTER), migrate=True).close()
    postgresql_server.save(name)
    return name


@pytest.fixture(name="store_url", params=["sqlite", "postgresql"])
def store_url_fixture(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a store in which nothing is, wrapped by MASTER."""
    if request.param == "sqlite":
        path: Path = request.getfixturevalue("sqlite_template")
        shutil.copy(path, tmp_path / "store.db")
        return f"sqlite:///{tmp_path}/store.db"
    server: Server = request.getfixturevalue("postgresql_server")
    name: str = request.getfixturevalue("postgresql_template")
    server.restore(name)
    return server.url(name)


@pytest.fixture(name="store")
def store_fixture(store_url: str) -> Generator[Store, None, None]:
    """The same, open."""
    with Store.open(store_url, LocalMasterKey(MASTER)) as store:
        yield store


@pytest.fixture(name="world")
def world_fixture(tmp_path: Path) -> Generator[World, None, None]:
    """A server with one policy that allows any image, and a machine that it does not know yet."""
    with service_world(tmp_path) as found:
        yield found
