# SPDX-License-Identifier: Apache-2.0
"""Logging in, in one or two steps, and what is open since: sessions, and whose they are.

What a session may do is what its owner may do now: who has another role or scope by now, or whom
the settings let in no more, is out with the next request.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from pykexec.errors import PykexecError
from pykexec.server.canonical import now as time_now
from pykexec.server.canonical import to_ms
from pykexec.server.errors import NotFound
from pykexec.server.people.id_token import Person
from pykexec.server.people.operators import has_name
from pykexec.server.people.security_keys import KeyRefused, RelyingParty
from pykexec.server.roles import Grant
from pykexec.server.store import security_keys, sessions, tokens
from pykexec.server.store.account_tables import logins
from pykexec.server.store.account_tables import sessions as session_table
from pykexec.server.store.accounts import FIRST, Accounts
from pykexec.server.store.database import Writing
from pykexec.server.store.own_tokens import OwnTokens
from pykexec.server.store.passwords import verify_password
from pykexec.server.store.security_keys import SecurityKey
from pykexec.server.store.sessions import CHALLENGE_SIZE, Session, Who

PASSWORD, PROVIDER = "password", "provider"
OPEN, BEGUN = "open", "begun"


class NotAdmitted(PykexecError):
    """Somebody is who he says, and may not log in here, or not so; str() says why, for him."""


@dataclass(frozen=True, slots=True)
class LastLogin:
    """When and as what somebody logged in last."""

    actor: str
    name: str
    grant: Grant
    how: str
    time: datetime
    peer: str


@dataclass(frozen=True, slots=True)
class KeyQuestion:
    """What a browser is asked about a security key: to make one, or to use one."""

    session: Session
    registers: bool
    options: Mapping[str, object]


def person_subject(subject: str) -> str:
    """What the audit trail calls somebody of the login service, as for approvals."""
    return f"person:{subject}"


class Logins:
    """Sessions of a store's database; safe in any thread."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._database, self._keys = accounts.database, accounts.keys
        self.settings = accounts.settings
        self.own_tokens = OwnTokens(self._database, self._keys)
        address = self.settings.address
        self.party = RelyingParty(address) if address and has_name(address) else None

    def login(
        self, name: str, password: str, peer: str, previous: str | None, agent: str = ""
    ) -> str | None:
        """A new session's secret; None when it is not them, NotAdmitted when a password does not
        do. The session of previous ends.
        """
        with self._database.reading() as connection:
            row = self._accounts.row(connection, name)
        if not verify_password(password, None if row is None else str(row.password)):
            return None
        with self._database.writing(self._keys) as writing:
            known = self._accounts.row(writing.connection, name)
            if known is None or row is None or known.password != row.password:
                return None
            operator = self._accounts.operator(known)
            if not self._takes_password(operator.created_by):
                raise NotAdmitted("passwords do not count here: log in at the login service")
            if previous is not None:
                sessions.end(writing.connection, self._keys, previous)
            return self._begin(writing, operator.who, PASSWORD, peer, agent)

    def login_person(self, person: Person, peer: str, agent: str = "") -> str:
        """The same for who has logged in at the provider; NotAdmitted by his groups, which ends
        what he was let in to before.
        """
        actor = person_subject(person.subject)
        grant = self.settings.grant(person.groups or ())
        with self._database.writing(self._keys) as writing:
            self._end_other_rights(writing, actor, grant)
            if grant is not None:
                who = Who(actor, person.name, grant, self.settings.known(person.groups or ()))
                return self._begin(writing, who, PROVIDER, peer, agent)
        if person.groups is None:
            raise NotAdmitted(
                "the login service does not say which groups you are in: its administrator has to "
                "let this server have that claim"
            )
        raise NotAdmitted("none of your groups has a role on this server")

    def session(self, secret: str, now: datetime | None = None) -> Session | None:
        """Whose it is; None when it is not known or has ended."""
        now = now or time_now()
        row = self._row(secret, OPEN, now)
        if row is None:
            return None
        if sessions.is_news(row, now):
            with self._database.changing() as connection:
                sessions.touch(connection, row, now)
        return sessions.session_of(row, secret)

    def begun(self, secret: str, now: datetime | None = None) -> Session | None:
        """A login whose second step is missing."""
        row = self._row(secret, BEGUN, now or time_now())
        return None if row is None else sessions.session_of(row, secret)

    def key_question(self, secret: str, registers: bool = False) -> KeyQuestion | None:
        """Ask for a security key: to open a session that was begun, or to register one more."""
        now = time_now()
        row = self._row(secret, BEGUN, now) or self._row(secret, OPEN, now)
        if row is None or self.party is None:
            return None
        challenge = secrets.token_bytes(CHALLENGE_SIZE)
        with self._database.writing(self._keys) as writing:
            sessions.set_challenge(writing, row, challenge)
            known = security_keys.every(writing.connection, self._keys, row.actor)
        credentials = [key.credential for key in known]
        session = sessions.session_of(row, secret)
        if registers or not known:
            options = self.party.creation(row.actor, row.name, credentials, challenge)
            return KeyQuestion(session, True, options)
        return KeyQuestion(session, False, self.party.request(credentials, challenge))

    def register_key(self, secret: str, name: str, answer: str) -> tuple[SecurityKey, str]:
        """The answer of a new key, and the session's secret from now on; KeyRefused. It opens a
        session that was begun, but not for who has a key already.
        """
        row, challenge = self._take_challenge(secret)
        assert self.party
        if not sessions.session_of(row).fresh(time_now()):
            raise KeyRefused("your login is too old to add a key: log in anew")
        new = self.party.registered(answer, challenge)
        with self._database.writing(self._keys) as writing:
            known = security_keys.every(writing.connection, self._keys, row.actor)
            if row.state == BEGUN and known:
                raise KeyRefused("you have a security key: show it first")
            key = security_keys.add(writing, row.actor, name, new)
            if row.state == OPEN:
                return key, secret
            return key, self._open(writing, row, secret, key.reference)

    def show_key(self, secret: str, answer: str) -> str:
        """The second step: the open session's secret; KeyRefused."""
        row, challenge = self._take_challenge(secret)
        assert self.party
        if row.state != BEGUN:
            raise KeyRefused("you are logged in already")
        known = self.keys(row.actor)
        used = self.party.asserted(answer, challenge, [key.public for key in known])
        with self._database.writing(self._keys) as writing:
            reference = security_keys.use(writing, row.actor, used)
            return self._open(writing, row, secret, reference)

    def note_key_failure(self, actor: str, peer: str, reason: str) -> None:
        """A security key that did not count, into the audit trail."""
        detail = {"peer": peer, "reason": reason}
        with self._database.writing(self._keys) as tx:
            tx.chain.append(tx.now, "server", "operator.key-refused", actor, detail)

    def keys(self, actor: str | None = None) -> tuple[SecurityKey, ...]:
        """Security keys, of all or of somebody."""
        with self._database.reading() as connection:
            return security_keys.every(connection, self._keys, actor)

    def remove_key(self, reference: str, by: str, actor: str | None = None) -> None:
        """One; NotFound unless it is there, and his if that is told."""
        with self._database.writing(self._keys) as writing:
            security_keys.remove(writing, reference, by, actor)

    def reset_keys(self, actor: str, by: str) -> int:
        """Somebody has lost them: all are removed, and his sessions end; how many there were."""
        with self._database.writing(self._keys) as writing:
            count = security_keys.remove_all(writing, actor, by)
            if not count:
                raise NotFound("there are no security keys of that name")
            sessions.end_all(writing.connection, actor)
            detail = {"count": count}
            writing.chain.append(writing.now, by, "operator.keys-reset", actor, detail)
        return count

    def sessions(self, actor: str | None = None) -> tuple[Session, ...]:
        """Those that are open, of all or of somebody; newest first."""
        now = time_now()
        query = select(session_table).order_by(session_table.c.started.desc())
        query = query.where(session_table.c.state == OPEN)
        if actor is not None:
            query = query.where(session_table.c.actor == actor)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        for row in rows:
            sessions.check(self._keys, row)
        return tuple(sessions.session_of(row) for row in rows if not self._is_over(row, now))

    def end_session(self, reference: str, by: str, actor: str | None = None) -> None:
        """One; NotFound unless it is there, and his if that is told."""
        table = session_table
        with self._database.writing(self._keys) as writing:
            query = select(table).where(table.c.reference == reference)
            row = writing.connection.execute(query).one_or_none()
            if row is None or actor not in (None, row.actor):
                raise NotFound("there is no such session")
            writing.connection.execute(delete(table).where(table.c.reference == reference))
            detail = {"session": reference}
            writing.chain.append(writing.now, by, "session.end", row.actor, detail)

    def last_logins(self) -> tuple[LastLogin, ...]:
        """Of each who has ever logged in, by name."""
        with self._database.reading() as connection:
            rows = connection.execute(select(logins).order_by(logins.c.name)).all()
        return tuple(self._last_login(row) for row in rows)

    def logout(self, secret: str) -> None:
        """End it, if it is one."""
        with self._database.changing() as connection:
            sessions.end(connection, self._keys, secret)

    def purge(self, now: datetime) -> int:
        """Forget sessions that have ended; how many."""
        table = session_table.c
        idle, lifetime = self._limits()
        begun = timedelta(seconds=sessions.BEGUN_S)
        old = (table.started < now - lifetime) | (table.used < now - idle)
        old |= (table.state == BEGUN) & (table.started < now - begun)
        with self._database.changing() as connection:
            return connection.execute(delete(session_table).where(old)).rowcount

    def _begin(self, tx: Writing, who: Who, how: str, peer: str, agent: str) -> str:
        known = security_keys.every(tx.connection, self._keys, who.actor)
        if known or self.settings.wants_key(how):
            if self.party is None:
                raise NotAdmitted("a security key is wanted, and this server has no address")
            return sessions.add(tx, who, how, False, BEGUN, peer, agent)
        self._note_login(tx, who, how, peer, "")
        return sessions.add(tx, who, how, False, OPEN, peer, agent)

    def _open(self, tx: Writing, row: Row[Any], secret: str, key: str) -> str:
        """Another secret: who knew that of before the second step has nothing of it."""
        session = sessions.session_of(row)
        sessions.end(tx.connection, self._keys, secret)
        self._note_login(tx, session.operator, row.how, row.peer, key)
        return sessions.add(tx, session.operator, row.how, True, OPEN, row.peer, row.agent)

    def _note_login(self, tx: Writing, who: Who, how: str, peer: str, key: str) -> None:
        values = {
            "actor": who.actor,
            "name": who.name,
            "role": who.role,
            "scope": list(who.scope),
            "how": how,
            "time": tx.now,
            "peer": peer,
        }
        seal = self._keys.seal("operator_logins", *_sealed_login(values))
        tx.connection.execute(delete(logins).where(logins.c.actor == who.actor))
        tx.connection.execute(insert(logins), {**values, "seal": seal})
        detail: dict[str, object] = {"peer": peer, "how": how, "role": who.role}
        detail |= {"scope": list(who.scope)} if who.scope else {}
        detail |= {"key": key} if key else {}
        detail |= {"name": who.name} if how == PROVIDER else {}
        tx.chain.append(tx.now, who.actor, "operator.login", who.actor, detail)

    def _last_login(self, row: Row[Any]) -> LastLogin:
        self._keys.check(row.seal, "operator_logins", *_sealed_login(row._mapping))
        grant = Grant(row.role, tuple(row.scope))
        return LastLogin(row.actor, row.name, grant, row.how, row.time, row.peer)

    def _row(self, secret: str, state: str, now: datetime) -> Row[Any] | None:
        """The session, as long as it counts; one that does not any more is ended."""
        with self._database.reading() as connection:
            row = sessions.find(connection, self._keys, secret)
            if row is None or row.state != state or self._is_over(row, now):
                return None
            grant = self._grant_now(connection, row)
        keyed = row.keyed or state == BEGUN or not self.settings.wants_key(row.how)
        if keyed and grant == Grant(row.role, tuple(row.scope)):
            return row
        with self._database.writing(self._keys) as writing:
            sessions.end(writing.connection, self._keys, secret)
            self._end_other_rights(writing, row.actor, grant)
            detail = {"session": row.reference, "reason": "role, scope or settings have changed"}
            writing.chain.append(writing.now, "server", "session.end", row.actor, detail)
        return None

    def _grant_now(self, connection: Connection, row: Row[Any]) -> Grant | None:
        if row.how == PROVIDER:
            return self.settings.grant(row.groups or ())
        found = self._accounts.row(connection, row.name)
        if found is None:
            return None
        operator = self._accounts.operator(found)
        return operator.grant if self._takes_password(operator.created_by) else None

    def _takes_password(self, created_by: str) -> bool:
        return self.settings.passwords == "all" or created_by == FIRST

    def _end_other_rights(self, tx: Writing, actor: str, grant: Grant | None) -> None:
        """Sessions of somebody who is another one by now, and tokens that he has made himself."""
        table = session_table
        rows = tx.connection.execute(select(table).where(table.c.actor == actor)).all()
        others = [row for row in rows if Grant(row.role, tuple(row.scope)) != grant]
        query = select(logins).where(logins.c.actor == actor)
        last = tx.connection.execute(query).one_or_none()
        changed = last is not None and self._last_login(last).grant != grant
        for row in others:
            tx.connection.execute(delete(table).where(table.c.digest == row.digest))
        if others or changed:
            tokens.revoke_made_by(tx, actor, "server")

    def _take_challenge(self, secret: str) -> tuple[Row[Any], bytes]:
        """The session and what its key has to sign, which counts once."""
        now = time_now()
        row = self._row(secret, BEGUN, now) or self._row(secret, OPEN, now)
        if row is None or row.challenge is None or self.party is None:
            raise KeyRefused("this page is too old: load it again")
        with self._database.writing(self._keys) as writing:
            current = sessions.find(writing.connection, self._keys, secret)
            if current is None or current.challenge != row.challenge:
                raise KeyRefused("this page was answered already: load it again")
            sessions.set_challenge(writing, row, None)
        return row, bytes(row.challenge)

    def _is_over(self, row: Row[Any], now: datetime) -> bool:
        idle, lifetime = self._limits()
        if row.state == BEGUN:
            lifetime = timedelta(seconds=sessions.BEGUN_S)
        return bool(now - row.started > lifetime or now - row.used > idle)

    def _limits(self) -> tuple[timedelta, timedelta]:
        settings = self.settings
        return timedelta(seconds=settings.idle_s), timedelta(seconds=settings.lifetime_s)


def _sealed_login(values: Any) -> list[object]:
    names = ("actor", "name", "role", "scope", "how")
    return [*(values[name] for name in names), to_ms(values["time"]), values["peer"]]
