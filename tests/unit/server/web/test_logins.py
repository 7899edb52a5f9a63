# SPDX-License-Identifier: Apache-2.0
"""Operators who log in at a real provider, what their groups let them do, and for how long."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from pykexec.server.canonical import now
from pykexec.server.errors import Conflict
from pykexec.server.people.operators import GroupGrant, OperatorSettings
from pykexec.server.roles import Grant
from pykexec.server.store.accounts import FIRST, Accounts
from pykexec.server.store.logins import Logins
from pykexec.server.web.limits import Rate
from tests.support import oidc_provider
from tests.support.oidc_provider import ADDRESS, RunningProvider
from tests.support.server_world import ACTOR, PASSWORD, UNLIMITED, World, world
from tests.support.web_client import Answer

SESSION = "__Host-pykexec"
BEGUN = "__Host-pykexec-operator"
SETTINGS = OperatorSettings(
    address=ADDRESS,
    passwords="first",
    groups=(
        GroupGrant("key-holders", Grant("operator", ("site=north",))),
        GroupGrant("security", Grant("admin")),
    ),
)


@pytest.fixture(scope="module", name="provider")
def provider_fixture() -> Iterator[RunningProvider]:
    with oidc_provider.running() as found:
        yield found


@pytest.fixture(name="server")
def server_fixture(tmp_path: Path, provider: RunningProvider) -> Iterator[World]:
    with world(tmp_path, people=provider.settings, operators=SETTINGS) as found:
        yield found


def begin(server: World, login: str) -> str:
    """To the provider, and where it leads back to."""
    server.client.cookies.clear()
    begun = server.client.get("/login/provider")
    assert begun.status == 303, begun.text
    assert server.web.operator_provider
    settings = server.web.operator_provider.settings
    back = oidc_provider.log_in(settings, begun.header("location"), login)
    return back.removeprefix(ADDRESS)


def log_in(server: World, login: str) -> Answer:
    """All of it."""
    return server.client.get(begin(server, login))


def reasons(server: World) -> list[tuple[str, str]]:
    """Of logins that failed, newest first."""
    found = server.store.audit_entries(action="operator.login-failed")
    return [(entry.subject, str(entry.detail.get("reason", ""))) for entry in found]


def test_a_group_gives_its_role_and_scope(server: World) -> None:
    answer = log_in(server, "anna")
    assert answer.status == 200 and 'content="0; url=/machines"' in answer.text
    page = server.client.get("/machines")
    assert page.status == 200 and "anna@example.org" in page.text and "site=north" in page.text
    assert server.client.get("/operators").status == 403
    (entry,) = server.store.audit_entries(action="operator.login", actor="person:anna")
    assert entry.detail == {
        "how": "provider", "name": "anna@example.org", "peer": "192.0.2.7", "role": "operator",
        "scope": ["site=north"],
    }  # fmt: skip


def test_the_highest_role_of_several_groups_counts(server: World) -> None:
    log_in(server, "bob")
    page = server.client.get("/operators")
    assert page.status == 200 and "person:bob" in page.text


def test_the_session_is_for_this_host_and_no_script(server: World) -> None:
    log_in(server, "anna")
    (cookie,) = [text for text in server.client.set_cookies if text.startswith(f"{SESSION}=")]
    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert attributes == {"httponly", "secure", "path=/", "samesite=strict"}
    assert BEGUN not in server.client.cookies


@pytest.mark.parametrize(
    ("login", "words"),
    [("carl", "of your groups has a role"), ("dora", "does not say which groups")],
)
def test_who_has_no_role_is_told_why_and_that_is_kept(
    server: World, login: str, words: str
) -> None:
    answer = log_in(server, login)
    assert answer.status == 403 and words in answer.text
    assert SESSION not in server.client.cookies
    ((subject, reason),) = reasons(server)
    assert subject == f"person:{login}" and words in reason


def test_an_answer_counts_once(server: World) -> None:
    back = begin(server, "anna")
    begun = server.client.cookies[BEGUN]
    assert server.client.get(back).status == 200
    server.client.cookies = {}
    assert server.client.get(back).status == 403
    server.client.cookies = {BEGUN: begun}
    answer = server.client.get(back)
    assert answer.status == 403 and "refuses" in answer.text
    assert SESSION not in server.client.cookies
    assert [subject for subject, _ in reasons(server)] == ["operator:?", "operator:?"]


def test_an_answer_to_another_browser_is_refused(server: World) -> None:
    back = begin(server, "bob")
    begin(server, "anna")
    answer = server.client.get(back)
    assert answer.status == 403 and "another login" in answer.text


def test_a_token_for_another_session_is_refused(
    server: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its nonce is of another verifier, whoever has the code."""
    back = begin(server, "bob")
    provider = server.web.operator_provider
    assert provider
    finish = provider.finish

    def other(login: object, answer: object, wanted: object, time: object) -> object:
        wrong = replace(wanted, nonce="A" * 43)  # type: ignore[type-var]
        return finish(login, answer, wrong, time)  # type: ignore[arg-type]

    monkeypatch.setattr(provider, "finish", other)
    answer = server.client.get(back)
    assert answer.status == 403 and "another session than this browser" in answer.text


