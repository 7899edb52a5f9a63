# SPDX-License-Identifier: Apache-2.0
"""The pages by which persons approve, with a real provider: from the QR code to the release."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pykexec.attest import decode, protocol
from pykexec.attest.approval import PollRequest, login_nonce, poll_proof
from pykexec.attest.protocol import AttestReply, Challenge
from pykexec.server.people.id_token import LoginRefused, Wanted, check_token
from pykexec.server.web.limits import Rate
from tests.support import oidc_provider
from tests.support.attest_machine import Machine
from tests.support.oidc_provider import RunningProvider
from tests.support.server_world import ACTOR, ANY_IMAGE, KEY, UNLIMITED, World, world
from tests.support.web_client import Answer, Client

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module", name="provider")
def provider_fixture() -> Iterator[RunningProvider]:
    with oidc_provider.running() as found:
        yield found


@pytest.fixture(name="server")
def server_fixture(tmp_path: Path, provider: RunningProvider) -> Iterator[World]:
    with world(tmp_path, people=provider.settings) as found:
        yield found


class Boot:
    """A machine that waits, and persons with browsers of their own."""

    def __init__(
        self,
        server: World,
        approval: str = 'groups = ["key-holders"]',
        name: str = "machine",
        facts: Mapping[str, str] | None = None,
    ) -> None:
        self.server, self.machine = server, Machine(name)
        if facts is not None:
            self.machine.facts = dict(facts)
        server.attest(self.machine)
        known = server.known(self.machine)
        server.store.put_secret(known.id, "root", "luks-key", {"file": "k"}, KEY, ACTOR)
        server.store.set_name(known.id, HOSTILE, ACTOR)
        server.store.set_tags(known.id, {"site": "north"}, ACTOR)
        server.store.put_policy("any", f"{ANY_IMAGE}[approval]\n{approval}\n", ACTOR)
        self.machine.reboot()
        self.challenge: Challenge = server.challenge(self.machine)
        request = self.machine.attest_request(self.challenge)
        answer = server.post(protocol.ATTESTATIONS_PATH, request.encode())
        reply = decode.parse_attest_reply(answer.body)
        assert reply.pending
        self.pending = reply.pending

    @property
    def page(self) -> str:
        """Where the QR code leads."""
        return urlsplit(self.pending.address).path

    def poll(self) -> AttestReply:
        """The machine asks."""
        ticket = self.pending.ticket
        proof = poll_proof(self.machine.activate(self.challenge), self.challenge.nonce, ticket)
        answer = self.server.post(protocol.APPROVALS_PATH, PollRequest(ticket, proof).encode())
        return decode.parse_attest_reply(answer.body)

    def browser(self) -> Client:
        """Somebody's."""
        client = self.server.client
        client.cookies.clear()
        return client

    def log_in(self, login: str = "anna") -> Answer:
        """From the QR code to the page that shows the machine."""
        client = self.browser()
        assert "Log in" in client.get(self.page).text
        begun = client.get(f"{self.page}/login")
        assert begun.status == 303, begun.text
        assert self.server.web.provider
        settings = self.server.web.provider.settings
        back = oidc_provider.log_in(settings, begun.header("location"), login)
        answer = client.get(back.removeprefix(oidc_provider.ADDRESS))
        return client.get(self.page) if answer.status == 303 else answer

    def decide(self, shown: Answer, code: str | None = None, **fields: str) -> Answer:
        """Fill in the form."""
        typed = {"code": self.pending.code if code is None else code, "decision": "approve"}
        return self.server.client.send_form(self.page, csrf=shown.csrf, **(typed | fields))


def test_a_person_sees_the_machine_and_approves_it(server: World) -> None:
    boot = Boot(server)
    shown = boot.log_in()
    for text in ("site=north", "serial machine", "grubx64.efi", "anna@example.org", "192.0.2.7"):
        assert text in shown.text
    assert HOSTILE not in shown.text
    assert boot.poll().pending
    assert "The machine goes on" in boot.decide(shown).text
    opened = boot.machine.open_release(boot.challenge, boot.poll())
    assert [secret.value for secret in opened] == [KEY]


@pytest.mark.parametrize(
    ("facts", "text"), [({}, "not stated"), ({"product": "Board"}, "Board"), ({"serial": "7"}, "7")]
)
def test_a_machine_may_say_nothing_of_itself(
    server: World, facts: Mapping[str, str], text: str
) -> None:
    boot = Boot(server, facts=facts)
    shown = boot.log_in()
    assert shown.status == 200 and text in shown.text
    assert "The machine goes on" in boot.decide(shown).text


def test_the_trail_proves_the_approval_to_who_has_nothing_else(server: World) -> None:
    """Offline: statement, policy and the key set of that day, and no word of this server's."""
    boot = Boot(server)
    boot.decide(boot.log_in())
    trail = [json.loads(line) for line in server.store.export_audit()]
    asked = next(entry["detail"] for entry in trail if entry["action"] == "approval.ask")
    given = next(entry["detail"] for entry in trail if entry["action"] == "approval.approved")
    assert server.web.provider
    settings = server.web.provider.settings
    policy = server.store.policy(*given["policy"]).text.encode()
    nonce = login_nonce(asked["statement"].encode(), policy)
    wanted = Wanted(settings.issuer, settings.client_id, nonce)
    now = datetime.now(UTC)
    assert check_token(given["id_token"], given["key_set"], wanted, now).subject == "anna"
    other = replace(wanted, nonce=login_nonce(asked["statement"].encode(), policy + b" "))
    with pytest.raises(LoginRefused, match="another boot"):
        check_token(given["id_token"], given["key_set"], other, now)


