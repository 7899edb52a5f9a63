# SPDX-License-Identifier: Apache-2.0
"""Rows of every table that a database has, as JSON and back, whatever their schema.

Tables and columns are asked of the database, not taken from the program: a table that the program
does not know any more, or has just been given, comes along, and the backup of an older schema goes
into tables as they were then.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence

from sqlalchemy import (
    Boolean,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    delete,
    insert,
    select,
    text,
)

from pykexec.server.errors import StoreError

_NOT_OURS = "alembic_version"
_ROWS = 500
_CHARACTERS = 256 << 10
# PostgreSQL would send all of them at once otherwise.
_STREAMED = {"stream_results": True, "yield_per": _ROWS}

Row = list[object]


def tables_of(connection: Connection) -> dict[str, Table]:
    """All but the migrations' own, so that none refers to one after it."""
    metadata = MetaData()
    metadata.reflect(connection)
    return {table.name: table for table in metadata.sorted_tables if table.name != _NOT_OURS}


def dump(connection: Connection, table: Table) -> Iterator[list[Row]]:
    """Its rows, some at a time, by primary key; StoreError for a column of a type that a backup
    does not know.
    """
    for column in table.columns:
        if not isinstance(column.type, Boolean | Integer | LargeBinary | String):
            raise StoreError(f"{table.name}.{column.name}: a backup knows no {column.type!r}")
    query = select(table).order_by(*table.primary_key)
    columns = enumerate(table.columns)
    binary = [place for place, column in columns if isinstance(column.type, LargeBinary)]
    rows: list[Row] = []
    size = 0
    for found in connection.execute(query, execution_options=_STREAMED):
        row: Row = list(found)
        for place in binary:
            if isinstance(value := row[place], bytes):
                row[place] = base64.b64encode(value).decode()
        rows.append(row)
        size += sum(len(value) for value in row if isinstance(value, str))
        if len(rows) >= _ROWS or size > _CHARACTERS:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def load(connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Insert rows as dump() gives them, their values in the order of these columns."""
    binary = {column.name for column in table.columns if isinstance(column.type, LargeBinary)}
    values = []
    for row in rows:
        named = dict(zip(columns, row, strict=True))
        for name in binary:
            if (value := named[name]) is not None:
                named[name] = base64.b64decode(str(value), validate=True)
        values.append(named)
    connection.execute(insert(table), values)


def clear(connection: Connection, tables: Sequence[Table]) -> None:
    """Take away what a migration has put into new tables."""
    for table in reversed(tables):
        if connection.execute(select(text("1")).select_from(table).limit(1)).first():
            connection.execute(delete(table))


def last_numbers(connection: Connection, tables: Sequence[Table]) -> dict[str, int]:
    """The last number that each table gave a row, which must not be given again even where the row
    is gone.
    """
    if connection.dialect.name == "sqlite":
        found = connection.exec_driver_sql("SELECT name, seq FROM sqlite_sequence")
        return {name: int(number) for name, number in found}
    numbers = {}
    for table, sequence in _sequences(connection, tables):
        query = text(f"SELECT last_value, is_called FROM {sequence}")
        last, called = connection.execute(query).one()
        if called:
            numbers[table] = int(last)
    return numbers


def set_last_numbers(
    connection: Connection, tables: Sequence[Table], numbers: dict[str, int]
) -> None:
    """Go on after these, and after the rows that are there."""
    if connection.dialect.name == "sqlite":
        for table in _numbered(connection) & numbers.keys():
            values = {"name": table, "seq": numbers[table]}
            connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), values)
            connection.execute(text("INSERT INTO sqlite_sequence VALUES (:name, :seq)"), values)
        return
    for table, sequence in _sequences(connection, tables):
        if table in numbers:
            query = text("SELECT setval(CAST(:sequence AS regclass), :number)")
            connection.execute(query, {"sequence": sequence, "number": numbers[table]})


def _numbered(connection: Connection) -> set[str]:
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%AUTOINCREMENT%'"
    return set(connection.exec_driver_sql(query).scalars())


def _sequences(connection: Connection, tables: Sequence[Table]) -> Iterator[tuple[str, str]]:
    query = text("SELECT pg_get_serial_sequence(:table, :column)")
    for table in tables:
        for column in table.primary_key:
            values = {"table": table.name, "column": column.name}
            if sequence := connection.execute(query, values).scalar_one():
                yield table.name, sequence
