# SPDX-License-Identifier: Apache-2.0
"""Security keys as a second factor: registered, shown, lost, copied, asked by others."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykexec.server.people.operators import OperatorSettings
from pykexec.server.store import sessions
from tests.support.authenticator import ORIGIN, Authenticator, options_of
from tests.support.server_world import ACTOR, PASSWORD, World, world
from tests.support.web_client import Answer

SESSION = "__Host-pykexec"
SETTINGS = OperatorSettings(address=ORIGIN)
WANTED = OperatorSettings(address=ORIGIN, second_factor="passwords")


@pytest.fixture(name="server")
def server_fixture(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, operators=SETTINGS) as found:
        yield found


def add_key(server: World, key: Authenticator, **client: object) -> Answer:
    """Register it on the account's page."""
    page = server.client.get("/account/key")
    answer = key.create(options_of(page.text), **client)
    return server.client.send_form("/account/keys/add", csrf=page.csrf, name="blue", answer=answer)


def with_key(server: World, role: str = "operator") -> Authenticator:
    """One that somebody has registered."""
    key = Authenticator()
    server.sign_in(role)
    assert add_key(server, key).status == 303
    server.client.cookies.clear()
    return key


def show(server: World, key: Authenticator, **client: object) -> Answer:
    """Log in and show it."""
    server.client.log_in("operator", PASSWORD)
    page = server.client.get("/login/key")
    answer = key.get(options_of(page.text), **client)
    return server.client.send_form("/login/key", csrf=page.csrf, answer=answer)


def last_refusal(server: World) -> str:
    (entry, *_) = server.store.audit_entries(action="operator.key-refused")
    assert entry.subject == "operator:operator"
    return str(entry.detail["reason"])


def test_who_has_a_key_logs_in_with_it_alone(server: World) -> None:
    key = with_key(server)
    asked = server.client.log_in("operator", PASSWORD)
    assert (asked.status, asked.header("location")) == (303, "/login/key")
    assert server.client.get("/machines").status == 303
    before = server.client.cookies[SESSION]
    done = show(server, key)
    assert (done.status, done.header("location")) == (303, "/machines")
    assert server.client.cookies[SESSION] != before
    assert server.client.get("/machines").status == 200
    (login,) = [e for e in server.store.audit_entries(action="operator.login")
                if "key" in e.detail]  # fmt: skip
    assert login.actor == "operator:operator"


def test_the_secret_of_the_first_step_opens_nothing_afterwards(server: World) -> None:
    key = with_key(server)
    server.client.log_in("operator", PASSWORD)
    page = server.client.get("/login/key")
    first = server.client.cookies[SESSION]
    answer = key.get(options_of(page.text))
    assert server.client.send_form("/login/key", csrf=page.csrf, answer=answer).status == 303
    assert server.web.logins.session(first) is None


def test_an_answer_counts_once(server: World) -> None:
    key = with_key(server)
    server.client.log_in("operator", PASSWORD)
    page = server.client.get("/login/key")
    secret = server.client.cookies[SESSION]
    fields = {"csrf": page.csrf, "answer": key.get(options_of(page.text))}
    assert server.client.send_form("/login/key", **fields).status == 303
    server.client.cookies[SESSION] = secret
    assert server.client.send_form("/login/key", **fields).header("location") == "/login"
    # Nor for another login, to which another question is put.
    server.client.log_in("operator", PASSWORD)
    fields["csrf"] = server.client.get("/login/key").csrf
    again = server.client.send_form("/login/key", **fields)
    assert again.status == 403 and "Wrong challenge" in last_refusal(server)


def test_a_question_is_answered_once(server: World) -> None:
    """Also wrongly: nobody tries answer after answer against one question."""
    key = with_key(server)
    server.client.log_in("operator", PASSWORD)
    page = server.client.get("/login/key")
    secret = server.client.cookies[SESSION]
    with pytest.raises(Exception, match="signature"):
        other = Authenticator(credential=key.credential)
        server.web.logins.show_key(secret, other.get(options_of(page.text)))
    with pytest.raises(Exception, match="too old: load it again"):
        server.web.logins.show_key(secret, key.get(options_of(page.text)))


