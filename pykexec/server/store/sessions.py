# SPDX-License-Identifier: Apache-2.0
"""Rows of sessions: found by their cookie's secret, of which the database has a keyed digest.

A session is "begun" until its security key was shown, where one is wanted, and "open" then, by
another secret. Rows are sealed by the store's key: who can write the database makes none.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from pykexec.server.canonical import to_ms
from pykexec.server.keys.keys import Keys
from pykexec.server.roles import Grant, Scope
from pykexec.server.store.account_tables import sessions
from pykexec.server.store.database import Writing

BEGUN_S = 300
"""For a security key to be shown, or to be registered where one is wanted and none is there."""
FRESH = timedelta(minutes=15)
"""So long after the login keys and tokens may be made."""
CHALLENGE_SIZE = 32
_TOUCH = timedelta(minutes=1)
_AGENT_MAX = 160
_CSRF = b"pykexec form 1"
_TABLE = sessions


@dataclass(frozen=True, slots=True)
class Who:
    """Somebody who has logged in: actor is the name in the audit trail, name what people call him.

    groups are those that the login service says, None of who has no account there.
    """

    actor: str
    name: str
    grant: Grant
    groups: tuple[str, ...] | None = None

    @property
    def role(self) -> str:
        """What he may do."""
        return self.grant.role

    @property
    def scope(self) -> Scope:
        """With which machines."""
        return self.grant.scope


@dataclass(frozen=True, slots=True)
class Session:
    """A login; csrf is what every form must bring along, "" where the secret is not known.

    how is "password" or "provider"; keyed: a security key was shown, too.
    """

    reference: str
    operator: Who
    how: str
    keyed: bool
    state: str
    started: datetime
    used: datetime
    peer: str
    agent: str
    csrf: str = ""

    def fresh(self, now: datetime) -> bool:
        """Whether the login is so young that what lasts may be made by it."""
        return now - self.started < FRESH


def form_token(secret: str) -> str:
    """What only who knows the cookie can put into a form, and nobody gets the cookie from."""
    return hmac.digest(secret.encode(), _CSRF, "sha256").hex()


def digest_of(keys: Keys, secret: str) -> bytes:
    """By which a session is found."""
    return hmac.digest(keys.derive("operator session"), secret.encode(), "sha256")


def add(tx: Writing, who: Who, how: str, keyed: bool, state: str, peer: str, agent: str) -> str:
    """A new one's secret."""
    secret = secrets.token_urlsafe(32)
    values: dict[str, object] = {
        "digest": digest_of(tx.keys, secret),
        "reference": secrets.token_hex(8),
        "actor": who.actor,
        "name": who.name,
        "role": who.role,
        "scope": list(who.scope),
        "groups": None if who.groups is None else list(who.groups),
        "how": how,
        "keyed": keyed,
        "state": state,
        "challenge": None,
        "started": tx.now,
        "used": tx.now,
        "peer": peer,
        "agent": agent[:_AGENT_MAX],
    }
    tx.connection.execute(insert(_TABLE), {**values, "seal": seal(tx.keys, values)})
    return secret


def find(connection: Connection, keys: Keys, secret: str) -> Row[Any] | None:
    """The row; Tampered when it is not ours."""
    query = select(_TABLE).where(_TABLE.c.digest == digest_of(keys, secret))
    row = connection.execute(query).one_or_none()
    if row is not None:
        check(keys, row)
    return row


def check(keys: Keys, row: Row[Any]) -> None:
    """Tampered when it is not ours."""
    keys.check(row.seal, "sessions", *_sealed(row._mapping))


def is_news(row: Row[Any], now: datetime) -> bool:
    """Whether touch() is worth a transaction."""
    return bool(now - row.used > _TOUCH)


def touch(connection: Connection, row: Row[Any], now: datetime) -> None:
    """It is being used."""
    connection.execute(update(_TABLE).where(_TABLE.c.digest == row.digest).values(used=now))


def set_challenge(tx: Writing, row: Row[Any], challenge: bytes | None) -> None:
    """What its security key has to sign; None: nothing is waited for."""
    values = {**row._mapping, "challenge": challenge}
    new = {"challenge": challenge, "seal": seal(tx.keys, values)}
    tx.connection.execute(update(_TABLE).where(_TABLE.c.digest == row.digest).values(new))


def end(connection: Connection, keys: Keys, secret: str) -> None:
    """If it is one."""
    connection.execute(delete(_TABLE).where(_TABLE.c.digest == digest_of(keys, secret)))


def end_all(connection: Connection, actor: str) -> int:
    """Those of somebody; how many."""
    return connection.execute(delete(_TABLE).where(_TABLE.c.actor == actor)).rowcount


def session_of(row: Row[Any], secret: str = "") -> Session:
    """The record of a row that was checked."""
    groups = None if row.groups is None else tuple(row.groups)
    who = Who(row.actor, row.name, Grant(row.role, tuple(row.scope)), groups)
    return Session(
        row.reference,
        who,
        row.how,
        row.keyed,
        row.state,
        row.started,
        row.used,
        row.peer,
        row.agent,
        form_token(secret) if secret else "",
    )


def seal(keys: Keys, values: Any) -> bytes:
    """Of a row's values."""
    return keys.seal("sessions", *_sealed(values))


def _sealed(values: Any) -> list[object]:
    challenge = values["challenge"]
    return [
        values["digest"].hex(),
        *(values[name] for name in ("reference", "actor", "name", "role", "scope", "groups")),
        *(values[name] for name in ("how", "keyed", "state")),
        challenge and challenge.hex(),
        to_ms(values["started"]),
    ]
