# SPDX-License-Identifier: Apache-2.0
"""Signed heads of the audit chain, kept elsewhere, and whether a trail still has them.

Who rewrites the chain, even with the store's key, or brings back a database of before, cannot make
it contain what it ended with when such a head was signed and carried away.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from pykexec.errors import FormatError
from pykexec.server.canonical import from_ms
from pykexec.server.store import audit
from pykexec.server.store.records import AuditEntry
from pykexec.server.store.view import Reading

if TYPE_CHECKING:
    from pykexec.server.store.store import Store

_LINE_MAX = 4 << 20
_FAULTS_MAX = 100
_KEYS = {
    "seq": int,
    "time_ms": int,
    "actor": str,
    "action": str,
    "subject": str,
    "detail": dict,
    "previous": str,
    "hash": str,
}


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where the chain ended at some time."""

    seq: int
    hash: str
    time: datetime


def read_anchors(data: bytes, key: str) -> tuple[Anchor, ...]:
    """Signed heads, a line each; FormatError unless all are by the holder of key, in base64url."""
    found = []
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            found.append(_anchor(line, key))
        except FormatError as error:
            raise FormatError(f"line {number}: {error}") from None
    if not found:
        raise FormatError("there is no signed head in it")
    return tuple(found)


def _anchor(line: bytes, key: str) -> Anchor:
    said = audit.HEADS.check(line, key)
    if said.number("version") != 1:
        raise FormatError("anchor: of a version that is not known")
    anchor = Anchor(said.number("seq"), said.text("hash", 64), from_ms(said.number("time_ms")))
    said.end()
    return anchor


def faults_of(anchors: Iterable[Anchor], hash_at: Callable[[int], str | None]) -> list[str]:
    """What a chain, of which hash_at tells the hash of an entry, does not have any more."""
    found = []
    for anchor in anchors:
        known = audit.START if anchor.seq == 0 else hash_at(anchor.seq)
        if known != anchor.hash:
            what = "is missing" if known is None else "is another one"
            when = f"{anchor.time:%Y-%m-%d %H:%M:%S}"
            found.append(f"entry {anchor.seq}, at which the chain ended on {when} UTC, {what}")
    return found


def faults_in(store: Store, anchors: Iterable[Anchor]) -> list[str]:
    """The same of a store's chain."""

    def hash_at(seq: int) -> str | None:
        rows = store.database.read(
            lambda found: audit.following(Reading(found, store.keys), seq - 1, 1)
        )
        return rows[0].hash if rows and rows[0].seq == seq else None

    return faults_of(anchors, hash_at)


@dataclass(frozen=True, slots=True)
class Checked:
    """How many entries a trail has, the last one's hash, and all that is wrong."""

    entries: int
    hash: str
    faults: tuple[str, ...]


def check_trail(lines: Iterable[bytes], anchors: Iterable[Anchor]) -> Checked:
    """An exported trail, from the first entry on, without any server: each hash, each link, and
    that every anchor is in it. FormatError for what is none.
    """
    wanted = list(anchors)
    seqs = {anchor.seq for anchor in wanted}
    hashes: dict[int, str] = {}
    faults: list[str] = []
    count, last = 0, audit.START
    for line in lines:
        entry = parse_entry(line, count + 1)
        if len(faults) < _FAULTS_MAX:
            if entry.seq != count + 1 or entry.previous != last:
                faults.append(f"entry {entry.seq} does not follow entry {count}")
            if not audit.is_whole(entry):
                faults.append(f"entry {entry.seq} was changed")
        count, last = entry.seq, entry.hash
        if entry.seq in seqs:
            hashes[entry.seq] = entry.hash
    return Checked(count, last, (*faults, *faults_of(wanted, hashes.get)))


def parse_entry(line: bytes, number: int) -> AuditEntry:
    """A line as `audit export` writes it; FormatError names the line."""
    try:
        found = json.loads(line) if len(line) <= _LINE_MAX else None
        if not isinstance(found, dict) or found.keys() != _KEYS.keys():
            raise ValueError
        if not all(type(found[key]) is kind for key, kind in _KEYS.items()):
            raise ValueError
        time = from_ms(found.pop("time_ms"))
    except (ValueError, OverflowError, RecursionError):
        raise FormatError(f"line {number}: no entry of an audit trail") from None
    return AuditEntry(time=time, **found)