def test_a_counter_that_goes_back_is_a_copy(server: World) -> None:
    key = with_key(server)
    assert show(server, key).status == 303
    key.counter -= 2
    answer = show(server, key)
    assert answer.status == 403 and "have a copy" in answer.text
    assert "counter went back, from 2 to 1" in last_refusal(server)
    assert server.client.get("/machines").status == 303
    key.counter = 2
    assert show(server, key).status == 303


def test_a_key_that_does_not_count_is_one(server: World) -> None:
    key = Authenticator(counts=False)
    server.sign_in("operator")
    add_key(server, key)
    assert show(server, key).status == 303
    assert show(server, key).status == 303


def test_a_key_asked_by_another_site_is_refused(server: World) -> None:
    key = with_key(server)
    answer = show(server, key, origin="https://keys.example.evil.test")
    assert answer.status == 403 and "which is not https://keys.example" in answer.text
    assert "evil.test" in last_refusal(server)


@pytest.mark.parametrize(
    ("client", "words"),
    [
        ({"type": "webauthn.create"}, "type"),
        ({"challenge": "AAAA"}, "challenge"),
        ({"crossOrigin": True}, "another site"),
        ({"origin": 7}, "which is not"),
    ],
)
def test_an_answer_of_another_kind_is_refused(
    server: World, client: dict[str, object], words: str
) -> None:
    assert show(server, with_key(server), **client).status == 403
    assert words in last_refusal(server)


def test_a_key_for_another_name_is_refused(server: World) -> None:
    key = with_key(server)
    key.name = "example"
    assert show(server, key).status == 403
    assert "RP ID" in last_refusal(server)


def test_another_ones_key_is_refused(server: World) -> None:
    with_key(server)
    other = with_key(server, "viewer")
    assert show(server, other).status == 403
    assert "Unknown credential" in last_refusal(server)


@pytest.mark.parametrize("answer", ["", "{}", "[]", '{"id": 1}', "[" * 9000, '{"response": {}}'])
def test_what_is_no_answer_is_refused(server: World, answer: str) -> None:
    with_key(server)
    server.client.log_in("operator", PASSWORD)
    page = server.client.get("/login/key")
    refused = server.client.send_form("/login/key", csrf=page.csrf, answer=answer)
    assert refused.status == 403 and "answer" in last_refusal(server)


@pytest.mark.parametrize(
    "client", [{"origin": "https://evil.test"}, {"challenge": "AAAA"}, {"crossOrigin": True}]
)
def test_a_key_is_registered_by_this_page_alone(server: World, client: dict[str, object]) -> None:
    server.sign_in("operator")
    assert add_key(server, Authenticator(), **client).status == 403
    assert server.web.logins.keys() == ()


def test_a_key_is_registered_once(server: World) -> None:
    key = with_key(server)
    server.sign_in("viewer")
    assert add_key(server, key).status == 409
    assert len(server.web.logins.keys()) == 1


def test_a_login_that_is_old_adds_and_removes_no_key(server: World) -> None:
    with_key(server)
    server.sign_in("operator")
    (key,) = server.web.logins.keys()
    page = server.client.get("/account/key")
    server.grow_old(sessions.FRESH)
    assert server.client.get("/account/key").status == 403
    answer = Authenticator().create(options_of(page.text))
    fields = {"csrf": page.csrf, "name": "x", "answer": answer}
    assert server.client.send_form("/account/keys/add", **fields).status == 403
    with pytest.raises(Exception, match="log in anew"):
        server.web.logins.register_key(server.client.cookies[SESSION], "x", answer)
    fields = {"csrf": page.csrf, "key": key.reference}
    assert server.client.send_form("/account/keys/remove", **fields).status == 403
    assert server.web.logins.keys() == (key,)


