# SPDX-License-Identifier: Apache-2.0
"""The table of what was accepted last of machines that may be helped without a network."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, LargeBinary, Table, Text

from pykexec.server.store.column_types import Json, Timestamp
from pykexec.server.store.tables import metadata

last_accepted = Table(
    "last_accepted",
    metadata,
    Column("machine_id", ForeignKey("machines.id"), primary_key=True),
    Column("ak_name", Text, nullable=False),
    Column("time", Timestamp, nullable=False),
    Column("claims", Json, nullable=False),
    Column("seal", LargeBinary, nullable=False),
    Index("last_accepted_by_ak", "ak_name"),
)
