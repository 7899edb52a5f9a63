# SPDX-License-Identifier: Apache-2.0
"""The operator page: who gets in, which forms count, and that strangers' names stay text."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pykexec.server.canonical import now
from pykexec.server.errors import Tampered
from pykexec.server.people.operators import OperatorSettings
from pykexec.server.store.records import Machine, Settings
from pykexec.server.web.limits import Rate
from tests.support import attest_machine
from tests.support.attest_ca import EkProfile, device_name
from tests.support.server_world import ACTOR, KEY, PASSWORD, UNLIMITED, World, world
from tests.support.store_samples import verified

SESSION = "__Host-pykexec"
IDLE = timedelta(seconds=OperatorSettings().idle_s)
LIFETIME = timedelta(seconds=OperatorSettings().lifetime_s)
HOSTILE = "<script>alert(1)</script>\"'&{{7*7}}"
PAGES = (
    "/machines", "/pending", "/policies", "/policies/any", "/audit", "/account", "/operators",
)  # fmt: skip


@pytest.fixture(name="server")
def server_fixture(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as found:
        yield found


@pytest.fixture(name="machine")
def machine_fixture(server: World) -> Machine:
    """One that has attested, with names that nobody should have."""
    simulated = attest_machine.Machine()
    server.attest(simulated)
    known = server.known(simulated)
    server.store.put_secret(known.id, "root", "luks-key", {"file": "k"}, KEY, ACTOR)
    server.store.set_name(known.id, HOSTILE, ACTOR)
    server.store.set_tags(known.id, {"site": HOSTILE}, ACTOR)
    return server.known(simulated)


def test_without_a_login_there_is_only_the_login(server: World, machine: Machine) -> None:
    for path in (*PAGES, f"/machines/{machine.fingerprint}"):
        answer = server.client.get(path)
        assert (answer.status, answer.header("location"), answer.body) == (303, "/login", b"")
    assert server.client.send_form(f"/machines/{machine.fingerprint}/retire").status == 303
    assert server.known_state(machine) == "enrolled"


@pytest.mark.parametrize(
    ("name", "password"),
    [("admin", "wrong"), ("nobody", PASSWORD), ("admin", ""), ("", ""), ("admin", PASSWORD + " ")],
)
def test_a_wrong_login_says_no_more_than_that(server: World, name: str, password: str) -> None:
    answer = server.client.log_in(name, password)
    assert answer.status == 403 and "Name or password is wrong." in answer.text
    assert SESSION not in server.client.cookies


def test_the_session_cookie_is_for_this_host_and_no_script(server: World) -> None:
    server.client.log_in("admin", PASSWORD)
    (cookie,) = [text for text in server.client.set_cookies if text.startswith(f"{SESSION}=")]
    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert attributes == {"httponly", "secure", "path=/", "samesite=strict"}


def test_a_login_makes_a_new_session_and_ends_the_old(server: World) -> None:
    server.client.cookies[SESSION] = "chosen-by-somebody-else"
    server.client.log_in("admin", PASSWORD)
    first = server.client.cookies[SESSION]
    assert first != "chosen-by-somebody-else"
    server.client.log_in("admin", PASSWORD)
    assert server.client.cookies[SESSION] != first
    assert server.web.logins.session(first) is None
    assert server.web.logins.session("chosen-by-somebody-else") is None


def test_a_logout_ends_the_session_on_the_server(server: World) -> None:
    server.sign_in("admin")
    secret = server.client.cookies[SESSION]
    token = server.client.get("/machines").csrf
    assert server.client.send_form("/logout", csrf=token).status == 303
    assert SESSION not in server.client.cookies
    assert server.web.logins.session(secret) is None


@pytest.mark.parametrize(
    ("later", "alive"),
    [
        (IDLE - timedelta(minutes=10), True),
        (IDLE + timedelta(seconds=5), False),
    ],
)
def test_a_session_that_is_not_used_ends(server: World, later: timedelta, alive: bool) -> None:
    server.sign_in("admin")
    secret = server.client.cookies[SESSION]
    assert (server.web.logins.session(secret, now() + later) is not None) == alive


def test_a_session_ends_however_busy_it_is(server: World) -> None:
    server.sign_in("admin")
    secret = server.client.cookies[SESSION]
    time, step = now(), IDLE - timedelta(minutes=1)
    lived = timedelta()
    while server.web.logins.session(secret, time + lived) is not None:
        lived += step
    assert LIFETIME <= lived < LIFETIME + step


def test_another_password_ends_all_sessions(server: World) -> None:
    server.client.log_in("admin", PASSWORD)
    server.web.accounts.set_password("admin", "another fine password", ACTOR)
    assert server.client.get("/machines").status == 303
    assert server.client.log_in("admin", PASSWORD).status == 403
    assert server.client.log_in("admin", "another fine password").status == 303


def test_who_is_taken_off_is_out_at_once(server: World) -> None:
    server.sign_in("operator")
    server.web.accounts.remove("operator", ACTOR)
    assert server.client.get("/machines").status == 303


def test_the_database_holds_neither_passwords_nor_sessions(server: World) -> None:
    server.client.log_in("admin", PASSWORD)
    data = server.database.read_bytes() + server.database.with_suffix(".db-wal").read_bytes()
    for secret in (PASSWORD, server.client.cookies[SESSION]):
        assert secret.encode() not in data


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE operators SET role = 'admin' WHERE name = 'viewer'",
        "UPDATE sessions SET role = 'admin'",
        "UPDATE sessions SET actor = 'operator:admin', name = 'admin'",
        "UPDATE sessions SET started = started + 36000000",
    ],
)
def test_who_can_write_the_database_still_is_nobody(server: World, statement: str) -> None:
    server.sign_in("viewer")
    with sqlite3.connect(server.database) as connection:
        connection.execute(statement)
    with pytest.raises(Tampered):
        server.web.logins.session(server.client.cookies[SESSION])
    assert server.client.get("/machines").status == 500


def test_guessing_passwords_is_slowed_down_by_peer(tmp_path: Path) -> None:
    with world(tmp_path, replace(UNLIMITED, failures=Rate(0.01, 2))) as server:
        statuses = [server.client.log_in(name, "wrong").status for name in ("a", "b", "c")]
        assert statuses == [403, 403, 429]
        server.client.peer = "198.51.100.1"
        assert server.client.log_in("admin", PASSWORD).status == 303


def test_guessing_passwords_is_slowed_down_by_account(tmp_path: Path) -> None:
    with world(tmp_path, replace(UNLIMITED, account=Rate(0.01, 2))) as server:
        statuses = []
        for last in range(4):
            server.client.peer = f"198.51.100.{last}"
            statuses.append(server.client.log_in("admin", "wrong").status)
        assert statuses == [403, 403, 429, 429]
        # Whoever guesses from anywhere locks nobody out of where he is used to be.
        assert server.client.log_in("admin", PASSWORD).status == 429
        server.client.peer = "192.0.2.7"
        assert server.client.log_in("admin", PASSWORD).status == 303


def test_a_failed_login_is_in_the_audit_trail(tmp_path: Path) -> None:
    with world(tmp_path, replace(UNLIMITED, failures=Rate(0.01, 3))) as server:
        for name in ("admin", "a password by mistake"):
            server.client.log_in(name, "wrong")
        found = server.store.audit_entries(action="operator.login-failed")
        assert [entry.subject for entry in found] == ["operator:?", "operator:admin"]
        assert found[0].detail == {"peer": "192.0.2.7"}
        for last in range(5):
            server.client.peer = f"198.51.100.{last}"
            server.client.log_in("admin", "wrong")
        assert len(server.store.audit_entries(action="operator.login-failed")) == 3


@pytest.mark.parametrize("token", [None, "", "0" * 64])
@pytest.mark.parametrize("path", ["/logout", "/audit/check", "/machines/{}/retire"])
def test_a_form_without_the_sessions_token_does_nothing(
    server: World, machine: Machine, path: str, token: str | None
) -> None:
    server.sign_in("admin")
    fields = {"confirm": machine.fingerprint[:8]} | ({} if token is None else {"csrf": token})
    answer = server.client.send_form(path.format(machine.fingerprint), **fields)
    assert answer.status == 403
    assert server.client.get("/machines").status == 200
    assert server.known_state(machine) == "enrolled"


def test_a_token_of_another_session_does_nothing(server: World, machine: Machine) -> None:
    server.sign_in("operator")
    token = server.client.get("/machines").csrf
    server.client.cookies.clear()
    server.sign_in("admin")
    path = f"/machines/{machine.fingerprint}/refuse"
    assert server.client.send_form(path, csrf=token).status == 403


def test_a_form_of_another_site_does_nothing(server: World, machine: Machine) -> None:
    server.sign_in("admin")
    path = f"/machines/{machine.fingerprint}/refuse"
    token = server.client.get("/machines").csrf
    headers = {"sec-fetch-site": "cross-site"}
    assert server.client.send_form(path, headers, csrf=token).status == 403
    assert server.known_state(machine) == "enrolled"


def test_a_login_form_needs_its_own_token(server: World) -> None:
    fields = {"name": "admin", "password": PASSWORD}
    assert server.client.send_form("/login", **fields).status == 403
    server.client.get("/login")
    assert server.client.send_form("/login", csrf="0" * 64, **fields).status == 403
    assert SESSION not in server.client.cookies


@pytest.mark.parametrize("action", ["approve", "refuse", "retire"])
def test_a_viewer_changes_nothing(server: World, machine: Machine, action: str) -> None:
    server.sign_in("viewer")
    page = server.client.get(f"/machines/{machine.fingerprint}")
    assert page.status == 200 and f"/{action}" not in page.text
    path = f"/machines/{machine.fingerprint}/{action}"
    fields = {"csrf": page.csrf, "confirm": machine.fingerprint[:8]}
    assert server.client.send_form(path, **fields).status == 403
    assert server.client.get(path).status == 403
    assert server.known_state(machine) == "enrolled"


def test_a_get_asks_and_a_post_does_it(server: World, machine: Machine) -> None:
    server.sign_in("operator")
    path = f"/machines/{machine.fingerprint}/refuse"
    page = server.client.get(path)
    assert page.status == 200 and server.known_state(machine) == "enrolled"
    done = server.client.send_form(path, csrf=page.csrf, reason="lost")
    assert (done.status, server.known_state(machine)) == (303, "refused")
    (entry,) = server.store.audit_entries(limit=1)
    assert (entry.actor, entry.detail["reason"]) == ("operator:operator", "lost")


def test_retiring_wants_the_fingerprint_typed(server: World, machine: Machine) -> None:
    server.sign_in("operator")
    path = f"/machines/{machine.fingerprint}/retire"
    token = server.client.get(path).csrf
    for typed in ("", "yes", machine.fingerprint[:7]):
        assert server.client.send_form(path, csrf=token, confirm=typed).status == 400
    assert server.known_state(machine) == "enrolled"
    typed = machine.fingerprint[:8]
    assert server.client.send_form(path, csrf=token, confirm=typed).status == 303
    assert server.known_state(machine) == "retired"


def test_a_policy_of_before_that_says_too_little_is_shown_with_its_fault(server: World) -> None:
    image = '[[images]]\nname = "old"\npcr11 = { sha256 = "' + "11" * 32 + '" }\n'
    server.store.put_policy("before", f'version = 1\nname = "before"\n{image}', ACTOR)
    server.sign_in("operator")
    page = server.client.get("/policies/before")
    assert page.status == 200
    assert "It refuses every machine: before: images[0].authenticode: missing" in page.text


def test_an_approval_may_choose_the_policy(server: World) -> None:
    server.store.put_policy("other", 'version = 1\nname = "o"\nallow_any_image = true\n', ACTOR)
    stranger = attest_machine.Machine("stranger")
    stranger.certificates = ()
    server.attest(stranger)
    server.sign_in("operator")
    assert stranger.fingerprint in server.client.get("/pending").text
    path = f"/machines/{stranger.fingerprint}/approve"
    token = server.client.get(path).csrf
    server.client.send_form(path, csrf=token, policy="other")
    known = server.known(stranger)
    assert (known.state, known.policy) == ("enrolled", "other")


class _Tags(HTMLParser):
    """Names of elements and of attributes that could run something."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        self.found |= {name for name, _ in attrs if name.startswith("on") or name == "style"}
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action")]


