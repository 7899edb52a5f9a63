# SPDX-License-Identifier: Apache-2.0
"""A database that an older version has written is brought up with all that it says, while servers
of that version go on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from pykexec.server.keys.envelope import Keyring, WrappedKey, wipe
from pykexec.server.keys.keys import Keys
from pykexec.server.keys.masterkey import LocalMasterKey
from pykexec.server.store.accounts import Accounts
from pykexec.server.store.database import Database
from pykexec.server.store.logins import Logins
from pykexec.server.store.records import Settings
from pykexec.server.store.rewrapping import CONTEXT, store_key
from pykexec.server.store.store import Store
from tests.support import old_stores
from tests.support.postgresql import Server
from tests.support.store_samples import BOOT, MASTER, next_boot

KEY = LocalMasterKey(MASTER)
ENTRIES = 24


@pytest.fixture(name="old_url", params=["sqlite", "postgresql"])
def old_url_fixture(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of what e24450b has written."""
    path = tmp_path / "old.db"
    old_stores.load(old_stores.OLDEST, path)
    if request.param == "sqlite":
        return f"sqlite:///{path}"
    server: Server = request.getfixturevalue("postgresql_server")
    return _in_postgresql(server, path)


def _in_postgresql(server: Server, path: Path) -> str:
    url = server.url(server.create())
    old_stores.copy(path, url, old_stores.OLDEST_SCHEMA)
    return url


@contextmanager
def old_server(url: str) -> Generator[tuple[Database, Keys], None, None]:
    """The hands of one: connections and the store's key."""
    with closing(Database(url)) as database:
        row = database.read(store_key)
        assert row is not None
        yield database, Keys(Keyring(KEY).unwrap(WrappedKey(row.wrapped, row.key_id), CONTEXT))


def test_what_the_oldest_version_has_written_is_all_there(old_url: str) -> None:
    with Store.open(old_url, KEY, migrate=True) as store:
        assert (store.verify_audit().entries, store.verify_audit().faults) == (ENTRIES, ())
        assert store.health().faults == ()
        assert store.settings() == Settings(first_use=True, default_policy="servers")
        states = {machine.name: machine.state for machine in store.machines(search="web").items}
        assert states == {"web-1": "enrolled"}
        assert store.machine_counts() == {"pending": 1, "enrolled": 1, "retired": 1}
        assert [found.version for found in store.policy_versions("servers")] == [2, 1]
        ((secret, value),) = store.open_secrets(1)
        assert (secret.name, bytes(value)) == ("disk", b"the passphrase of web-1")
        wipe(value)
        assert [secret.version for secret in store.secrets(3, history=True)] == [2, 1]
        assert store.released(1, BOOT) and store.released(1, next_boot(BOOT))
        assert not store.released(1, next_boot(next_boot(BOOT)))
        assert [token.name for token in store.tokens() if token.revoked is None] == ["ci"]
        assert [root.subject for root in store.ek_roots()] == ["CN=test EK root"]
        assert [(entry.name, entry.policy) for entry in store.ek_hashes().items] == [
            ("web-9", "servers")
        ]
        assert store.evidence(3) == b'{"x":1}'
        accounts = Accounts(store.database, store.keys)
        assert [operator.name for operator in accounts.operators()] == ["anna"]
        assert Logins(accounts).login("anna", "correct horse battery staple", "192.0.2.1", None)


def test_nothing_is_lost_of_what_old_servers_write_meanwhile(old_url: str) -> None:
    written: list[int] = []
    ends = threading.Event()

    def load() -> None:
        with old_server(old_url) as (database, keys):
            number = 0
            while not ends.is_set():
                number += 1
                with database.writing(keys) as tx:
                    old_stores.insert_attestation(tx, number)
                    old_stores.insert_nonce(tx, number)
                written.append(number)

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(load)
        try:
            while not written:
                time.sleep(0.01)
                assert not writer.done()
            with Store.open(old_url, KEY, migrate=True) as store:
                before = len(written)
                while len(written) == before:
                    time.sleep(0.01)
                    assert not writer.done()
                ends.set()
                writer.result()
                found = store.verify_audit()
                assert (found.entries, found.faults) == (ENTRIES + len(written), ())
                with store.database.reading() as connection:
                    query = text("SELECT time FROM attestations WHERE peer = 'p' ORDER BY id")
                    assert list(connection.execute(query).scalars()) == written
        finally:
            ends.set()


def test_the_schema_waits_for_who_writes(tmp_path: Path, postgresql_server: Server) -> None:
    # It has one table already when the change of the other begins, which would wait for the first.
    old_stores.load(old_stores.OLDEST, tmp_path / "old.db")
    url = _in_postgresql(postgresql_server, tmp_path / "old.db")
    with old_server(url) as (database, keys), ThreadPoolExecutor(1) as pool:
        with database.writing(keys) as tx:
            old_stores.insert_attestation(tx, 1)
            upgrade = pool.submit(lambda: Store.open(url, KEY, migrate=True).close())
            while not _somebody_waits(database):
                time.sleep(0.01)
                assert not upgrade.done()
            old_stores.insert_nonce(tx, 1)
        upgrade.result()
    with Store.open(url, KEY) as store:
        assert store.verify_audit().entries == ENTRIES + 1


def _somebody_waits(database: Database) -> bool:
    query = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    return bool(database.read(lambda connection: connection.execute(query).scalar_one()))
