# SPDX-License-Identifier: Apache-2.0
"""Answers that were given to persons: sealed, and shown to them as often as they look."""

from __future__ import annotations

import hashlib

from sqlalchemy import Connection, select

from pykexec.server.store import tables


def given(connection: Connection, nonce: bytes) -> bytes | None:
    """The reply that used up this nonce; None where none did, or not long enough ago."""
    table = tables.nonces.c
    query = select(table.reply).where(table.digest == hashlib.sha256(nonce).digest())
    reply = connection.execute(query).scalar_one_or_none()
    return None if reply is None else bytes(reply)