def test_hostile_names_stay_text_and_nothing_comes_from_elsewhere(
    server: World, machine: Machine
) -> None:
    server.store.set_settings(Settings(certificate=False, first_use=True), ACTOR)
    profile = EkProfile(device=device_name(HOSTILE, HOSTILE), subject=HOSTILE)
    stranger = server.store.enrol(verified(attest_machine.Machine("stranger", profile=profile)))
    assert stranger.state == "pending" and HOSTILE in stranger.certificate_info.values()
    server.store.audit(HOSTILE, HOSTILE, HOSTILE, {HOSTILE: HOSTILE})
    server.store.create_token(HOSTILE, "viewer", HOSTILE)
    server.web.accounts.create(HOSTILE, "viewer", PASSWORD, HOSTILE)
    server.web.logins.login(HOSTILE, PASSWORD, HOSTILE, None, HOSTILE)
    server.sign_in("admin")
    one = f"/machines/{machine.fingerprint}"
    pages = (
        *PAGES,
        one,
        f"/machines/{stranger.fingerprint}",
        f"{one}/retire",
        "/machines?search=<script>",
    )
    for path in pages:
        answer = server.client.get(path)
        assert answer.status == 200
        tags = _Tags()
        tags.feed(answer.text)
        assert not tags.found & {"script", "style", "iframe", "object"}
        assert not [name for name in tags.found if name.startswith("on")]
        assert not [link for link in tags.links if not link.startswith("/") or link[1:2] == "/"]
    text = server.client.get(one).text
    assert "&lt;script&gt;alert(1)" in text and "{{7*7}}" in text


