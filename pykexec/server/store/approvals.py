# SPDX-License-Identifier: Apache-2.0
"""Persons and what they decide about boots that wait for them.

Who has logged in has a session for one boot, in a cookie; the database has a keyed digest of it. A
decision is an entry of the audit chain with the provider's signed token and its key set: anybody
can check it later, offline, against the boot's statement and the policy.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, delete, insert, select, update

from pykexec.server import quotas
from pykexec.server.canonical import to_ms
from pykexec.server.errors import Conflict, NotFound
from pykexec.server.people.id_token import Person
from pykexec.server.store import approval_rows, machines
from pykexec.server.store.approval_tables import approvals, persons
from pykexec.server.store.database import Writing
from pykexec.server.store.records import Approval
from pykexec.server.store.view import Reading, View

if TYPE_CHECKING:
    from pykexec.server.keys.keys import Keys
    from pykexec.server.store.database import Database

DECISIONS = ("", "requested", "approved", "refused")
_FORM = b"pykexec approval form 1"


@dataclass(frozen=True, slots=True)
class Visitor:
    """A person who has logged in for one boot; decision is one of DECISIONS, "" none yet."""

    session: bytes
    reference: str
    person: Person
    decision: str


@dataclass(frozen=True, slots=True)
class Decided:
    """The persons of one boot who have decided, in no order."""

    requester: Visitor | None
    approvers: tuple[Visitor, ...]


def form_token(secret: str) -> str:
    """What a form of this session brings along."""
    return hmac.digest(secret.encode(), _FORM, "sha256").hex()


class Approvals:
    """Boots that wait, and persons, of a store's database."""

    def __init__(self, database: Database, keys: Keys) -> None:
        self._database = database
        self._keys = keys
        self._session_key = keys.derive("person session")

    def find(self, reference: str) -> Approval | None:
        """By its reference."""
        return self._database.read(
            lambda connection: approval_rows.find(Reading(connection, self._keys), reference)
        )

    def by_code(self, digest: bytes, now: datetime) -> str | None:
        """The reference of one that waits for this code."""
        query = select(approvals.c.reference).where(
            approvals.c.code == digest, approvals.c.state == "waiting", approvals.c.expires > now
        )
        query = query.order_by(approvals.c.asked.desc()).limit(1)
        return self._database.read(lambda connection: connection.execute(query).scalar())

    def unanswered(self, now: datetime, limit: int) -> list[str]:
        """References of those that wait, the one that ends first first."""
        query = select(approvals.c.reference).where(
            approvals.c.state == "waiting", approvals.c.expires > now
        )
        query = query.order_by(approvals.c.expires).limit(limit)
        return self._database.read(lambda connection: list(connection.execute(query).scalars()))

    def decided(self, reference: str) -> Decided:
        """Who has asked, who approves."""
        return self._database.read(
            lambda connection: self._decided(Reading(connection, self._keys), reference)
        )

    def visitor(self, reference: str, secret: str) -> Visitor | None:
        """Whose session it is; None where it is none of this boot."""
        query = select(persons).where(
            persons.c.session == self._digest(secret), persons.c.reference == reference
        )
        row = self._database.read(lambda connection: connection.execute(query).one_or_none())
        return None if row is None else self._visitor(row)

    def open_session(self, reference: str, person: Person, peer: str) -> str:
        """Somebody has logged in; the session's secret. NotFound when the boot waits no more."""
        secret = secrets.token_urlsafe(32)
        with self._database.writing(self._keys) as tx:
            found = self._waiting(tx, reference)
            mine = persons.c.reference == reference
            idle = select(persons.c.session).where(mine, persons.c.decision == "")
            newest = idle.order_by(persons.c.opened.desc()).offset(quotas.VISITORS_MAX - 1)
            gone = list(tx.connection.execute(newest).scalars())
            tx.connection.execute(delete(persons).where(persons.c.session.in_(gone)))
            visitor = Visitor(self._digest(secret), reference, person, "")
            tx.connection.execute(insert(persons), self._values(visitor, tx.now))
            groups = None if person.groups is None else list(person.groups)
            detail = {"approval": reference, "peer": peer, "groups": groups}
            self._note(tx, found, person, "approval.login", detail)
        return secret

    def decide(self, visitor: Visitor, decision: str, reason: str, peer: str) -> Approval:
        """Write down what somebody has decided, with all that proves it. Conflict or NotFound if it
        does not count: each subject decides once, and the requester does not approve.
        """
        person = visitor.person
        with self._database.writing(self._keys) as tx:
            found = self._waiting(tx, visitor.reference)
            known = self._decided(tx, visitor.reference)
            if decision == "approved":
                _check_other(known, person.subject)
            if decision == "requested" and known.requester is not None:
                raise Conflict("somebody has asked already")
            values = self._values(
                Visitor(visitor.session, visitor.reference, person, decision), tx.now
            )
            where = (persons.c.session == visitor.session, persons.c.decision == "")
            if not tx.connection.execute(update(persons).where(*where).values(values)).rowcount:
                raise Conflict("you have decided already")
            if decision == "refused":
                approval_rows.change(tx, found, state="refused")
            detail: dict[str, object] = {
                "approval": found.reference,
                "policy": list(found.policy),
                "reason": reason,
                "peer": peer,
                "groups": list(person.groups or ()),
                "acr": person.acr,
                "amr": list(person.amr),
                "auth_time_ms": to_ms(person.auth_time),
                "id_token": person.token,
                "key_set": json.loads(person.key_set),
            }
            self._note(tx, found, person, f"approval.{decision}", detail)
        return found

    def wrong_code(self, visitor: Visitor, peer: str) -> int:
        """Somebody has typed another code; how many tries are left. With the last one the boot is
        given nothing any more.
        """
        with self._database.writing(self._keys) as tx:
            found = self._waiting(tx, visitor.reference)
            tries = found.tries + 1
            left = quotas.CODE_TRIES - tries
            state = "waiting" if left > 0 else "locked"
            approval_rows.change(tx, found, tries=tries, state=state)
            detail = {"approval": found.reference, "peer": peer, "left": left}
            self._note(tx, found, visitor.person, "approval.wrong-code", detail)
        return left

    def note_failure(self, reference: str, visitor: Visitor | None, text: str, peer: str) -> None:
        """What does not count, into the audit trail: a login that was none, or, of somebody who has
        logged in, a decision that is not theirs.
        """
        with self._database.writing(self._keys) as tx:
            found = approval_rows.find(tx, reference)
            detail = {"approval": reference, "peer": peer, "reason": text[: quotas.FINDING_MAX]}
            if found is not None and visitor is not None:
                self._note(tx, found, visitor.person, "approval.not-counted", detail)
            elif found is not None:
                subject = machines.subject(machines.get(tx, found.machine_id).fingerprint)
                tx.chain.append(tx.now, "server", "approval.login-failed", subject, detail)

    def _waiting(self, tx: Writing, reference: str) -> Approval:
        found = approval_rows.find(tx, reference)
        if found is None or found.state != "waiting" or found.expires <= tx.now:
            raise NotFound("this machine waits no more")
        return found

    def _decided(self, view: View, reference: str) -> Decided:
        query = select(persons).where(persons.c.reference == reference, persons.c.decision != "")
        found = [self._visitor(row) for row in view.connection.execute(query)]
        asked = [visitor for visitor in found if visitor.decision == "requested"]
        approvers = [visitor for visitor in found if visitor.decision == "approved"]
        return Decided(asked[0] if asked else None, tuple(approvers))

    def _note(
        self,
        tx: Writing,
        found: Approval,
        person: Person,
        action: str,
        detail: Mapping[str, object],
    ) -> None:
        machine = machines.get(tx, found.machine_id)
        subject = machines.subject(machine.fingerprint)
        tx.chain.append(tx.now, f"person:{person.subject}", action, subject, detail)

    def _digest(self, secret: str) -> bytes:
        return hmac.digest(self._session_key, secret.encode(), "sha256")

    def _values(self, visitor: Visitor, opened: datetime) -> dict[str, object]:
        person = visitor.person
        return {
            "session": visitor.session,
            "reference": visitor.reference,
            "subject": person.subject,
            "name": person.name,
            "groups": None if person.groups is None else list(person.groups),
            "acr": person.acr,
            "amr": list(person.amr),
            "auth_time": person.auth_time,
            "token": person.token,
            "key_set": person.key_set,
            "opened": opened,
            "decision": visitor.decision,
            "seal": self._keys.seal("approval_persons", *_sealed(visitor)),
        }

    def _visitor(self, row: Row[Any]) -> Visitor:
        groups = None if row.groups is None else tuple(row.groups)
        person = Person(
            row.subject,
            row.name,
            groups,
            row.acr,
            tuple(row.amr),
            row.auth_time,
            row.token,
            row.key_set,
        )
        visitor = Visitor(row.session, row.reference, person, row.decision)
        self._keys.check(row.seal, "approval_persons", *_sealed(visitor))
        return visitor


def _check_other(known: Decided, subject: str) -> None:
    if known.requester is not None and known.requester.person.subject == subject:
        raise Conflict("who has asked cannot approve: it takes somebody else")
    if any(visitor.person.subject == subject for visitor in known.approvers):
        raise Conflict("you have approved already: it takes somebody else")


def _sealed(visitor: Visitor) -> Sequence[object]:
    person = visitor.person
    return (
        visitor.session.hex(),
        visitor.reference,
        person.subject,
        person.name,
        None if person.groups is None else list(person.groups),
        person.acr,
        list(person.amr),
        to_ms(person.auth_time),
        person.token,
        person.key_set,
        visitor.decision,
    )
