# SPDX-License-Identifier: Apache-2.0
"""Values in the one form in which they are stored, sealed and compared: times and JSON."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
)
_SURROGATE = re.compile("[\ud800-\udfff]")


def canonical(value: object) -> str:
    """JSON with sorted keys and without white space: equal values are equal text.

    It can be encoded whatever strangers put into strings: lone surrogates are escaped, as NUL is.
    """
    text = _ENCODER.encode(value)
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
