# SPDX-License-Identifier: Apache-2.0
"""What was accepted of a machine last: registers, log's claims, statement; for break-glass.

One row of each machine, written when it says something new: an ordinary boot changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, insert, select

from pykexec.server.canonical import canonical, to_ms
from pykexec.server.keys.keys import Keys
from pykexec.server.store.break_glass_tables import last_accepted as _TABLE
from pykexec.server.store.database import Writing
from pykexec.server.store.records import AttestationRecord
from pykexec.server.store.view import View

_OF_ONE_QUOTE = "tpm"


@dataclass(frozen=True, slots=True)
class LastAccepted:
    """time is when a machine was first accepted with these claims, ak_name the Name in hex of the
    AK that an opened credential has shown to be in its TPM.
    """

    machine_id: int
    ak_name: str
    time: datetime
    claims: Mapping[str, object]


def keep(tx: Writing, items: Iterable[AttestationRecord]) -> None:
    """Those that are to be kept, unless they are what is known."""
    found = {item.machine_id: item.state for item in items if item.state is not None}
    if not found:
        return
    query = select(_TABLE).where(_TABLE.c.machine_id.in_(list(found)))
    known = {row.machine_id: _read(row, tx.keys) for row in tx.connection.execute(query)}
    for machine_id, state in found.items():
        claims = {key: value for key, value in state.items() if key != _OF_ONE_QUOTE}
        new = LastAccepted(machine_id, _ak_name(claims), tx.now, claims)
        old = known.get(machine_id)
        if old and (old.ak_name, canonical(old.claims)) == (new.ak_name, canonical(claims)):
            continue
        tx.connection.execute(delete(_TABLE).where(_TABLE.c.machine_id == machine_id))
        tx.connection.execute(insert(_TABLE), {**_values(new), "seal": _seal(new, tx.keys)})


def by_ak(view: View, ak_name: str) -> LastAccepted | None:
    """Of the machine with that AK; Tampered when the row is not ours."""
    query = select(_TABLE).where(_TABLE.c.ak_name == ak_name).limit(1)
    row = view.connection.execute(query).one_or_none()
    return None if row is None else _read(row, view.keys)


def of_machine(view: View, machine_id: int) -> LastAccepted | None:
    """By the machine's number; Tampered."""
    query = select(_TABLE).where(_TABLE.c.machine_id == machine_id)
    row = view.connection.execute(query).one_or_none()
    return None if row is None else _read(row, view.keys)


def _ak_name(claims: Mapping[str, object]) -> str:
    ak = claims.get("ak")
    return str(ak["name"]) if isinstance(ak, dict) else ""


def _values(found: LastAccepted) -> dict[str, object]:
    return {
        "machine_id": found.machine_id,
        "ak_name": found.ak_name,
        "time": found.time,
        "claims": found.claims,
    }


def _seal(found: LastAccepted, keys: Keys) -> bytes:
    fields = (found.machine_id, found.ak_name, to_ms(found.time), found.claims)
    return keys.seal("last_accepted", *fields)


def _read(row: Row[Any], keys: Keys) -> LastAccepted:
    found = LastAccepted(row.machine_id, row.ak_name, row.time, row.claims)
    fields = (found.machine_id, found.ak_name, to_ms(found.time), found.claims)
    keys.check(row.seal, "last_accepted", *fields)
    return found
