# SPDX-License-Identifier: Apache-2.0
"""Triggers by which the database itself refuses what must never be changed.

They stop mistakes and a program's bugs; whoever owns the database can drop them, which seals and
the audit chain bring to light.
"""

from __future__ import annotations

from alembic import op


def append_only(table: str) -> None:
    """Refuse UPDATE, DELETE, TRUNCATE and replacement of rows."""
    _refuse(table, "append_only", "UPDATE", "1 = 1")
    _refuse(table, "no_delete", "DELETE", "1 = 1")
    if _is_sqlite():
        # INSERT OR REPLACE deletes without asking the trigger above.
        (keys,) = (
            op.get_bind()
            .exec_driver_sql(
                "SELECT group_concat(name || ' = NEW.' || name, ' AND ') "
                f"FROM pragma_table_info('{table}') WHERE pk"
            )
            .one()
        )
        exists = f"EXISTS (SELECT 1 FROM {table} WHERE {keys})"
        _refuse(table, "no_replace", "INSERT", exists)
        return
    _function(table, "no_truncate", "TRUE")
    op.execute(
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_no_truncate()"
    )


def fixed_columns(table: str, *columns: str) -> None:
    """Refuse to change these, or to delete a row."""
    changed = " OR ".join(f"OLD.{column} <> NEW.{column}" for column in columns)
    _refuse(table, "fixed", "UPDATE", changed)
    no_delete(table)


def no_delete(table: str, when: str = "1 = 1") -> None:
    """Refuse to delete a row, or one of which a condition is true."""
    _refuse(table, "no_delete", "DELETE", when)


def final_state(table: str, state: str, unless: str = "") -> None:
    """Refuse to leave a state, unless a condition is true."""
    leaves = f"OLD.state = '{state}' AND NEW.state <> '{state}'"
    _refuse(table, "final", "UPDATE", f"{leaves} AND NOT ({unless})" if unless else leaves)


def lift(table: str, name: str) -> None:
    """Take one away, for another in its place."""
    if _is_sqlite():
        op.execute(f"DROP TRIGGER {table}_{name}")
    else:
        op.execute(f"DROP TRIGGER {table}_{name} ON {table}")
        op.execute(f"DROP FUNCTION {table}_{name}()")


def _refuse(table: str, name: str, event: str, condition: str) -> None:
    if _is_sqlite():
        op.execute(
            f"CREATE TRIGGER {table}_{name} BEFORE {event} ON {table} WHEN {condition} "
            f"BEGIN SELECT RAISE(ABORT, '{table}: {name}'); END"
        )
        return
    _function(table, name, condition)
    op.execute(
        f"CREATE TRIGGER {table}_{name} BEFORE {event} ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION {table}_{name}()"
    )


def _function(table: str, name: str, condition: str) -> None:
    op.execute(
        f"CREATE FUNCTION {table}_{name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF {condition} THEN RAISE EXCEPTION '{table}: {name}'; END IF; "
        "IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END $$"
    )


def _is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"
