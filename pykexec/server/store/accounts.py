# SPDX-License-Identifier: Apache-2.0
"""Who logs in to the operator page, and their sessions; both are kept by the server alone.

A session's secret is only in its cookie; the database has a keyed digest of it. Rows are sealed by
the store's key, so that who can write the database cannot make an operator or a session.
"""

from __future__ import annotations

import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from pykexec.errors import UsageError
from pykexec.server.canonical import now as time_now
from pykexec.server.canonical import to_ms
from pykexec.server.errors import Conflict, NotFound
from pykexec.server.store import tables
from pykexec.server.store.account_tables import operators, sessions
from pykexec.server.store.passwords import check_strength, hash_password, verify_password
from pykexec.server.store.records import ROLES

if TYPE_CHECKING:
    from pykexec.server.keys.keys import Keys
    from pykexec.server.store.database import Database

IDLE = timedelta(minutes=30)
"""A session ends when it was not used for so long."""
ABSOLUTE = timedelta(hours=10)
"""And when it is so old."""
_TOUCH = timedelta(minutes=1)
_LOGINS_LOOKED_AT = 32
_CSRF = b"pykexec form 1"


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody with a password."""

    name: str
    role: str
    created: datetime
    created_by: str

    @property
    def actor(self) -> str:
        """Their name in the audit trail."""
        return operator_subject(self.name)


@dataclass(frozen=True, slots=True)
class Session:
    """A login; csrf is what every form must bring along."""

    operator: Operator
    csrf: str


def form_token(secret: str) -> str:
    """What only who knows the cookie can put into a form, and nobody gets the cookie from."""
    return hmac.digest(secret.encode(), _CSRF, "sha256").hex()


def operator_subject(name: str) -> str:
    """What the audit trail calls them."""
    return f"operator:{name}"


class Accounts:
    """Operators and sessions of a store's database."""

    def __init__(self, database: Database, keys: Keys) -> None:
        self._database = database
        self._keys = keys
        self._session_key = keys.derive("operator session")

    def operators(self) -> tuple[Operator, ...]:
        """All, by name."""
        with self._database.reading() as connection:
            rows = connection.execute(select(operators).order_by(operators.c.name)).all()
        return tuple(self._operator(row) for row in rows)

    def create(self, name: str, role: str, password: str, actor: str) -> Operator:
        """Add one; Conflict when the name is taken, UsageError for a weak password."""
        check_strength(password)
        if role not in ROLES:
            raise UsageError(f"{role!r} is not one of {', '.join(ROLES)}")
        kept = hash_password(password)
        with self._database.writing(self._keys) as writing:
            if self._row(writing.connection, name) is not None:
                raise Conflict(f"there is an operator {name!r} already")
            values = self._values(name, role, kept, writing.now, actor)
            writing.connection.execute(insert(operators), values)
            writing.chain.append(
                writing.now, actor, "operator.create", operator_subject(name), {"role": role}
            )
        return Operator(name, role, writing.now, actor)

    def set_password(self, name: str, password: str, actor: str) -> Operator:
        """Give them another password and end their sessions."""
        check_strength(password)
        kept = hash_password(password)
        with self._database.writing(self._keys) as writing:
            operator = self._operator(self._known(writing.connection, name))
            values = self._values(name, operator.role, kept, operator.created, operator.created_by)
            where = operators.c.name == name
            writing.connection.execute(update(operators).where(where).values(values))
            writing.connection.execute(delete(sessions).where(sessions.c.operator == name))
            writing.chain.append(writing.now, actor, "operator.password", operator_subject(name))
        return operator

    def remove(self, name: str, actor: str) -> None:
        """Take them off and end their sessions."""
        with self._database.writing(self._keys) as writing:
            self._known(writing.connection, name)
            writing.connection.execute(delete(sessions).where(sessions.c.operator == name))
            writing.connection.execute(delete(operators).where(operators.c.name == name))
            writing.chain.append(writing.now, actor, "operator.remove", operator_subject(name))

    def login(self, name: str, password: str, peer: str, previous: str | None) -> str | None:
        """A new session's secret; None when it is not them. The session of previous ends."""
        with self._database.reading() as connection:
            row = self._row(connection, name)
        if not verify_password(password, None if row is None else str(row.password)):
            return None
        secret = secrets.token_urlsafe(32)
        digest = self._digest(secret)
        with self._database.writing(self._keys) as writing:
            known = self._row(writing.connection, name)
            if known is None or row is None or known.password != row.password:
                return None
            operator = self._operator(known)
            if previous is not None:
                self._end(writing.connection, previous)
            values = {
                "digest": digest,
                "operator": name,
                "started": writing.now,
                "used": writing.now,
                "seal": self._keys.seal("sessions", digest.hex(), name, to_ms(writing.now)),
            }
            writing.connection.execute(insert(sessions), values)
            writing.chain.append(
                writing.now,
                operator.actor,
                "operator.login",
                operator_subject(name),
                {"peer": peer},
            )
        return secret

    def logged_in_from(self, name: str, peer: str) -> bool:
        """Whether one of their last logins came from there."""
        table = tables.audit
        query = select(table.c.detail).where(
            table.c.subject == operator_subject(name), table.c.action == "operator.login"
        )
        with self._database.reading() as connection:
            newest = query.order_by(table.c.seq.desc()).limit(_LOGINS_LOOKED_AT)
            details = connection.execute(newest).scalars().all()
        return any(json.loads(detail).get("peer") == peer for detail in details)

    def note_failure(self, name: str, peer: str) -> None:
        """A login that was none, into the audit trail; not a name that nobody has: people type
        their password there.
        """
        with self._database.writing(self._keys) as writing:
            known = self._row(writing.connection, name) is not None
            subject = operator_subject(name if known else "?")
            detail = {"peer": peer}
            writing.chain.append(writing.now, "server", "operator.login-failed", subject, detail)

    def session(self, secret: str, now: datetime | None = None) -> Session | None:
        """Whose it is; None when it is not known or has ended."""
        now = now or time_now()
        digest = self._digest(secret)
        with self._database.reading() as connection:
            query = select(sessions).where(sessions.c.digest == digest)
            row = connection.execute(query).one_or_none()
            owner = None if row is None else self._row(connection, row.operator)
        if row is None or owner is None:
            return None
        started = to_ms(row.started)
        self._keys.check(row.seal, "sessions", digest.hex(), row.operator, started)
        if now - row.started > ABSOLUTE or now - row.used > IDLE:
            return None
        if now - row.used > _TOUCH:
            with self._database.changing() as connection:
                where = sessions.c.digest == digest
                connection.execute(update(sessions).where(where).values(used=now))
        return Session(self._operator(owner), form_token(secret))

    def logout(self, secret: str) -> None:
        """End it, if it is one."""
        with self._database.changing() as connection:
            self._end(connection, secret)

    def purge(self, now: datetime) -> int:
        """Forget sessions that have ended; how many."""
        old = (sessions.c.started < now - ABSOLUTE) | (sessions.c.used < now - IDLE)
        with self._database.changing() as connection:
            return connection.execute(delete(sessions).where(old)).rowcount

    def _end(self, connection: Connection, secret: str) -> None:
        connection.execute(delete(sessions).where(sessions.c.digest == self._digest(secret)))

    def _digest(self, secret: str) -> bytes:
        return hmac.digest(self._session_key, secret.encode(), "sha256")

    def _values(
        self, name: str, role: str, kept: str, created: datetime, created_by: str
    ) -> dict[str, object]:
        return {
            "name": name,
            "role": role,
            "password": kept,
            "created": created,
            "created_by": created_by,
            "seal": self._keys.seal("operators", name, role, kept, to_ms(created), created_by),
        }

    def _row(self, connection: Connection, name: str) -> Row[Any] | None:
        query = select(operators).where(operators.c.name == name)
        return connection.execute(query).one_or_none()

    def _known(self, connection: Connection, name: str) -> Row[Any]:
        row = self._row(connection, name)
        if row is None:
            raise NotFound(f"there is no operator {name!r}")
        return row

    def _operator(self, row: Row[Any]) -> Operator:
        created = to_ms(row.created)
        self._keys.check(
            row.seal, "operators", row.name, row.role, row.password, created, row.created_by
        )
        return Operator(row.name, row.role, row.created, row.created_by)
