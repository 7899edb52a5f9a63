# SPDX-License-Identifier: Apache-2.0
"""The tables of roll-outs, which version of a policy counts for whom, and of what drafts decide."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Integer, LargeBinary, String, Table, Text

from pykexec.server.store.column_types import Json, Timestamp
from pykexec.server.store.tables import metadata

rollouts = Table(
    "rollouts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Json, nullable=False),
    Column("seal", LargeBinary, nullable=False),
)

# Of each machine the last one; all of them are in the audit chain.
draft_decisions = Table(
    "draft_decisions",
    metadata,
    Column("policy", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("machine_id", ForeignKey("machines.id"), primary_key=True, autoincrement=False),
    Column("time", Timestamp, nullable=False),
    Column("accepted", Boolean, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("reasons", Json, nullable=False),
    Column("seal", LargeBinary, nullable=False),
)
