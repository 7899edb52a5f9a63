# SPDX-License-Identifier: Apache-2.0
"""The schema: migrations make what the program expects, and nothing else is served."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, text

from pykexec.errors import UsageError
from pykexec.server.errors import SchemaError, StoreError
from pykexec.server.keys.masterkey import LocalMasterKey
from pykexec.server.store import (
    account_tables,
    approval_tables,
    break_glass_tables,
    key_tables,
    migrations,
    quarantine_tables,
    rollout_tables,
    tables,
    webhook_tables,
)
from pykexec.server.store.database import Database
from pykexec.server.store.store import Store
from tests.support import postgresql
from tests.support.store_samples import MASTER, OPERATOR, enrolled, tamper

# Importing it adds its tables.
assert account_tables.operators.metadata is tables.metadata
assert approval_tables.approvals.metadata is tables.metadata
assert break_glass_tables.last_accepted.metadata is tables.metadata
assert key_tables.generations.metadata is tables.metadata
assert quarantine_tables.quarantine.metadata is tables.metadata
assert rollout_tables.rollouts.metadata is tables.metadata
assert webhook_tables.webhooks.metadata is tables.metadata
KEY = LocalMasterKey(MASTER)


@pytest.fixture(name="empty_url", params=["sqlite", "postgresql"])
def empty_url_fixture(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a database without any table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/empty.db"
    server: postgresql.Server = request.getfixturevalue("postgresql_server")
    return server.url(server.create())


def test_migrations_make_what_the_program_expects(store: Store) -> None:
    with store.database.reading() as connection:
        options = {"compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, tables.metadata) == []


def test_an_empty_database_is_not_touched_without_being_told(empty_url: str) -> None:
    with pytest.raises(SchemaError, match="empty; run once with --migrate"):
        Store.open(empty_url, KEY)
    with Store.open(empty_url, KEY, migrate=True) as store:
        assert store.health().schema == migrations.newest()


def test_migrating_again_changes_nothing(store: Store, store_url: str) -> None:
    machine = enrolled(store)
    with Store.open(store_url, KEY, migrate=True) as other:
        assert other.machine(machine.fingerprint) == machine
        assert other.verify_audit().entries == 1


@pytest.mark.parametrize("migrate", [False, True])
def test_a_newer_schema_is_refused(store: Store, store_url: str, migrate: bool) -> None:
    tamper(store, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaError, match="schema 9999, which is newer than this program"):
        Store.open(store_url, KEY, migrate=migrate)


def test_an_older_schema_is_refused_until_it_is_migrated(empty_url: str) -> None:
    database = Database(empty_url)
    with database.changing() as connection:
        migrations.migrate(connection, "0001")
    database.close()
    with pytest.raises(SchemaError, match=r"schema 0001, .* is needed; make a backup"):
        Store.open(empty_url, KEY)
    with Store.open(empty_url, KEY, migrate=True) as store:
        assert store.health().schema == migrations.newest()


@pytest.mark.parametrize("migrate", [False, True])
def test_the_database_of_another_program_is_refused(tmp_path: Path, migrate: bool) -> None:
    url = f"sqlite:///{tmp_path}/other.db"
    with create_engine(url).begin() as connection:
        connection.execute(text("CREATE TABLE theirs (id INTEGER)"))
    with pytest.raises(SchemaError, match="not a store of pykexec"):
        Store.open(url, KEY, migrate=migrate)


def test_servers_that_start_together_make_one_store(empty_url: str) -> None:
    with ThreadPoolExecutor(3) as pool:
        stores = list(pool.map(lambda _: Store.open(empty_url, KEY, migrate=True), range(3)))
    assert len({store.derived_key("x") for store in stores}) == 1
    for store in stores:
        store.close()


@pytest.mark.parametrize(
    "url",
    ["", "store.db", "sqlite://", "sqlite:///:memory:", "mysql://u:hunter2@h/d", "x:y:hunter2"],
)
def test_a_url_that_means_nothing_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        Store.open(url, KEY)
    assert "hunter2" not in str(caught.value)


def test_a_database_that_is_away_is_an_error_without_its_password(tmp_path: Path) -> None:
    for url in (
        f"sqlite:///{tmp_path}/absent/store.db",
        f"postgresql://user:hunter2@/store?host={tmp_path}",
    ):
        with pytest.raises(StoreError, match="database: ") as caught:
            Store.open(url, KEY)
        assert "hunter2" not in str(caught.value)


def test_nobody_else_can_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with Store.open(f"sqlite:///{path}", KEY, migrate=True) as store:
        enrolled(store)
        modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes == {0o600}


def test_a_file_that_is_no_database_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"not a database, but long enough to be one" * 40)
    with pytest.raises(StoreError, match="not a database"):
        Store.open(f"sqlite:///{tmp_path}/store.db", KEY)


def test_a_database_that_was_started_again_is_used_again(
    store: Store, postgresql_server: postgresql.Server
) -> None:
    machine = enrolled(store)
    postgresql_server.disconnect_all()
    assert store.machine(machine.fingerprint) == machine
    postgresql_server.disconnect_all()
    assert store.retire(machine.id, OPERATOR).state == "retired"
