# SPDX-License-Identifier: Apache-2.0
"""Webhooks: who is told of what. The audit trail is the outbox: an entry that is of an event is its
message, written in the transaction of what happened, and each webhook knows how far it is.

So nothing is lost, nothing is told that did not happen, and whoever does not listen costs one row,
however long. A row is moved on by whoever has taken it last, and by nobody else.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NoReturn

from sqlalchemy import Connection, Row, delete, insert, select, update

from pykexec.errors import UsageError
from pykexec.server import quotas
from pykexec.server.canonical import to_ms
from pykexec.server.errors import Conflict, NotFound, Tampered
from pykexec.server.keys.keys import Keys
from pykexec.server.sealed_json import SealedJson
from pykexec.server.store import audit, tables
from pykexec.server.store.database import Database
from pykexec.server.store.records import AuditEntry
from pykexec.server.store.view import Reading, View
from pykexec.server.store.webhook_tables import webhooks as _TABLE

EVENTS: dict[str, tuple[str, ...]] = {
    "refusal": ("attestation.refused",),
    "release": ("attestation.released",),
    "quarantine": ("quarantine.put", "quarantine.lift"),
    "break-glass": ("break-glass.released",),
    "enrolment": (
        "machine.add",
        "machine.approve",
        "machine.enrol",
        "machine.evict",
        "machine.refuse",
        "machine.reinstate",
        "machine.retire",
    ),
    "expiry": ("expiry.soon",),
}
"""What may be told, by the actions of the audit trail that are such events."""
STATES = ("ok", "failing", "stopped")
_SIZE_MAX = 8 << 10
_HEAD = select(tables.audit_head.c.seq).scalar_subquery()


@dataclass(frozen=True, slots=True)
class Webhook:
    """One receiver. seq is the last entry of the trail that is done with; attempts have failed for
    the next one, the first of them at failing. stopped: nothing is tried any more.
    """

    name: str
    address: str = field(repr=False)
    secret: bytes = field(repr=False)
    salt: bytes = field(repr=False)
    events: tuple[str, ...]
    created: datetime
    created_by: str
    seq: int
    due: datetime
    attempts: int = 0
    failing: datetime | None = None
    stopped: datetime | None = None
    last: str = ""

    @property
    def actions(self) -> tuple[str, ...]:
        """Of the audit trail."""
        return tuple(action for event in self.events for action in EVENTS[event])

    @property
    def state(self) -> str:
        """Of STATES."""
        return _state(self.failing, self.stopped)


def _state(failing: datetime | None, stopped: datetime | None) -> str:
    return "stopped" if stopped else "failing" if failing else "ok"


def subject(name: str) -> str:
    """In the audit trail."""
    return f"webhook:{name}"


class Webhooks:
    """Those of a store's database; safe in any thread."""

    def __init__(self, database: Database, keys: Keys) -> None:
        self._database = database
        self._keys = keys

    def add(self, name: str, address: str, events: Iterable[str], actor: str) -> Webhook:
        """One more, which is told of what happens from now on; Conflict, UsageError. The address
        was checked by who calls.
        """
        wanted = tuple(sorted(set(events)))
        if not wanted or not EVENTS.keys() >= set(wanted):
            raise UsageError(f"events are some of {', '.join(EVENTS)}")
        salt = secrets.token_bytes(16)
        with self._database.writing(self._keys) as tx:
            known = {row.name for row in tx.connection.execute(select(_TABLE.c.name))}
            if name in known:
                raise Conflict(f"there is a webhook {name!r} already")
            if len(known) >= quotas.WEBHOOKS_MAX:
                raise Conflict(f"there are {len(known)} webhooks, which is as many as may be")
            detail = {"events": list(wanted)}
            entry = tx.chain.append(tx.now, actor, "webhook.add", subject(name), detail)
            secret = _secret(self._keys, salt)
            made = Webhook(
                name, address, secret, salt, wanted, tx.now, actor, entry.seq, tx.now
            )  # fmt: skip
            box = _box(self._keys)
            tx.connection.execute(
                insert(_TABLE),
                {
                    "name": name,
                    "address": box.seal({"address": address}),
                    "salt": salt,
                    "created": tx.now,
                    "created_by": actor,
                    **_columns(self._keys, made),
                },
            )
        return made

    def every(self) -> tuple[Webhook, ...]:
        """All of them, by name; Tampered for a row that is not ours."""
        return self._database.read(lambda found: _every(Reading(found, self._keys)))

    def get(self, name: str) -> Webhook:
        """One of them; NotFound."""
        return next((one for one in self.every() if one.name == name), None) or _missing(name)

    def remove(self, name: str, actor: str) -> None:
        """Tell it no more; NotFound."""
        with self._database.writing(self._keys) as tx:
            if not tx.connection.execute(delete(_TABLE).where(_TABLE.c.name == name)).rowcount:
                _missing(name)
            tx.chain.append(tx.now, actor, "webhook.remove", subject(name))

    def resume(self, name: str, skip: bool, actor: str) -> Webhook:
        """Try again now, from where it was; with skip of what happens from now on. NotFound."""
        with self._database.writing(self._keys) as tx:
            reading = Reading(tx.connection, self._keys)
            hook = next((one for one in _every(reading) if one.name == name), None)
            if hook is None:
                _missing(name)
            entry = tx.chain.append(
                tx.now, actor, "webhook.resume", subject(name), {"skip": skip, "seq": hook.seq}
            )
            seq = entry.seq if skip else hook.seq
            new = replace(hook, seq=seq, due=tx.now, attempts=0, failing=None, stopped=None)
            _move(tx.connection, self._keys, hook, new)
        return new

    def states(self) -> Counter[str]:
        """How many are in each of STATES; rows are not looked at."""
        query = select(_TABLE.c.failing, _TABLE.c.stopped)
        rows = self._database.read(lambda found: list(found.execute(query)))
        return Counter(_state(row.failing, row.stopped) for row in rows)

    def waiting(self, now: datetime) -> tuple[Webhook, ...]:
        """Whose turn it is, and behind whom the trail goes on."""
        query = select(_TABLE).where(
            _TABLE.c.stopped.is_(None), _TABLE.c.due <= now, _TABLE.c.seq < _HEAD
        )
        return self._database.read(
            lambda found: tuple(_webhook(self._keys, row) for row in found.execute(query))
        )

    def messages(self, hook: Webhook) -> tuple[tuple[AuditEntry, ...], int]:
        """The next entries that are its events, and the number up to which there are no others."""

        def look(connection: Connection) -> tuple[tuple[AuditEntry, ...], int]:
            head = connection.execute(select(tables.audit_head.c.seq)).scalar_one()
            end = min(head, hook.seq + quotas.WEBHOOK_WINDOW)
            view = Reading(connection, self._keys)
            found = audit.chosen(view, hook.seq, end, hook.actions, quotas.WEBHOOK_BATCH)
            return found, found[-1].seq if len(found) == quotas.WEBHOOK_BATCH else end

        return self._database.read(look)

    def move(self, hook: Webhook, **changes: Any) -> Webhook | None:
        """As it is then; None where another has taken it meanwhile, and nothing was changed."""
        with self._database.changing() as connection:
            new = replace(hook, **changes)
            return new if _move(connection, self._keys, hook, new) else None

    def end(self, hook: Webhook, action: str, failed: int, **changes: Any) -> Webhook | None:
        """The same with an entry in the audit trail, since an entry of the trail was not told."""
        with self._database.writing(self._keys) as tx:
            new = replace(hook, **changes)
            if not _move(tx.connection, self._keys, hook, new):
                return None
            detail = {"seq": failed, "last": new.last}
            tx.chain.append(tx.now, "server", action, subject(hook.name), detail)
        return new


