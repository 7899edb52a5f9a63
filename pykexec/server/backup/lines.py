# SPDX-License-Identifier: Apache-2.0
"""The lines of a backup: each a MAC in hex, a space, and JSON.

The MAC, by a key of the store, covers the line and the one before it, and so all of them: no line
can be changed, dropped, moved or added by who has written neither. That the last one came is for
the reader to see.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable

from pykexec.errors import FormatError

LINE_MAX = 32 << 20
"""Bytes; evidence of the largest size, in base64, is a third of it."""
_MAC_SIZE = 32
_HEAD = 2 * _MAC_SIZE + 1


class Sealer:
    """Makes lines, or tells whether they are ours; key has 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._last = bytes(_MAC_SIZE)

    def seal(self, text: str) -> bytes:
        """The next line."""
        body = text.encode()
        self._last = self._mac(body)
        return b"%s %s\n" % (self._last.hex().encode(), body)

    def check(self, line: bytes) -> bytes:
        """Its JSON; FormatError unless it is the next one that was written with this key."""
        body = body_of(line)
        expected = self._mac(body)
        if not hmac.compare_digest(line[: 2 * _MAC_SIZE], expected.hex().encode()):
            raise FormatError("not as this server wrote it: the MAC of a line is wrong")
        self._last = expected
        return body

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, self._last + body, "sha256")


def body_of(line: bytes) -> bytes:
    """A line's JSON, whoever wrote it; FormatError."""
    if len(line) < _HEAD or line[_HEAD - 1 : _HEAD] != b" ":
        raise FormatError("not a backup of pykexec")
    return line[_HEAD:]


class Splitter:
    """Gives whole lines to take(), from pieces of any size."""

    def __init__(self, take: Callable[[bytes], object]) -> None:
        self._take, self._rest = take, bytearray()

    def feed(self, piece: bytes) -> None:
        """The next piece; FormatError for a line that does not end."""
        start = len(self._rest)
        self._rest += piece
        if self._rest.find(b"\n", start) >= 0:
            *lines, rest = bytes(self._rest).split(b"\n")
            self._rest = bytearray(rest)
            for line in lines:
                self._take(line)
        if len(self._rest) > LINE_MAX:
            raise FormatError(f"not a backup of pykexec: a line of more than {LINE_MAX} bytes")

    def end(self) -> None:
        """FormatError if something is left."""
        if self._rest:
            raise FormatError("the backup ends within a line")
