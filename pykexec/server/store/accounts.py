# SPDX-License-Identifier: Apache-2.0
"""Operators with a password: the first administrator, and whom the server's own list has besides.

Rows are sealed by the store's key, so that who can write the database cannot make an operator.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from pykexec.server.canonical import to_ms
from pykexec.server.errors import Conflict, NotFound
from pykexec.server.people.operators import OperatorSettings
from pykexec.server.roles import Grant, Scope, check_role
from pykexec.server.store import security_keys, sessions, tables, tokens
from pykexec.server.store.account_tables import logins, operators
from pykexec.server.store.database import Writing
from pykexec.server.store.passwords import check_strength, hash_password
from pykexec.server.store.sessions import Who

if TYPE_CHECKING:
    from pykexec.server.keys.keys import Keys
    from pykexec.server.store.database import Database

FIRST = "init"
"""Who has made the first administrator."""
_LOGINS_LOOKED_AT = 32


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody with a password."""

    name: str
    role: str
    created: datetime
    created_by: str
    scope: Scope = ()

    @property
    def actor(self) -> str:
        """Their name in the audit trail."""
        return operator_subject(self.name)

    @property
    def grant(self) -> Grant:
        """What they may do."""
        return Grant(self.role, self.scope)

    @property
    def who(self) -> Who:
        """Them, as somebody who has logged in."""
        return Who(self.actor, self.name, self.grant)


def operator_subject(name: str) -> str:
    """What the audit trail calls them."""
    return f"operator:{name}"


