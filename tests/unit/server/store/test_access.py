# SPDX-License-Identifier: Apache-2.0
"""Scopes, sessions and security keys in both databases, and rows that others have changed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pykexec.server.canonical import now, to_ms
from pykexec.server.errors import Tampered
from pykexec.server.people.operators import OperatorSettings
from pykexec.server.people.security_keys import KeyRefused
from pykexec.server.roles import Grant
from pykexec.server.store.account_tables import operators
from pykexec.server.store.accounts import Accounts
from pykexec.server.store.logins import Logins
from pykexec.server.store.store import Store
from pykexec.server.store.tables import tokens
from pykexec.server.store.within import within
from tests.support.authenticator import ORIGIN, Authenticator
from tests.support.store_samples import OPERATOR, enrolled, tamper

PASSWORD = "a password of some length"
PEER = "192.0.2.1"
NORTH = ("site=north",)


@pytest.fixture(name="accounts")
def accounts_fixture(store: Store) -> Accounts:
    settings = OperatorSettings(address=ORIGIN)
    return Accounts(store.database, store.keys, settings)


def test_lists_counts_and_the_trail_are_of_the_scope(store: Store) -> None:
    tags = ({"site": "north"}, {"site": "North"}, {"site": "northern"}, {"note": '"site":"north"'})
    machines = [enrolled(store, number) for number in range(1, 5)]
    for machine, each in zip(machines, tags, strict=True):
        store.set_tags(machine.id, each, OPERATOR)
    seen = within(store, NORTH)
    assert [machine.id for machine in seen.machines().items] == [machines[0].id]
    assert (seen.machines().total, seen.machine_counts()) == (1, {"enrolled": 1})
    subjects = {entry.subject for entry in seen.audit_entries()}
    assert subjects == {f"machine:{machines[0].fingerprint}"}


def test_a_session_is_opened_listed_and_ended(store: Store, accounts: Accounts) -> None:
    accounts.create("anna", "operator", PASSWORD, OPERATOR, NORTH)
    logins = Logins(accounts)
    secret = logins.login("anna", PASSWORD, PEER, None, "a browser")
    assert secret
    session = logins.session(secret)
    assert session and session.operator.grant == Grant("operator", NORTH)
    (listed,) = logins.sessions()
    assert (listed.reference, listed.agent, listed.csrf) == (session.reference, "a browser", "")
    logins.end_session(session.reference, OPERATOR)
    assert logins.session(secret) is None
    (last,) = logins.last_logins()
    assert (last.actor, last.grant, last.peer) == ("operator:anna", Grant("operator", NORTH), PEER)
    assert store.verify_audit().faults == ()


def test_a_key_is_registered_and_used(store: Store, accounts: Accounts) -> None:
    accounts.create("anna", "operator", PASSWORD, OPERATOR)
    logins, key = Logins(accounts), Authenticator()
    secret = logins.login("anna", PASSWORD, PEER, None) or ""
    question = logins.key_question(secret, registers=True)
    assert question
    logins.register_key(secret, "blue", key.create(question.options))
    begun = logins.login("anna", PASSWORD, PEER, None) or ""
    assert logins.session(begun) is None
    question = logins.key_question(begun)
    assert question
    answer = key.get(question.options)
    opened = logins.show_key(begun, answer)
    assert logins.session(opened)
    with pytest.raises(KeyRefused):
        logins.show_key(begun, answer)
    assert store.verify_audit().faults == ()
    logins.reset_keys("operator:anna", OPERATOR)
    assert (logins.keys(), logins.session(opened)) == ((), None)
    assert store.verify_audit().faults == ()


def test_sessions_that_have_ended_are_forgotten(accounts: Accounts) -> None:
    accounts.create("anna", "operator", PASSWORD, OPERATOR)
    logins = Logins(accounts)
    logins.login("anna", PASSWORD, PEER, None)
    assert logins.purge(now()) == 0
    assert logins.purge(now() + timedelta(seconds=2 * logins.settings.lifetime_s)) == 1


def test_rows_of_before_there_were_scopes_stay_good(store: Store, accounts: Accounts) -> None:
    accounts.create("anna", "operator", PASSWORD, OPERATOR)
    store.create_token("ci", "viewer", OPERATOR)
    with store.database.reading() as connection:
        row = connection.execute(operators.select()).one()
        token = connection.execute(tokens.select()).one()
    fields = (row.name, row.role, row.password, to_ms(row.created), row.created_by)
    assert row.seal == store.keys.seal("operators", *fields)
    digest = token.digest.hex()
    assert token.seal == store.keys.seal("tokens", "ci", digest, "viewer", None, None)


def test_who_can_write_the_database_widens_no_scope(store: Store, accounts: Accounts) -> None:
    _, text = store.create_token("ci", "operator", OPERATOR, None, NORTH)
    found = store.token(text)
    assert found and found.scope == NORTH
    accounts.create("anna", "operator", PASSWORD, OPERATOR, NORTH)
    for table in ("tokens", "operators"):
        tamper(store, f"UPDATE {table} SET scope = '[]'")
    with pytest.raises(Tampered):
        store.token(text)
    with pytest.raises(Tampered):
        accounts.operators()


def test_a_begun_session_is_not_opened_in_the_database(store: Store, accounts: Accounts) -> None:
    accounts.create("anna", "operator", PASSWORD, OPERATOR)
    wanted = OperatorSettings(address=ORIGIN, second_factor="everybody")
    logins = Logins(Accounts(store.database, store.keys, wanted))
    begun = logins.login("anna", PASSWORD, PEER, None) or ""
    assert logins.begun(begun) and logins.session(begun) is None
    tamper(store, "UPDATE sessions SET state = 'open', keyed = (1 = 1)")
    with pytest.raises(Tampered):
        logins.session(begun)
