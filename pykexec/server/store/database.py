# SPDX-License-Identifier: Apache-2.0
"""Connections and transactions, the same over SQLite and PostgreSQL.

Every transaction that writes holds the audit chain's head from its first statement on. So writers
queue up, in all processes and on all servers, nothing that one has read is changed by another, and
no two of them can wait for each other.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError

from pykexec.errors import UsageError
from pykexec.server import quotas
from pykexec.server.canonical import now
from pykexec.server.errors import Conflict, StoreError
from pykexec.server.keys.keys import Keys
from pykexec.server.store.audit import Chain

T = TypeVar("T")

_BUSY_MS = 30_000
_WRITES = "pykexec_writes"

_WAL = "PRAGMA journal_mode = WAL"
_SQLITE_PRAGMAS = (
    # What was answered must not be forgotten when the power fails.
    "synchronous = FULL",
    "foreign_keys = ON",
    f"busy_timeout = {_BUSY_MS}",
    # A value that was destroyed shall not stay in free pages.
    "secure_delete = ON",
    "trusted_schema = OFF",
)
_POSTGRESQL_SETTINGS = (
    f"lock_timeout = {_BUSY_MS}",
    f"statement_timeout = {2 * _BUSY_MS}",
    # A server that hangs must not keep all others from writing.
    f"idle_in_transaction_session_timeout = {2 * _BUSY_MS}",
    "synchronous_commit = on",
)


@dataclass(frozen=True, slots=True)
class Writing:
    """A view within a transaction that holds the audit chain's head; now is its time."""

    connection: Connection
    keys: Keys
    chain: Chain
    now: datetime


class Database:
    """Connections that read and connections that write; StoreError for whatever they cannot do."""

    def __init__(self, url: str) -> None:
        self.url = parse_url(url)
        if self.url.get_backend_name() == "sqlite":
            _create_private(Path(str(self.url.database)))
        # Each has its own: who reads for long must not keep others from writing.
        self._engine = _engine(self.url, quotas.WRITERS)
        self._views = _engine(self.url, quotas.VIEWS)
        self._readers = _readers(self.url)
        self._lock = threading.Lock()

    @property
    def kind(self) -> str:
        """ "sqlite" or "postgresql"."""
        return self._engine.dialect.name

    def close(self) -> None:
        """All connections."""
        for engine in (self._readers, self._views, self._engine):
            engine.dispose()

    @contextmanager
    def reading(self) -> Generator[Connection, None, None]:
        """One consistent view; it holds a connection, so nothing may be waited for within."""
        with _translated(), self._views.connect() as connection:
            if self.kind == "postgresql":
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    def read(self, function: Callable[[Connection], T]) -> T:
        """Its result. Each of its statements stands alone, which spares a transaction's costs."""
        with _translated():
            try:
                with self._readers.connect() as connection:
                    return function(connection)
            except DBAPIError as error:
                # The database was started again; all connections of before are gone by now.
                if not error.connection_invalidated:
                    raise
            with self._readers.connect() as connection:
                return function(connection)

    @contextmanager
    def changing(self) -> Generator[Connection, None, None]:
        """A transaction that writes without touching the audit chain."""
        with _translated(), self._lock, self._engine.connect() as connection:
            connection = connection.execution_options(**{_WRITES: True})
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self, keys: Keys) -> Generator[Writing, None, None]:
        """A transaction in the audit chain; its entries are written at its end."""
        with self.changing() as connection:
            chain = Chain(connection, keys)
            yield Writing(connection, keys, chain, now())
            chain.finish()


@contextmanager
def _translated() -> Generator[None, None, None]:
    try:
        yield
    except IntegrityError as error:
        raise Conflict(f"database: {_words(error)}") from None
    except DBAPIError as error:
        raise StoreError(f"database: {_words(error)}") from None
    except SQLAlchemyError as error:
        raise StoreError(f"database: {type(error).__name__}: {error}") from None


def _words(error: DBAPIError) -> str:
    return str(error.orig).strip().partition("\n")[0]


def parse_url(text: str) -> URL:
    """Of a database, with the driver that is used; UsageError, which does not repeat it."""
    try:
        url = make_url(text)
    except ArgumentError:
        # Whatever it is may hold a password.
        raise UsageError("a database is sqlite:///PATH or postgresql://...") from None
    backend = url.get_backend_name()
    if backend in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise UsageError(f"a database is sqlite:///PATH or postgresql://..., not {backend}://")
    if url.database in (None, "", ":memory:") or url.query:
        raise UsageError("SQLite needs a file: sqlite:///PATH")
    return url.set(drivername="sqlite+pysqlite")


def _engine(url: URL, size: int) -> Engine:
    sqlite = url.get_backend_name() == "sqlite"
    # A connection that died while it was idle is noticed before it is used.
    engine = create_engine(
        url,
        connect_args=_patience(url),
        hide_parameters=True,
        pool_size=size,
        max_overflow=0,
        pool_timeout=quotas.POOL_TIMEOUT_S,
        pool_pre_ping=not sqlite,
    )
    event.listen(engine, "connect", _prepare_sqlite if sqlite else _prepare_postgresql)
    if sqlite:
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _readers(url: URL) -> Engine:
    sqlite = url.get_backend_name() == "sqlite"
    engine = create_engine(
        url,
        connect_args=_patience(url),
        hide_parameters=True,
        isolation_level="AUTOCOMMIT",
        pool_size=quotas.READERS,
        max_overflow=0,
        pool_timeout=quotas.POOL_TIMEOUT_S,
        # There is no transaction that could be left open.
        pool_reset_on_return=None,
    )
    event.listen(engine, "connect", _prepare_sqlite if sqlite else _prepare_postgresql)
    return engine


def _patience(url: URL) -> dict[str, object]:
    """A host that says nothing must not hold a connection for as long as TCP would wait."""
    if url.get_backend_name() == "sqlite":
        return {}
    wanted = {"connect_timeout": quotas.CONNECT_S, "tcp_user_timeout": quotas.UNHEARD_MS}
    return {key: value for key, value in wanted.items() if key not in url.query}


def _create_private(path: Path) -> None:
    """SQLite gives its journal the mode of the database, which the umask shall not decide."""
    try:
        # Not opened: to close it would end the locks that this process has on it by fcntl().
        os.mknod(path, stat.S_IFREG | 0o600)
    except FileExistsError:
        pass
    except OSError as error:
        raise StoreError(f"database: {path}: {error.strerror}") from None


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver's own transactions begin too late; see _begin_sqlite().
    connection.isolation_level = None
    for pragma in _SQLITE_PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    _write_ahead(connection)


def _write_ahead(connection: sqlite3.Connection) -> None:
    # Two that ask for it together stand in each other's way, for which SQLite waits for nobody.
    end = time.monotonic() + _BUSY_MS / 1000
    while True:
        try:
            connection.execute(_WAL)
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.01)


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes then fails when another wrote in between.
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare_postgresql(connection: Any, _record: object) -> None:
    for setting in _POSTGRESQL_SETTINGS:
        connection.execute(f"SET {setting}")
    if not connection.autocommit:
        connection.commit()
