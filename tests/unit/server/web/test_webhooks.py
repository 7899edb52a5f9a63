# SPDX-License-Identifier: Apache-2.0
"""Webhooks by the admin API and its command, and what the server tells by them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pykexec.errors import UsageError
from pykexec.server.expiry import Ending, Expiry, announce
from pykexec.server.store.webhooks import Webhooks
from pykexec.server.webhooks.settings import WebhookSettings
from tests.support.admin_commands import run
from tests.support.receivers import Receiver, receiving
from tests.support.server_world import ACTOR, UNLIMITED, World, world

V1 = "/admin/v1/webhooks"
HERE = replace(UNLIMITED, webhooks=WebhookSettings(http=True, loopback=True))


@pytest.fixture(name="server")
def server_fixture(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, HERE) as found:
        yield found


@pytest.fixture(name="receiver")
def receiver_fixture() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def body(receiver: Receiver, **more: object) -> dict[str, object]:
    return {"name": "pager", "address": f"{receiver.address}/hook/sesame", **more}


def test_the_secret_is_told_once_and_the_address_never(server: World, receiver: Receiver) -> None:
    token = server.tokens["admin"]
    answer = server.client.send_json("POST", V1, body(receiver, events=["refusal"]), token)
    assert answer.status == 201
    made = answer.json
    secret = made.pop("secret")
    assert re.fullmatch("whsec_[A-Za-z0-9+/]{43}=", str(secret))
    assert (made["origin"], made["events"]) == (receiver.address, ["refusal"])
    listed = server.client.request("GET", V1, token=server.tokens["viewer"])
    assert listed.json == {"webhooks": [made]} and made["state"] == "ok"
    assert "sesame" not in answer.text + listed.text and str(secret) not in listed.text
    assert server.client.send_json("POST", V1, body(receiver), token).status == 409
    entry = server.store.audit_entries(action="webhook.add")[0]
    assert entry.detail == {"events": ["refusal"]}


@pytest.mark.parametrize("role", ["viewer", "operator"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", V1), ("POST", f"{V1}/x/test"), ("POST", f"{V1}/x/resume"), ("DELETE", f"{V1}/x")],
)
def test_only_an_administrator_says_who_is_told(
    server: World, receiver: Receiver, role: str, method: str, path: str
) -> None:
    token = server.tokens[role]
    assert server.client.send_json(method, path, body(receiver), token).status == 403


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"address": "ftp://example.org/"}, 422),
        ({"address": "https://169.254.169.254/"}, 422),
        ({"address": "https://example.org/ x"}, 400),
        ({"events": []}, 422),
        ({"events": ["everything"]}, 400),
        ({"name": "../x"}, 400),
    ],
)
def test_what_is_no_webhook_is_said(
    server: World, receiver: Receiver, change: dict[str, object], status: int
) -> None:
    found = server.client.send_json("POST", V1, body(receiver, **change), server.tokens["admin"])
    assert found.status == status, found.text


def test_who_has_a_token_alone_cannot_reach_this_host(tmp_path: Path, receiver: Receiver) -> None:
    with world(tmp_path) as server:
        token = server.tokens["admin"]
        answer = server.client.send_json("POST", V1, body(receiver), token)
        assert (answer.status, "http:// only where --webhooks allows" in answer.text) == (422, True)
        named = receiver.address.replace("http", "https").replace("127.0.0.1", "localhost")
        assert server.client.send_json(
            "POST", V1, {"name": "pager", "address": named}, token
        ).status == 201  # fmt: skip
        tried = server.client.request("POST", f"{V1}/pager/test", token=token)
        assert tried.json["taken"] is False and "on this very host" in str(tried.json["answer"])
        assert receiver.messages == []


def test_the_commands(
    server: World, receiver: Receiver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "url").write_text(f"{receiver.address}/sesame\n")
    files = ("--address-file", str(tmp_path / "url"), "--secret-file", str(tmp_path / "secret"))
    assert run(server, "webhook", "add", "pager", *files, "--event", "refusal") == 0
    secret = (tmp_path / "secret").read_text().strip()
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    with pytest.raises(UsageError, match="is there already"):
        run(server, "webhook", "add", "other", *files)
    assert run(server, "webhook", "test", "pager") == 0
    (message,) = receiver.messages
    assert message.json["type"] == "webhook.test" and message.is_signed(secret)
    receiver.answer = lambda _number: 500
    assert run(server, "webhook", "test", "pager") == 1
    assert run(server, "webhook", "list", role="viewer") == 0
    assert run(server, "webhook", "resume", "pager", "--skip") == 0
    assert run(server, "webhook", "remove", "pager") == 0
    said = capsys.readouterr().out
    assert "not taken: status 500" in said
    assert secret not in said and "sesame" not in said
    with pytest.raises(UsageError, match="no webhook"):
        run(server, "webhook", "remove", "pager")


def test_figures_tell_of_those_that_do_not_listen(server: World, receiver: Receiver) -> None:
    hooks = Webhooks(server.store.database, server.store.keys)
    made = hooks.add("pager", receiver.address, ["refusal"], ACTOR)
    hooks.move(made, stopped=made.due)
    text = server.client.request("GET", "/metrics", token=server.tokens["viewer"]).text
    assert 'pykexec_webhooks{state="stopped"} 1\n' in text
    assert 'pykexec_webhooks{state="ok"} 0\n' in text


class Fixed(Expiry):
    """Ends as it is told to."""

    def __init__(self, *endings: Ending) -> None:
        self.fixed = endings

    def endings(self, now: datetime) -> tuple[Ending, ...]:
        """Those."""
        return self.fixed


def test_what_ends_is_told_once_for_each_time_before(server: World) -> None:
    now = datetime.now(UTC)
    expiry = Fixed(
        Ending("token", "cron", now + timedelta(days=20), "the API token counts no more"),
        Ending("token", "later", now + timedelta(days=60), "the API token counts no more"),
        Ending("certificate", "/x.pem", now, "cannot be read: x"),
    )
    assert announce(server.store, expiry, now) == 2
    assert announce(server.store, expiry, now) == 0
    assert announce(server.store, expiry, now + timedelta(days=14)) == 2
    assert announce(server.store, expiry, now + timedelta(days=14)) == 0
    entries = server.store.audit_entries(action="expiry.soon", subject="token:cron")
    assert [entry.detail["days"] for entry in entries] == [7, 30]
    assert entries[0].detail["ends"] == f"{now + timedelta(days=20):%Y-%m-%d}"
