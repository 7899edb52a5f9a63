# SPDX-License-Identifier: Apache-2.0
"""The tables of keys with generations: what a system may hand in, what was found of each, what has
to go. Values are rows of secrets, whose stage says which generation they are.
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, Table, Text

from pykexec.server.store.column_types import Json, Timestamp
from pykexec.server.store.tables import metadata

plans = Table(
    "key_plans",
    metadata,
    Column("machine_id", ForeignKey("machines.id"), primary_key=True, autoincrement=False),
    Column("name", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("parameters", Json, nullable=False),
    Column("rotate_days", Integer, nullable=False),
    Column("created", Timestamp, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("seal", LargeBinary, nullable=False),
)

# digest is that of the value, by a key of the store: who hands in the same again is told so.
generations = Table(
    "key_generations",
    metadata,
    Column("secret_id", ForeignKey("secrets.id"), primary_key=True, autoincrement=False),
    Column("digest", LargeBinary, nullable=False),
    Column("proven", Timestamp),
    Column("used", Timestamp),
    Column("verdict", Text, nullable=False),
    Column("seal", LargeBinary, nullable=False),
)

# What was destroyed, with the server's signature; a row is never changed.
destructions = Table(
    "key_destructions",
    metadata,
    Column("secret_id", ForeignKey("secrets.id"), primary_key=True, autoincrement=False),
    Column("machine_id", ForeignKey("machines.id"), nullable=False),
    Column("time", Timestamp, nullable=False),
    Column("certificate", Text, nullable=False),
    Index("key_destructions_by_machine", "machine_id"),
)

# Somebody wants a machine's keys to go to another EK; it takes a second person.
rebinds = Table(
    "key_rebinds",
    metadata,
    Column("machine_id", ForeignKey("machines.id"), primary_key=True, autoincrement=False),
    Column("to_id", ForeignKey("machines.id"), nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("asked", Timestamp, nullable=False),
    Column("seal", LargeBinary, nullable=False),
)

# A row stays until a newer generation is current.
rotations = Table(
    "key_rotations",
    metadata,
    Column("machine_id", ForeignKey("machines.id"), primary_key=True, autoincrement=False),
    Column("name", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("since", Timestamp, nullable=False),
    Column("seal", LargeBinary, nullable=False),
)