def _every(view: View) -> tuple[Webhook, ...]:
    rows = view.connection.execute(select(_TABLE).order_by(_TABLE.c.name))
    return tuple(_webhook(view.keys, row) for row in rows)


def _missing(name: str) -> NoReturn:
    raise NotFound(f"there is no webhook {name!r}")


def _move(connection: Connection, keys: Keys, old: Webhook, new: Webhook) -> bool:
    mine = (_TABLE.c.name == old.name, _TABLE.c.seq == old.seq, _TABLE.c.due == old.due)
    changed = update(_TABLE).where(*mine).values(_columns(keys, new))
    return connection.execute(changed).rowcount == 1


def _columns(keys: Keys, hook: Webhook) -> dict[str, object]:
    """Those that change, and the seal, without which nobody can have it skip anything."""
    return {
        "events": list(hook.events),
        "seq": hook.seq,
        "attempts": hook.attempts,
        "due": hook.due,
        "failing": hook.failing,
        "stopped": hook.stopped,
        "last": hook.last,
        "seal": keys.seal("webhooks", *_sealed(hook)),
    }


def _sealed(hook: Webhook) -> tuple[object, ...]:
    times = (hook.created, hook.due, hook.failing, hook.stopped)
    return (
        hook.name,
        hook.address,
        hook.salt.hex(),
        list(hook.events),
        hook.created_by,
        hook.seq,
        hook.attempts,
        hook.last,
        *(None if time is None else to_ms(time) for time in times),
    )


def _webhook(keys: Keys, row: Row[Any]) -> Webhook:
    opened = _box(keys).open(row.address)
    if opened is None:
        raise Tampered(f"webhooks: row {row.name!r} is not as this server wrote it")
    found = Webhook(
        name=row.name,
        address=opened.text("address", _SIZE_MAX),
        secret=_secret(keys, row.salt),
        salt=row.salt,
        events=tuple(row.events),
        created=row.created,
        created_by=row.created_by,
        seq=row.seq,
        due=row.due,
        attempts=row.attempts,
        failing=row.failing,
        stopped=row.stopped,
        last=row.last,
    )
    keys.check(row.seal, "webhooks", *_sealed(found))
    return found


def _box(keys: Keys) -> SealedJson:
    return SealedJson(keys.derive("webhook addresses"), b"webhook address", _SIZE_MAX)


def _secret(keys: Keys, salt: bytes) -> bytes:
    """It is nowhere: who has it not noted when it was made cannot be told again."""
    return keys.derive(f"webhook secret {salt.hex()}")