class Accounts:
    """Operators of a store's database, and how the settings want them to log in."""

    def __init__(
        self, database: Database, keys: Keys, settings: OperatorSettings | None = None
    ) -> None:
        self.database = database
        self.keys = keys
        self.settings = settings or OperatorSettings()

    def operators(self) -> tuple[Operator, ...]:
        """All, by name."""
        with self.database.reading() as connection:
            rows = connection.execute(select(operators).order_by(operators.c.name)).all()
        return tuple(self.operator(row) for row in rows)

    def create(
        self, name: str, role: str, password: str, actor: str, scope: Scope = ()
    ) -> Operator:
        """Add one; Conflict when the name is taken, UsageError for a weak password."""
        check_strength(password)
        check_role(role)
        kept = hash_password(password)
        with self.database.writing(self.keys) as writing:
            if self.row(writing.connection, name) is not None:
                raise Conflict(f"there is an operator {name!r} already")
            made = Operator(name, role, writing.now, actor, scope)
            writing.connection.execute(insert(operators), self._values(made, kept))
            self._note(writing, actor, "create", name, made.grant)
        return made

    def set_password(self, name: str, password: str, actor: str) -> Operator:
        """Give them another password and end their sessions."""
        check_strength(password)
        kept = hash_password(password)
        with self.database.writing(self.keys) as writing:
            operator = self.operator(self._known(writing.connection, name))
            self._update(writing, operator, kept)
            sessions.end_all(writing.connection, operator.actor)
            writing.chain.append(writing.now, actor, "operator.password", operator_subject(name))
        return operator

    def set_grant(self, name: str, grant: Grant, actor: str) -> Operator:
        """Another role or scope: their sessions end, and what tokens they have made themselves."""
        check_role(grant.role)
        with self.database.writing(self.keys) as writing:
            row = self._known(writing.connection, name)
            before = self.operator(row)
            if grant != Grant("admin"):
                self._check_other_administrator(writing, before)
            made = Operator(name, grant.role, before.created, before.created_by, grant.scope)
            self._update(writing, made, row.password)
            self._end_rights(writing, made.actor, actor)
            self._note(writing, actor, "grant", name, grant)
        return made

    def remove(self, name: str, actor: str) -> None:
        """Take them off, with sessions, security keys, and what tokens they have made themselves;
        Conflict where nobody could administer the server any more.
        """
        with self.database.writing(self.keys) as writing:
            before = self.operator(self._known(writing.connection, name))
            self._check_other_administrator(writing, before)
            self._end_rights(writing, before.actor, actor)
            security_keys.remove_all(writing, before.actor, actor)
            writing.connection.execute(delete(logins).where(logins.c.actor == before.actor))
            writing.connection.execute(delete(operators).where(operators.c.name == name))
            writing.chain.append(writing.now, actor, "operator.remove", operator_subject(name))

    def recover(self, name: str, password: str, actor: str) -> Operator:
        """For who has database and master key: an administrator of that name with this password,
        and without security keys, whatever was there before.
        """
        check_strength(password)
        kept = hash_password(password)
        with self.database.writing(self.keys) as writing:
            row = self.row(writing.connection, name)
            found = None if row is None else self.operator(row)
            since = found.created if found else writing.now
            made = Operator(name, "admin", since, FIRST)
            if found:
                self._update(writing, made, kept)
            else:
                writing.connection.execute(insert(operators), self._values(made, kept))
                self._note(writing, actor, "create", name, made.grant)
            sessions.end_all(writing.connection, made.actor)
            security_keys.remove_all(writing, made.actor, actor)
            self._note(writing, actor, "recover", name, made.grant)
        return made

    def logged_in_from(self, name: str, peer: str) -> bool:
        """Whether one of their last logins came from there."""
        table = tables.audit
        query = select(table.c.detail).where(
            table.c.subject == operator_subject(name), table.c.action == "operator.login"
        )
        with self.database.reading() as connection:
            newest = query.order_by(table.c.seq.desc()).limit(_LOGINS_LOOKED_AT)
            details = connection.execute(newest).scalars().all()
        return any(json.loads(detail).get("peer") == peer for detail in details)

    def note_failure(self, name: str, peer: str, reason: str = "", actor: str = "") -> None:
        """A login that was none, into the audit trail; not a name that nobody has: people type
        their password there. actor is somebody of the login service.
        """
        with self.database.writing(self.keys) as writing:
            known = self.row(writing.connection, name) is not None
            subject = actor or operator_subject(name if known else "?")
            detail = {"peer": peer, "reason": reason} if reason else {"peer": peer}
            writing.chain.append(writing.now, "server", "operator.login-failed", subject, detail)

    def note_token_failure(self, presented: str, peer: str) -> None:
        """A token that does not count, by its name if it once did."""
        with self.database.writing(self.keys) as writing:
            name = tokens.name_of(writing, presented) or "?"
            detail = {"peer": peer}
            writing.chain.append(writing.now, "server", "token.refused", f"token:{name}", detail)

    def row(self, connection: Connection, name: str) -> Row[Any] | None:
        """Theirs, unchecked."""
        query = select(operators).where(operators.c.name == name)
        return connection.execute(query).one_or_none()

    def operator(self, row: Row[Any]) -> Operator:
        """The record of a row; Tampered when it is not ours."""
        found = Operator(row.name, row.role, row.created, row.created_by, tuple(row.scope))
        self.keys.check(row.seal, "operators", *_sealed(found, row.password))
        return found

    def _known(self, connection: Connection, name: str) -> Row[Any]:
        row = self.row(connection, name)
        if row is None:
            raise NotFound(f"there is no operator {name!r}")
        return row

    def _values(self, operator: Operator, kept: str) -> dict[str, object]:
        return {
            "name": operator.name,
            "role": operator.role,
            "password": kept,
            "created": operator.created,
            "created_by": operator.created_by,
            "scope": list(operator.scope),
            "seal": self.keys.seal("operators", *_sealed(operator, kept)),
        }

    def _update(self, writing: Writing, operator: Operator, kept: str) -> None:
        where = operators.c.name == operator.name
        values = self._values(operator, kept)
        writing.connection.execute(update(operators).where(where).values(values))

    def _end_rights(self, writing: Writing, actor: str, by: str) -> None:
        sessions.end_all(writing.connection, actor)
        tokens.revoke_made_by(writing, actor, by)

    def _check_other_administrator(self, writing: Writing, operator: Operator) -> None:
        whole = Grant("admin")
        if operator.grant != whole or any(g.grant == whole for g in self.settings.groups):
            return
        rows = writing.connection.execute(select(operators)).all()
        others = [self.operator(row) for row in rows if row.name != operator.name]
        if not any(other.grant == whole for other in others):
            raise Conflict(f"{operator.name} is the last administrator of the whole server")

    def _note(self, writing: Writing, actor: str, what: str, name: str, grant: Grant) -> None:
        detail: dict[str, object] = {"role": grant.role}
        detail |= {"scope": list(grant.scope)} if grant.scope else {}
        writing.chain.append(writing.now, actor, f"operator.{what}", operator_subject(name), detail)


def _sealed(operator: Operator, kept: str) -> list[object]:
    """A scope where there is one: rows of before there were any stay good."""
    created = to_ms(operator.created)
    fields = [operator.name, operator.role, kept, created, operator.created_by]
    return [*fields, *([list(operator.scope)] if operator.scope else [])]
