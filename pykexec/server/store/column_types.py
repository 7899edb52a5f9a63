# SPDX-License-Identifier: Apache-2.0
"""Column types that are the same in every database: times and JSON that can be compared."""

from __future__ import annotations

import json
from datetime import datetime

from sqlalchemy import BigInteger, Dialect, Text
from sqlalchemy.types import TypeDecorator

from pykexec.server.canonical import canonical, from_ms, to_ms


class Timestamp(TypeDecorator[datetime]):
    """A time, in milliseconds since the epoch."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """To the database."""
        return None if value is None else to_ms(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """From the database."""
        return None if value is None else from_ms(value)


class Json(TypeDecorator[object]):
    """A value as canonical JSON, in which text can be searched for."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: object, dialect: Dialect) -> str | None:
        """To the database; None is NULL."""
        return None if value is None else canonical(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> object:
        """From the database."""
        return None if value is None else json.loads(value)
