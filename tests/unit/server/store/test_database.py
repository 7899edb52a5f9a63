# SPDX-License-Identifier: Apache-2.0
"""SQLite among threads and processes: who comes together, and whose locks hold."""

from __future__ import annotations

import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import text

from pykexec.run import run
from pykexec.server.store.database import Database

# Another process that does not wait for the lock.
OTHER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)
try:
    connection.execute("BEGIN IMMEDIATE")
except sqlite3.OperationalError as error:
    print(error)
"""


def test_all_that_open_a_new_database_together_are_served(tmp_path: Path) -> None:
    barrier = Barrier(3)

    def journal(url: str) -> str:
        barrier.wait()
        database = Database(url)
        with database.changing() as connection:
            mode = connection.execute(text("PRAGMA journal_mode")).scalar_one()
        database.close()
        return str(mode)

    with ThreadPoolExecutor(3) as pool:
        for turn in range(40):
            url = f"sqlite:///{tmp_path}/{turn}.db"
            assert list(pool.map(journal, [url] * 3)) == ["wal"] * 3


def test_a_new_database_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    database = Database(f"sqlite:///{path}")
    with database.changing() as connection:
        connection.execute(text("CREATE TABLE one (id INTEGER)"))
        assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}
    database.close()


@pytest.mark.parametrize("again", [False, True])
def test_to_open_it_again_ends_nobodys_lock(again: bool, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    # Without a log of its own it is the database itself that is locked.
    with sqlite3.connect(path) as plain:
        plain.execute("CREATE TABLE one (id INTEGER)")
        plain.commit()
        plain.execute("BEGIN IMMEDIATE")
        if again:
            Database(f"sqlite:///{path}").close()
        assert run([sys.executable, "-c", OTHER, path]).strip() == b"database is locked"
    plain.close()