def test_before_the_login_nothing_is_told(server: World) -> None:
    boot = Boot(server)
    text = boot.browser().get(boot.page).text
    for word in ("north", "serial", "grub", boot.pending.code):
        assert word not in text


def test_without_a_camera_the_code_leads_there(server: World) -> None:
    boot = Boot(server)
    found = boot.browser().send_form("/approve", code=boot.pending.code.lower())
    assert (found.status, found.header("location")) == (303, boot.page)
    assert server.client.send_form("/approve", code="BBBB-BBBB").status == 404


def test_a_login_for_one_boot_is_none_for_another(server: World) -> None:
    """The token is replayed: brought back for a boot that it does not name."""
    first = Boot(server)
    client = first.browser()
    begun = client.get(f"{first.page}/login")
    assert server.web.provider
    settings = server.web.provider.settings
    back = oidc_provider.log_in(settings, begun.header("location"), "anna")
    second = Boot(server, name="second")
    client.get(f"{second.page}/login")
    answer = client.get(back.removeprefix(oidc_provider.ADDRESS))
    assert answer.status == 403 and "another login" in answer.text
    assert second.poll().pending


def test_a_session_is_for_one_boot(server: World) -> None:
    boot = Boot(server)
    shown = boot.log_in()
    cookies = dict(server.client.cookies)
    again = Boot(server, name="second")
    server.client.cookies = cookies
    answer = again.decide(shown)
    assert answer.status == 403 and "A machine waits for you" in answer.text
    assert again.poll().pending


def test_a_form_of_another_site_or_session_is_refused(server: World) -> None:
    boot = Boot(server)
    shown = boot.log_in()
    fields = {"code": boot.pending.code, "decision": "approve"}
    cross = {"sec-fetch-site": "cross-site"}
    assert server.client.send_form(boot.page, cross, csrf=shown.csrf, **fields).status == 403
    assert server.client.send_form(boot.page, csrf="0" * 64, **fields).status == 403
    assert boot.poll().pending


def test_cookies_are_for_this_host_and_no_script(server: World) -> None:
    boot = Boot(server)
    boot.log_in()
    made = [text for text in server.client.set_cookies if "pykexec-" in text]
    assert len(made) >= 2
    for text in made:
        attributes = {part.strip().lower() for part in text.split(";")[1:]}
        assert {"httponly", "secure", "path=/", "samesite=lax"} <= attributes


@pytest.mark.parametrize(
    ("login", "words"), [("carl", "none of the groups"), ("dora", "does not say which groups")]
)
def test_who_may_not_approve_is_told_why_and_that_is_kept(
    server: World, login: str, words: str
) -> None:
    boot = Boot(server)
    answer = boot.decide(boot.log_in(login))
    assert answer.status == 403 and words in answer.text
    assert boot.poll().pending
    (entry,) = server.store.audit_entries(action="approval.not-counted")
    assert entry.actor == f"person:{login}" and words in str(entry.detail["reason"])


def test_who_has_asked_logs_in_again_and_may_not_approve(server: World) -> None:
    boot = Boot(server, "requester = true")
    assert "Asked." in boot.decide(boot.log_in(), reason="new disk").text
    answer = boot.decide(boot.log_in())
    assert answer.status == 403 and "who has asked cannot approve" in answer.text
    assert boot.poll().pending
    assert "The machine goes on" in boot.decide(boot.log_in("bob")).text
    assert boot.poll().release


def test_guesses_are_slowed_down_and_then_locked(tmp_path: Path, provider: RunningProvider) -> None:
    options = replace(UNLIMITED, failures=Rate(0.001, 3))
    with world(tmp_path, options, people=provider.settings) as server:
        boot = Boot(server)
        shown = boot.log_in()
        for _ in range(3):
            assert "more tries" in boot.decide(shown, "BBBB-BBBB").text
        assert boot.decide(shown, "BBBB-BBBB").status == 429
        assert boot.decide(shown).status == 429
        server.client.peer = "192.0.2.8"
        boot.decide(shown, "BBBB-BBBB")
        assert "no other try" in boot.decide(shown, "BBBB-BBBB").text
        reply = boot.poll()
        assert [finding.code for finding in reply.verdict.reasons] == ["approval.locked"]


def test_who_is_not_let_in_is_told_and_kept(server: World) -> None:
    boot = Boot(server)
    client = boot.browser()
    client.get(f"{boot.page}/login")
    assert server.web.provider
    state = "x"
    answer = client.get(f"/approve/callback?state={state}&error=access_denied")
    assert answer.status == 403
    assert server.store.audit_entries(action="approval.login-failed")


def test_nobody_comes_back_who_has_not_begun(server: World) -> None:
    Boot(server).browser()
    answer = server.client.get("/approve/callback?state=x&code=y")
    assert answer.status == 400 and "has begun no login" in answer.text


def test_a_provider_that_is_down_loses_nothing(tmp_path: Path) -> None:
    with oidc_provider.running() as running, world(tmp_path, people=running.settings) as server:
        boot = Boot(server)
        running.stop()
        answer = boot.browser().get(f"{boot.page}/login")
        assert answer.status == 503 and "Nothing is lost" in answer.text
        assert boot.poll().pending


def test_a_server_without_a_provider_says_so(tmp_path: Path) -> None:
    with world(tmp_path) as server:
        answer = server.client.get("/approve")
        assert answer.status == 404 and "no login service" in answer.text


def test_nothing_waits_behind_a_made_up_reference(server: World) -> None:
    answer = server.client.get("/approve/made-up")
    assert answer.status == 404 and "waits no more" in answer.text
