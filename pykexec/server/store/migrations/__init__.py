# SPDX-License-Identifier: Apache-2.0
"""Bring a database to the schema that this version of the program needs."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from pykexec.server.errors import SchemaError


def newest() -> str:
    """The revision that the program needs."""
    head = _scripts().get_current_head()
    assert head is not None
    return head


def current(connection: Connection) -> str | None:
    """The revision that the database has, None when it is empty; SchemaError for a stranger's."""
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is None and inspect(connection).get_table_names():
        raise SchemaError("the database has tables, but is not a store of pykexec")
    return revision


def check(connection: Connection) -> str:
    """The revision; SchemaError unless it is what the program needs, saying what to do."""
    revision = current(connection)
    if revision == newest():
        return revision
    if revision is None:
        raise SchemaError("the database is empty; run once with --migrate")
    if known(revision):
        raise SchemaError(
            f"the database has schema {revision}, {newest()} is needed; "
            "make a backup, then run once with --migrate"
        )
    raise SchemaError(
        f"the database has schema {revision}, which is newer than this program's {newest()}"
    )


def migrate(connection: Connection, to: str = "head") -> None:
    """Bring it up within the connection's transaction; SchemaError for what is newer."""
    revision = current(connection)
    if revision is not None and not known(revision):
        raise SchemaError(f"the database has schema {revision}, which is newer than this program")
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def known(revision: str) -> bool:
    """Whether this program has it; one that it has not is a newer program's."""
    return revision in {script.revision for script in _scripts().walk_revisions()}


@cache
def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config
