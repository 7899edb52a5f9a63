# SPDX-License-Identifier: Apache-2.0
"""Column types that are the same in every database: times and JSON that can be compared."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

from sqlalchemy import BigInteger, Dialect, Text
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_SURROGATE = re.compile("[\ud800-\udfff]")


def canonical(value: object) -> str:
    """JSON with sorted keys and without white space: equal values are equal text.

    It can be encoded whatever strangers put into strings: lone surrogates are escaped, as NUL is.
    """
    text = json.dumps(
        value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
    )
    return text if text.isascii() else _SURROGATE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def to_ms(time: datetime) -> int:
    """Milliseconds since the epoch; time must have a time zone."""
    return (time - _EPOCH) // _MS


def from_ms(time_ms: int) -> datetime:
    """The opposite, in UTC."""
    return _EPOCH + time_ms * _MS


def now() -> datetime:
    """In UTC, as exact as the store keeps it."""
    return from_ms(to_ms(datetime.now(UTC)))


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