def test_a_login_that_took_too_long_is_refused(
    server: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pykexec.server.quotas.LOGIN_S", -5)
    answer = log_in(server, "anna")
    assert answer.status == 403 and "took too long" in answer.text
    assert "took too long" in reasons(server)[0][1]


def test_a_provider_that_is_down_is_said_and_kept(tmp_path: Path) -> None:
    with (
        oidc_provider.running() as running,
        world(tmp_path, people=running.settings, operators=SETTINGS) as server,
    ):
        server.web.accounts.recover("root", PASSWORD, "local")
        running.stop()
        answer = server.client.get("/login/provider")
        assert answer.status == 503 and "does not answer" in answer.text
        assert "does not answer" in reasons(server)[0][1]
        assert server.client.log_in("root", PASSWORD).status == 303


def test_a_provider_whose_clock_is_wrong_is_said_and_kept(tmp_path: Path) -> None:
    with (
        oidc_provider.running(offset_s=3600) as running,
        world(tmp_path, people=running.settings, operators=SETTINGS) as server,
    ):
        answer = log_in(server, "anna")
        assert answer.status == 403 and "ahead of this server" in answer.text
        assert "clock" in reasons(server)[0][1]


def test_a_login_of_a_lesser_kind_is_refused(tmp_path: Path, provider: RunningProvider) -> None:
    wanted = replace(SETTINGS, acr=("phr",))
    with world(tmp_path, people=provider.settings, operators=wanted) as server:
        answer = log_in(server, "anna")
        assert answer.status == 403 and "which is not enough" in answer.text
        assert "which is not enough" in reasons(server)[0][1]


def test_passwords_are_for_the_first_administrator_alone(server: World) -> None:
    answer = server.client.log_in("admin", PASSWORD)
    assert answer.status == 403 and "Passwords do not count here" in answer.text
    assert reasons(server)[0][0] == "operator:admin"
    # What a wrong password says is no help to who guesses.
    assert "Name or password is wrong" in server.client.log_in("admin", "wrong").text
    server.web.accounts.recover("root", PASSWORD, "local")
    assert server.client.log_in("root", PASSWORD).status == 303
    assert server.client.get("/machines").status == 200


def test_sessions_by_a_password_end_when_passwords_count_no_more(server: World) -> None:
    server.sign_in("admin")
    assert server.client.get("/machines").status == 303
    (entry, *_) = server.store.audit_entries(action="session.end")
    assert entry.subject == "operator:admin"


def with_settings(server: World, settings: OperatorSettings) -> Logins:
    """Another server of the store, or this one started again."""
    store = server.store
    return Logins(Accounts(store.database, store.keys, settings))


def test_a_session_ends_when_the_groups_role_is_another(server: World) -> None:
    log_in(server, "anna")
    secret = server.client.cookies[SESSION]
    assert with_settings(server, SETTINGS).session(secret)
    for groups in (
        (),
        (GroupGrant("key-holders", Grant("viewer", ("site=north",))),),
        (GroupGrant("key-holders", Grant("operator", ("site=south",))),),
    ):
        log_in(server, "anna")
        secret = server.client.cookies[SESSION]
        assert with_settings(server, replace(SETTINGS, groups=groups)).session(secret) is None
        assert server.web.logins.session(secret) is None


def test_a_session_ends_when_an_operators_role_is_another(tmp_path: Path) -> None:
    with world(tmp_path) as server:
        server.sign_in("operator")
        accounts = server.web.accounts
        _, token = server.store.create_token("own", "operator", "operator:operator")
        accounts.set_grant("operator", Grant("viewer", ("site=north",)), ACTOR)
        # Before anybody looks for the session.
        assert server.client.get("/admin/v1/status", token).status == 401
        assert server.web.logins.sessions("operator:operator") == ()
        assert server.client.get("/machines").status == 303
        server.client.log_in("operator", PASSWORD)
        session = server.web.logins.session(server.client.cookies[SESSION])
        assert session and session.operator.grant == Grant("viewer", ("site=north",))


def test_who_comes_back_with_another_role_loses_what_he_had(server: World) -> None:
    log_in(server, "bob")
    first = server.client.cookies[SESSION]
    _, token = server.store.create_token("bobs", "admin", "person:bob")
    groups = (GroupGrant("key-holders", Grant("viewer")),)
    other = with_settings(server, replace(SETTINGS, groups=groups))
    person_session = server.web.logins.session(first)
    assert person_session
    assert other.session(first) is None
    assert server.client.get("/admin/v1/status", token).status == 401


@pytest.mark.parametrize("seconds", [60, 3600])
def test_lifetimes_are_the_settings(server: World, seconds: int) -> None:
    log_in(server, "anna")
    secret = server.client.cookies[SESSION]
    short = with_settings(server, replace(SETTINGS, idle_s=seconds))
    assert short.session(secret, now() + timedelta(seconds=seconds - 30))
    assert short.session(secret, now() + timedelta(seconds=2 * seconds + 60)) is None
    short = with_settings(server, replace(SETTINGS, lifetime_s=seconds))
    assert short.session(secret, now() + timedelta(seconds=seconds + 30)) is None


def test_sessions_are_listed_and_ended_by_their_owner(tmp_path: Path) -> None:
    with world(tmp_path) as server:
        server.client.log_in("operator", PASSWORD)
        (here, other, *_) = server.web.logins.sessions("operator:operator")
        (foreign,) = server.web.logins.sessions("operator:viewer")
        page = server.client.get("/account")
        assert "this one" in page.text and other.reference in page.text
        assert foreign.reference not in page.text
        send, path = server.client.send_form, "/account/sessions/end"
        assert send(path, csrf=page.csrf, session=foreign.reference).status == 404
        assert send(path, csrf=page.csrf, session=other.reference).status == 303
        assert send(path, csrf=page.csrf, session=here.reference).status == 303
        assert server.client.get("/machines").status == 303
        assert server.web.logins.sessions("operator:operator") == ()


def test_others_sessions_are_ended_by_an_administrator(tmp_path: Path) -> None:
    with world(tmp_path) as server:
        (session,) = server.web.logins.sessions("operator:viewer")
        for role, status in (("operator", 403), ("admin", 303)):
            server.sign_in(role)
            fields = {"csrf": server.client.get("/account").csrf, "session": session.reference}
            assert server.client.send_form("/operators/sessions/end", **fields).status == status
        assert server.web.logins.sessions("operator:viewer") == ()
        (entry,) = server.store.audit_entries(action="session.end")
        assert (entry.actor, entry.subject) == ("operator:admin", "operator:viewer")
        path = f"/admin/v1/sessions/{session.reference}"
        assert server.client.request("DELETE", path, token=server.tokens["admin"]).status == 404


def test_a_token_of_ones_own_may_do_no_more_than_oneself(server: World) -> None:
    log_in(server, "anna")
    page = server.client.get("/account")
    send, path = server.client.send_form, "/account/tokens/create"
    good = {"csrf": page.csrf, "name": "ci", "role": "operator", "scope": "site=north", "days": "7"}
    for wrong in (
        {"role": "admin"}, {"role": "x"}, {"scope": ""}, {"scope": "site=south"}, {"days": "0"},
        {"days": "366"}, {"days": "x"}, {"name": "a/b"}, {"scope": "site=north site=south"},
    ):  # fmt: skip
        assert send(path, None, **{**good, **wrong}).status == 400, wrong
    assert not [t for t in server.store.tokens() if t.created_by == "person:anna"]
    made = send(path, None, **good)
    assert made.status == 200
    (token,) = [t for t in server.store.tokens() if t.created_by == "person:anna"]
    assert (token.role, token.scope) == ("operator", ("site=north",))
    assert token.expires and token.expires < now() + timedelta(days=8)
    assert send(path, None, **good).status == 409
    text = next(word for word in made.text.replace("<", " ").replace(">", " ").split()
                if word.startswith("pykexec_"))  # fmt: skip
    assert server.client.get("/admin/v1/status", text).status == 200
    assert server.client.get("/admin/v1/tokens", text).status == 403
    assert "ci" in server.client.get("/account").text
    fields = {"csrf": page.csrf, "token": "admin"}
    assert send("/account/tokens/revoke", None, **fields).status == 404
    fields["token"] = "ci"
    assert send("/account/tokens/revoke", None, **fields).status == 303
    assert server.client.get("/admin/v1/status", text).status == 401


def test_a_login_that_is_old_makes_no_token(tmp_path: Path) -> None:
    with world(tmp_path) as server:
        server.sign_in("operator")
        page = server.client.get("/account")
        server.grow_old(timedelta(minutes=16))
        fields = {"csrf": page.csrf, "name": "ci", "role": "viewer", "days": "7"}
        answer = server.client.send_form("/account/tokens/create", **fields)
        assert answer.status == 403 and "log in anew" in answer.text


def test_tokens_that_do_not_count_are_in_the_audit_trail(tmp_path: Path) -> None:
    with world(tmp_path, replace(UNLIMITED, failures=Rate(0.001, 3))) as server:
        server.store.revoke_token("viewer", ACTOR)
        server.client.get("/admin/v1/status", server.tokens["viewer"])
        for _ in range(5):
            server.client.get("/admin/v1/status", "pykexec_" + "A" * 43)
        entries = server.store.audit_entries(action="token.refused")
        assert [entry.subject for entry in entries] == ["token:?", "token:?", "token:viewer"]


def test_somebody_can_always_administer_the_server(tmp_path: Path) -> None:
    with world(tmp_path) as server:
        accounts = server.web.accounts
        for change in (
            lambda: accounts.remove("admin", ACTOR),
            lambda: accounts.set_grant("admin", Grant("operator"), ACTOR),
            lambda: accounts.set_grant("admin", Grant("admin", ("site=north",)), ACTOR),
        ):
            with pytest.raises(Conflict, match="the last administrator"):
                change()
        accounts.create("north", "admin", PASSWORD, ACTOR, ("site=north",))
        with pytest.raises(Conflict, match="the last administrator"):
            accounts.remove("admin", ACTOR)
        accounts.create("other", "admin", PASSWORD, ACTOR)
        accounts.remove("admin", ACTOR)


def test_where_a_group_administers_no_password_need(server: World) -> None:
    server.web.accounts.remove("admin", ACTOR)
    assert "admin" not in [operator.name for operator in server.web.accounts.operators()]


def test_who_has_database_and_key_recovers_an_administrator(tmp_path: Path) -> None:
    with world(tmp_path) as server:
        server.sign_in("viewer")
        server.web.accounts.recover("viewer", "another fine password", "local")
        assert server.client.get("/machines").status == 303
        assert server.client.log_in("viewer", PASSWORD).status == 403
        assert server.client.log_in("viewer", "another fine password").status == 303
        found = {operator.name: operator for operator in server.web.accounts.operators()}
        assert (found["viewer"].role, found["viewer"].created_by) == ("admin", FIRST)
        assert server.store.audit_entries(action="operator.recover")


def test_what_is_left_in_the_database_is_not_more_than_was_said(server: World) -> None:
    log_in(server, "anna")
    data = server.database.read_bytes() + server.database.with_suffix(".db-wal").read_bytes()
    assert server.client.cookies[SESSION].encode() not in data


def test_forms_of_another_session_do_nothing(server: World) -> None:
    log_in(server, "bob")
    (session,) = server.web.logins.sessions("person:bob")
    for path in ("/account/sessions/end", "/operators/sessions/end"):
        answer = server.client.send_form(path, csrf="0" * 64, session=session.reference)
        assert answer.status == 403
    cross = {"sec-fetch-site": "cross-site"}
    csrf = server.client.get("/account").csrf
    answer = server.client.send_form(
        "/account/sessions/end", cross, csrf=csrf, session=session.reference
    )
    assert answer.status == 403
    assert server.client.get("/machines").status == 200
