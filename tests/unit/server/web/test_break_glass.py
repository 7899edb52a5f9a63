# SPDX-License-Identifier: Apache-2.0
"""The pages by which persons help a machine without a network, with a real provider."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pykexec.attest.answer import Typed
from pykexec.attest.break_glass import PATH, Offer
from pykexec.server.web.limits import Rate
from tests.support import oidc_provider
from tests.support.attest_machine import Machine
from tests.support.break_glass import TABLE
from tests.support.offers import offer, real_ak
from tests.support.oidc_provider import RunningProvider
from tests.support.server_world import ACTOR, ANY_IMAGE, KEY, UNLIMITED, World, world
from tests.support.web_client import Answer


@pytest.fixture(scope="module", name="provider")
def provider_fixture() -> Iterator[RunningProvider]:
    with oidc_provider.running() as found:
        yield found


@pytest.fixture(name="server")
def server_fixture(tmp_path: Path, provider: RunningProvider) -> Iterator[World]:
    with world(tmp_path, people=provider.settings) as found:
        yield found


class Shown:
    """A machine that shows an offer, and persons with browsers of their own."""

    def __init__(self, server: World) -> None:
        self.server, self.machine = server, real_ak(Machine())
        server.store.put_policy("any", ANY_IMAGE + TABLE, ACTOR)
        server.attest(self.machine)
        known = server.known(self.machine)
        server.store.put_secret(known.id, "root", "luks-key", {"file": "k"}, KEY, ACTOR)
        self.machine.reboot()
        self.offer: Offer = offer(self.machine)

    def bring(self) -> str:
        """From the QR code to the page where one logs in."""
        client = self.server.client
        client.cookies.clear()
        page = client.get(f"{PATH}{self.offer.encode()}")
        assert page.status == 200 and self.offer.encode() in page.text
        answer = client.send_form("/break-glass", offer=self.offer.encode())
        assert answer.status == 303, answer.text
        return answer.header("location")

    def approve(self, login: str) -> Answer:
        """All that one person does."""
        client, page = self.server.client, self.bring()
        begun = client.get(f"{page}/login")
        assert self.server.web.provider
        settings = self.server.web.provider.settings
        back = oidc_provider.log_in(settings, begun.header("location"), login)
        client.get(back.removeprefix(oidc_provider.ADDRESS))
        shown = client.get(page)
        assert "no network" in shown.text
        fields = {"code": self.offer.code, "decision": "approve", "reason": "cable cut"}
        answer = client.send_form(page, csrf=shown.csrf, **fields)
        assert answer.status == 303, answer.text
        return client.get(answer.header("location"))

    @property
    def page(self) -> str:
        """Of the answer."""
        return f"/break-glass/{self.offer.reference}"


def figures(server: World) -> str:
    """What an alarm looks at."""
    return server.web.metrics.render()


def test_two_persons_see_the_answer_once_both_have_approved(server: World) -> None:
    shown = Shown(server)
    assert "It still takes: 1 more" in shown.approve("anna").text
    enough = shown.approve("bob")
    assert "Give the answer" in enough.text
    given = server.client.send_form(shown.page, csrf=enough.csrf)
    groups = [
        line.split("<code>")[1].split("<")[0]
        for line in given.text.splitlines()
        if "<code>" in line
    ]
    typed = Typed()
    assert [typed.take(group) for group in groups] == [""] * len(groups) and typed.is_whole
    assert server.client.get(shown.page).text.count("<code>") == len(groups)
    for result in ("asked", "released"):
        assert f'pykexec_break_glass_total{{result="{result}"}}' in figures(server)


def test_a_link_that_is_looked_at_in_advance_asks_nobody(server: World) -> None:
    shown = Shown(server)
    server.client.get(f"{PATH}{shown.offer.encode()}")
    assert server.store.audit_entries(action="approval.ask") == ()


def test_one_person_does_not_get_the_answer_by_asking_for_it(server: World) -> None:
    shown = Shown(server)
    page = shown.approve("anna")
    login = server.client.get(f"/approve/{shown.offer.reference}")
    answer = server.client.send_form(shown.page, csrf=login.csrf if "csrf" in login.text else "")
    assert answer.status == 403
    assert "<code>" not in answer.text and "<code>" not in page.text
    assert server.store.audit_entries(action="break-glass.released") == ()


def test_who_has_not_approved_sees_no_answer(server: World) -> None:
    shown = Shown(server)
    shown.approve("anna")
    enough = shown.approve("bob")
    server.client.send_form(shown.page, csrf=enough.csrf)
    server.client.cookies.clear()
    answer = server.client.get(shown.page)
    assert answer.status == 403 and "<code>" not in answer.text
    assert server.client.send_form(shown.page, csrf=enough.csrf).status == 403


def test_a_form_of_another_site_or_login_gives_nothing(server: World) -> None:
    shown = Shown(server)
    shown.approve("anna")
    enough = shown.approve("bob")
    cross = {"sec-fetch-site": "cross-site"}
    assert server.client.send_form(shown.page, cross, csrf=enough.csrf).status == 403
    assert server.client.send_form(shown.page, csrf="0" * 64).status == 403
    text = shown.offer.encode()
    assert server.client.send_form("/break-glass", cross, offer=text).status == 403
    assert server.store.audit_entries(action="break-glass.released") == ()


@pytest.mark.parametrize("text", ["", "AAAA", "x" * 4000, "<script>"])
def test_what_is_no_offer_is_told_in_words(server: World, text: str) -> None:
    answer = server.client.send_form("/break-glass", offer=text)
    assert answer.status == 400 and "not what the machine shows" in answer.text
    assert "<script>" not in answer.text


def test_a_machine_that_nobody_knows_is_refused_and_counted(server: World) -> None:
    stranger = offer(real_ak(Machine("stranger")))
    answer = server.client.send_form("/break-glass", offer=stranger.encode())
    assert answer.status == 403 and "Nobody is asked" in answer.text
    assert 'pykexec_break_glass_total{result="refused"} 1' in figures(server)


def test_who_brings_many_has_to_wait(tmp_path: Path, provider: RunningProvider) -> None:
    options = replace(UNLIMITED, failures=Rate(0.001, 2))
    with world(tmp_path, options, people=provider.settings) as server:
        found = [server.client.send_form("/break-glass", offer="AAAA").status for _ in range(4)]
    assert found == [400, 400, 429, 429]


def test_there_is_a_page_for_who_has_no_camera(server: World) -> None:
    assert "<textarea" in server.client.get("/break-glass").text


def test_an_operator_rehearses_it_and_a_viewer_does_not(server: World) -> None:
    shown = Shown(server)
    path = f"/admin/v1/machines/{shown.machine.fingerprint}/break-glass/rehearse"
    answers = {}
    for role in ("viewer", "operator"):
        head = {"authorization": f"Bearer {server.tokens[role]}"}
        answers[role] = server.client.request("POST", path, b"", head)
    assert answers["viewer"].status == 403
    found = answers["operator"].json
    assert found["ok"] is False
    assert [check["ok"] for check in found["checks"]] == [True, True, True, True, False]  # type: ignore[attr-defined]
    (entry,) = server.store.audit_entries(action="break-glass.rehearse")
    assert entry.detail["missing"] == ["persons"]