def test_who_needs_a_key_and_has_none_registers_one_first(tmp_path: Path) -> None:
    with world(tmp_path, operators=WANTED) as server:
        server.sign_in("operator")
        assert server.client.get("/machines").status == 303  # Of before, without a key.
        server.client.cookies.clear()
        server.client.log_in("operator", PASSWORD)
        page = server.client.get("/login/key")
        assert "Register a security key" in page.text
        assert server.client.get("/machines").status == 303
        key = Authenticator()
        fields = {"csrf": page.csrf, "name": "blue", "answer": key.create(options_of(page.text))}
        assert server.client.send_form("/login/key", **fields).status == 303
        assert server.client.get("/machines").status == 200
        assert show(server, key).status == 303


def test_who_has_a_key_does_not_register_another_instead_of_showing_it(server: World) -> None:
    with_key(server)
    server.client.log_in("operator", PASSWORD)
    secret = server.client.cookies[SESSION]
    question = server.web.logins.key_question(secret, registers=True)
    assert question
    with pytest.raises(Exception, match="show it first"):
        answer = Authenticator().create(json.loads(json.dumps(question.options, default=dict)))
        server.web.logins.register_key(secret, "other", answer)


def test_a_lost_key_is_reset_by_an_administrator(server: World) -> None:
    with_key(server)
    admin = server.tokens["admin"]
    body = {"actor": "operator:operator"}
    path = "/admin/v1/security-keys/reset"
    assert server.client.send_json("POST", path, body, server.tokens["operator"]).status == 403
    assert server.client.send_json("POST", path, body, admin).json == {"count": 1}
    assert server.client.send_json("POST", path, body, admin).status == 404
    assert server.client.log_in("operator", PASSWORD).header("location") == "/machines"
    (entry,) = server.store.audit_entries(action="operator.keys-reset")
    assert (entry.actor, entry.subject) == ("token:admin", "operator:operator")


def test_a_reset_ends_the_sessions(server: World) -> None:
    key = with_key(server)
    show(server, key)
    server.web.logins.reset_keys("operator:operator", ACTOR)
    assert server.client.get("/machines").status == 303


def test_a_key_is_removed_by_its_owner_alone(server: World) -> None:
    with_key(server)
    (key,) = server.web.logins.keys()
    server.sign_in("viewer")
    fields = {"csrf": server.client.get("/account").csrf, "key": key.reference}
    assert server.client.send_form("/account/keys/remove", **fields).status == 404
    server.sign_in("operator")
    fields["csrf"] = server.client.get("/account").csrf
    assert server.client.send_form("/account/keys/remove", **fields).status == 303
    assert server.web.logins.keys() == ()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE security_keys SET counter = 0",
        "UPDATE security_keys SET actor = 'operator:operator'",
    ],
)
def test_who_can_write_the_database_makes_no_key(server: World, statement: str) -> None:
    with_key(server, "viewer")
    with sqlite3.connect(server.database) as connection:
        connection.execute(statement)
    with pytest.raises(Exception, match="not as this server wrote it"):
        server.web.logins.keys()


@pytest.mark.parametrize("statement", ["DELETE FROM security_keys", None])
def test_a_key_that_is_taken_away_in_the_database_is_missed(
    server: World, statement: str | None
) -> None:
    with_key(server)
    if statement:
        with sqlite3.connect(server.database) as connection:
            connection.execute(statement)
    faults = server.store.verify_audit().faults
    assert any("security key" in fault for fault in faults) is (statement is not None)


def test_scripts_are_of_the_pages_that_need_them_alone(server: World) -> None:
    server.sign_in("operator")
    for path, policy in (("/account/key", "'self'"), ("/account", "'none'")):
        found = server.client.get(path).header("content-security-policy")
        assert f"script-src {policy};" in found
    assert server.client.get("/static/keys.js").header("content-type").startswith("text/javascript")


def test_without_an_address_there_are_no_keys(tmp_path: Path) -> None:
    with world(tmp_path) as server:
        server.sign_in("operator")
        assert "/account/key" not in server.client.get("/account").text
        assert server.client.get("/account/key").status == 404
