# SPDX-License-Identifier: Apache-2.0
"""Who may use the admin API: every row of its tables asks, and asks for the right role."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pykexec.server.store.records import ROLES
from pykexec.server.web.admin.operations import Operation
from pykexec.server.web.admin.routes import OPERATIONS
from pykexec.server.web.limits import Rate
from tests.support.server_world import ACTOR, UNLIMITED, World, world

STATUS = "/admin/v1/status"


@pytest.fixture(name="server")
def server_fixture(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as found:
        yield found


@pytest.fixture(name="shared", scope="module")
def shared_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """For tests that change nothing."""
    with world(tmp_path_factory.mktemp("server")) as found:
        yield found


def target(operation: Operation) -> str:
    return re.sub("{[^}]*}", "0" * 64, operation.route)


NAMES = [operation.name for operation in OPERATIONS]


def test_every_operation_has_a_name_of_its_own() -> None:
    assert len(set(NAMES)) == len(NAMES) > 30


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
def test_nothing_works_without_a_token(shared: World, operation: Operation) -> None:
    answer = shared.client.request(operation.method, target(operation))
    assert answer.status == 401
    assert answer.header("www-authenticate") == 'Bearer realm="pykexec"'


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
def test_nothing_works_with_a_token_that_was_made_up(shared: World, operation: Operation) -> None:
    token = "pykexec_" + "A" * 43
    assert shared.client.request(operation.method, target(operation), token=token).status == 401


@pytest.mark.parametrize(
    "operation", [operation for operation in OPERATIONS if operation.role != "viewer"],
    ids=lambda operation: operation.name,
)  # fmt: skip
def test_a_lesser_role_is_refused(shared: World, operation: Operation) -> None:
    before = shared.store.verify_audit()
    for role in ROLES[: ROLES.index(operation.role)]:
        token = shared.tokens[role]
        answer = shared.client.request(operation.method, target(operation), b"{}", token=token)
        assert answer.status == 403
    assert shared.store.verify_audit() == before


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
def test_the_role_that_is_asked_for_suffices(shared: World, operation: Operation) -> None:
    answer = shared.client.request(
        operation.method, target(operation), b"[]", token=shared.tokens[operation.role]
    )
    assert answer.status not in (401, 403, 500)


@pytest.mark.parametrize("role", ["operator", "admin"])
def test_what_changes_something_is_not_for_viewers(role: str) -> None:
    changing = {o.name for o in OPERATIONS if o.method != "GET" and o.role == "viewer"}
    assert changing == {"checkPolicy"}


@pytest.mark.parametrize(
    "value",
    ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer \xe4", "Bearer " + "A" * 5000, "bearer x y"],
)
def test_a_header_that_holds_no_token_is_refused(server: World, value: str) -> None:
    answer = server.client.request("GET", STATUS, headers={"authorization": value})
    assert answer.status == 401


def test_a_revoked_token_counts_no_more(server: World) -> None:
    _, text = server.store.create_token("t", "viewer", ACTOR)
    assert server.client.get(STATUS, text).status == 200
    path = "/admin/v1/tokens/t"
    assert server.client.request("DELETE", path, token=server.tokens["admin"]).status == 200
    assert server.client.get(STATUS, text).status == 401


def test_an_expired_token_counts_no_more(server: World) -> None:
    _, text = server.store.create_token("t", "viewer", ACTOR, datetime.now(UTC) - timedelta(1))
    assert server.client.get(STATUS, text).status == 401


def test_a_token_can_be_made_and_is_told_once(server: World) -> None:
    admin = server.tokens["admin"]
    body = {"name": "ci", "role": "operator", "expires_days": 30}
    made = server.client.send_json("POST", "/admin/v1/tokens", body, admin)
    assert made.status == 201
    text = str(made.json["token"])
    assert server.client.get(STATUS, text).status == 200
    assert text not in server.client.get("/admin/v1/tokens", admin).text
    assert text.encode() not in server.database.read_bytes()


def test_a_session_of_the_page_is_no_right_to_the_api(server: World) -> None:
    server.sign_in("admin")
    assert server.client.get("/machines").status == 200
    assert server.client.get(STATUS).status == 401


def test_guessing_tokens_is_slowed_down(tmp_path: Path) -> None:
    options = replace(UNLIMITED, failures=Rate(0.1, 3))
    with world(tmp_path, options) as server:
        statuses = [server.client.get(STATUS, "pykexec_" + "A" * 43).status for _ in range(5)]
        assert statuses == [401, 401, 401, 429, 429]
        # Who has one is not kept out by others behind the same address.
        assert server.client.get(STATUS, server.tokens["viewer"]).status == 200


def test_whose_token_it_was_is_in_the_audit_trail(server: World) -> None:
    token = server.tokens["admin"]
    body = {"text": 'version = 1\nname = "p"\nallow_any_image = true\n'}
    server.client.send_json("PUT", "/admin/v1/policies/p", body, token)
    (entry,) = server.store.audit_entries(limit=1)
    assert (entry.actor, entry.action, entry.subject) == ("token:admin", "policy.put", "policy:p")


def test_logs_hold_neither_tokens_nor_queries(
    server: World, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        server.client.get("/admin/v1/machines?search=hidden", server.tokens["viewer"])
        server.client.get("/admin/v1/machines?search=hidden", "pykexec_wrong")
    assert "GET /admin/v1/machines 200" in caplog.text
    assert not re.search("hidden|pykexec_", caplog.text)
