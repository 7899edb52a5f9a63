# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL of one's own, reached by a socket in its own directory, gone afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg

from pykexec.run import run

USER = "store"
_START_S = 60
# Nothing that these hold has to survive a power failure.
_FAST = (
    "fsync=off",
    "full_page_writes=off",
    "autovacuum=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_wal_size=8GB",
    "checkpoint_timeout=1h",
)


@dataclass(slots=True)
class Server:
    """A running server; its databases are numbered."""

    directory: Path
    _numbers: count[int] = field(default_factory=lambda: count(1))

    def url(self, database: str) -> str:
        """As Store.open() takes it."""
        return f"postgresql://{USER}@/{database}?host={self.directory}"

    def create(self) -> str:
        """The name of a new database, which is empty."""
        name = f"test{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} STRATEGY wal_log")
        return name

    def save(self, name: str) -> None:
        """Note what is in a database's tables, for restore()."""
        with psycopg.connect(self.url(name)) as connection:
            connection.execute("CREATE SCHEMA saved")
            for table in _tables(connection):
                connection.execute(f"CREATE TABLE saved.{table} AS TABLE {table}")

    def disconnect_all(self) -> None:
        """As if the server had been started again."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )

    def restore(self, name: str) -> None:
        """Bring back what was noted, and triggers that were disabled; much faster than a copy."""
        with psycopg.connect(self.url(name)) as connection:
            connection.execute("SET session_replication_role = replica")
            for table in _tables(connection):
                connection.execute(f"DELETE FROM {table}")
                connection.execute(f"INSERT INTO {table} SELECT * FROM saved.{table}")
                connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")
            connection.execute("SELECT setval(seqrelid::regclass, 1, false) FROM pg_sequence")


def _tables(connection: psycopg.Connection) -> list[str]:
    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    return [name for (name,) in connection.execute(query)]


def _binaries() -> Path:
    """Where Debian has the newest version."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name)
    )
    if not found:
        raise FileNotFoundError("/usr/lib/postgresql: install the package postgresql")
    return found[-1]


@contextmanager
def running(durable: bool = False) -> Generator[Server, None, None]:
    """Start one; with durable it waits for the disk as in real use."""
    binaries = _binaries()
    directory = Path(tempfile.mkdtemp(prefix="pykexec-postgresql-"))
    # PostgreSQL refuses to be root; and it must not outlive who started it.
    drop = ["--reuid=postgres", "--regid=postgres", "--clear-groups"]
    become = ["setpriv", *(drop if os.geteuid() == 0 else []), "--pdeathsig=QUIT"]
    if os.geteuid() == 0:
        shutil.chown(directory, "postgres", "postgres")
    data = directory / "data"
    initdb = [*become, str(binaries / "initdb"), "--no-sync", "--auth=trust"]
    as_utf8 = ["--encoding=UTF8", "--locale=C.UTF-8", f"--username={USER}"]
    run([*initdb, *as_utf8, "-D", data], timeout_s=120)
    settings = ["listen_addresses=", f"unix_socket_directories={directory}", "max_connections=64"]
    options = [f"-c{setting}" for setting in (*settings, *(() if durable else _FAST))]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [*become, binaries / "postgres", "-D", data, *options], stdout=log, stderr=log
        )
    server = Server(directory)
    try:
        _wait(server, process)
        yield server
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait(timeout=_START_S)
        shutil.rmtree(directory)


def _wait(server: Server, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            psycopg.connect(server.url("postgres")).close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                log = (server.directory / "log").read_text()
                raise RuntimeError(f"PostgreSQL does not start: {log}") from None
        time.sleep(0.02)
