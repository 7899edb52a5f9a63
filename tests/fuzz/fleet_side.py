# SPDX-License-Identifier: Apache-2.0
"""What an operator brings from elsewhere, and somebody else may have made."""

from __future__ import annotations

from datetime import UTC, datetime

from pykexec.server.backup.header import Header, parse_header
from pykexec.server.backup.lines import Sealer, Splitter, body_of
from pykexec.server.bulk.text import read, write
from pykexec.server.keys.envelope import WrappedKey

_HEADER = Header(
    datetime(2026, 1, 1, tzinfo=UTC),
    "0.2.0",
    "0007",
    "0123456789abcdef",
    17,
    "ab" * 32,
    (WrappedKey(b"wrapped", "local:ab"),),
)


def backup(data: bytes) -> None:
    """A backup as far as it is read before its MACs are checked: its first line."""
    found: list[bytes] = []
    splitter = Splitter(found.append)
    splitter.feed(data)
    for line in found[:1]:
        header = parse_header(body_of(line))
        assert parse_header(header.text().encode()) == header
    splitter.end()


def backups() -> list[bytes]:
    """One that has nothing but a header."""
    return [Sealer(bytes(32)).seal(_HEADER.text())]


def csv(data: bytes) -> None:
    """A file that is to be imported; what was read can be written."""
    rows = list(read(data.decode("utf-8", "replace"), "csv"))
    assert not rows or list(write(rows, "csv"))


def csvs() -> list[bytes]:
    """Both kinds of spreadsheets."""
    text = b'kind,name,plain,tag:site,parameter:file\nmachine,"a ""b""\nc",x,,k\n'
    return [text, b"kind;name\r\npolicy;a\r\n"]


def jsonl(data: bytes) -> None:
    """The same as lines of JSON."""
    for row in read(data.decode("utf-8", "replace"), "jsonl"):
        assert isinstance(row["line"], int)


def jsonls() -> list[bytes]:
    """One that has what CSV has."""
    return [b'{"kind":"machine","tags":{"a":null}}\n\n{"kind":"secret","plain":"p"}\n']
