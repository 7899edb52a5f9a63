# SPDX-License-Identifier: Apache-2.0
"""Follow a server's audit trail: each entry once it is there, in order, at least once, from where
it was left.

The place is the last entry's number and hash, so whoever follows notices when the trail does not go
on from there any more: it was cut off, rewritten, or the server was restored.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pykexec import whole
from pykexec.errors import FormatError
from pykexec.server.canonical import now
from pykexec.server.fleet import Asking
from pykexec.server.store import audit
from pykexec.server.store.records import AuditEntry
from pykexec.server.trail.anchors import Anchor, faults_of
from pykexec.server.trail.syslog import ENTERPRISE, entry_line, head_line
from pykexec.server.trail.targets import Target

_CURSOR_MAX = 4096


@dataclass(frozen=True, slots=True)
class Place:
    """The last entry that was sent; anchored: so was a signed head behind it."""

    seq: int = 0
    hash: str = audit.START
    anchored: bool = False


def read_place(path: Path) -> Place:
    """Where it was left; the trail's start without a file. FormatError for another file."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Place()
    try:
        found = json.loads(data) if len(data) <= _CURSOR_MAX else None
        if not isinstance(found, dict) or found.keys() != {"seq", "hash", "anchored"}:
            raise ValueError
        place = Place(**found)
        if type(place.seq) is not int or not isinstance(place.hash, str):
            raise ValueError
    except (ValueError, RecursionError):
        raise FormatError(f"{path}: no place in an audit trail") from None
    return place


def save_place(path: Path, place: Place) -> None:
    """On the disk once this comes back."""
    found = {"seq": place.seq, "hash": place.hash, "anchored": place.anchored}
    whole.replace(path, json.dumps(found).encode() + b"\n", 0o600)


def step(
    client: Asking,
    target: Target,
    path: Path,
    enterprise: int = ENTERPRISE,
    clock: Callable[[], datetime] = now,
) -> bool:
    """Send the next entries, or where there are none the signed head behind the last; False where
    there is nothing to send. FormatError where the trail does not go on from where it was left.
    """
    place = read_place(path)
    answer = client.get("audit", "follow", after=place.seq)["entries"]
    assert isinstance(answer, list)
    entries = [_entry(found) for found in answer]
    if entries:
        target.send([entry_line(entry, enterprise) for entry in _checked(entries, place)])
        save_place(path, Place(entries[-1].seq, entries[-1].hash))
        return True
    head = {key: str(value) for key, value in client.get("audit", "head").items()}
    ends = _end_of(head)
    if ends[0] > place.seq:
        return True  # There is more meanwhile.
    if ends != (place.seq, place.hash):
        raise FormatError(f"the trail ends with entry {ends[0]}, {_lost(place)}")
    if place.anchored:
        return False
    target.send([head_line(head, clock(), enterprise)])
    save_place(path, Place(place.seq, place.hash, anchored=True))
    return True


def compare(client: Asking, anchors: tuple[Anchor, ...]) -> list[str]:
    """What a server's trail does not have any more of these."""

    def hash_at(seq: int) -> str | None:
        rows = client.get("audit", "follow", after=seq - 1, limit=1)["entries"]
        assert isinstance(rows, list)
        return str(rows[0]["hash"]) if rows and rows[0]["seq"] == seq else None

    return faults_of(anchors, hash_at)


def _checked(entries: list[AuditEntry], place: Place) -> list[AuditEntry]:
    seq, last = place.seq, place.hash
    for entry in entries:
        if (entry.seq, entry.previous) != (seq + 1, last):
            raise FormatError(f"entry {entry.seq} does not follow entry {seq}, {_lost(place)}")
        if not audit.is_whole(entry):
            raise FormatError(f"entry {entry.seq} was changed: its hash is another's")
        seq, last = entry.seq, entry.hash
    return entries


def _lost(place: Place) -> str:
    return (
        f"but entry {place.seq} was there: the trail was cut off or rewritten, or the server was "
        "restored from a backup; see that first, then begin with a new --cursor"
    )


def _entry(found: dict[str, object]) -> AuditEntry:
    return AuditEntry(**{**found, "time": datetime.fromisoformat(str(found["time"]))})  # type: ignore[arg-type]


def _end_of(head: dict[str, str]) -> tuple[int, str]:
    said = audit.HEADS.check(json.dumps(head).encode(), head["key"])
    return said.number("seq"), said.text("hash", 64)