def test_a_machines_page_tells_why_it_was_refused(server: World, machine: Machine) -> None:
    simulated = attest_machine.Machine()
    simulated.reset_count = 9
    simulated.extend(8, 0xD, b"something else", log=False)
    server.attest(simulated)
    server.sign_in("viewer")
    text = server.client.get(f"/machines/{machine.fingerprint}").text
    assert "log.replay" in text and "refused" in text and KEY.decode() not in text


def test_a_broken_chain_is_shown(server: World) -> None:
    server.sign_in("viewer")
    token = server.client.get("/audit").csrf
    with sqlite3.connect(server.database) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("UPDATE audit SET actor = 'nobody' WHERE seq = 2")
    server.client.send_form("/audit/check", csrf=token)
    assert "The chain is broken" in server.client.get("/audit").text


@pytest.mark.parametrize("path", ["/login", "/machines", "/static/pykexec.css", "/healthz", "/x"])
def test_every_answer_forbids_what_it_does_not_need(server: World, path: str) -> None:
    server.sign_in("viewer")
    answer = server.client.get(path)
    policy = answer.header("content-security-policy")
    assert policy.startswith("default-src 'self'; script-src 'none'")
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("strict-transport-security")
    assert answer.header("cache-control") in ("no-store", "max-age=3600")


@pytest.mark.parametrize("name", ["base.html", "../pages.py", "..%2fpages.py", "x"])
def test_only_assets_are_served(server: World, name: str) -> None:
    assert server.client.get(f"/static/{name}").status == 404
