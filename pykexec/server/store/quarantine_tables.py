# SPDX-License-Identifier: Apache-2.0
"""The table of what is in quarantine: a machine, or all that have a tag."""

from __future__ import annotations

from sqlalchemy import Column, LargeBinary, Table, Text

from pykexec.server.store.column_types import Timestamp
from pykexec.server.store.tables import metadata

quarantine = Table(
    "quarantine",
    metadata,
    Column("target", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("since", Timestamp, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("seal", LargeBinary, nullable=False),
)
