# SPDX-License-Identifier: Apache-2.0
"""Quarantine by the admin API and its command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pykexec.errors import UsageError
from tests.support.admin_commands import run
from tests.support.attest_machine import Machine
from tests.support.server_world import World, world

V1 = "/admin/v1/quarantine"
TAG = {"target": "tag:rack=7", "reason": "the cage was open"}


@pytest.fixture(name="server")
def server_fixture(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as found:
        yield found


def test_what_is_put_is_listed_and_lifted_once(server: World) -> None:
    token = server.tokens["operator"]
    made = server.client.send_json("POST", V1, TAG, token)
    assert (made.status, made.json["target"], made.json["created_by"]) == (
        201, "tag:rack=7", "token:operator",
    )  # fmt: skip
    assert server.client.send_json("POST", V1, TAG, token).status == 409
    listed = server.client.request("GET", V1, token=server.tokens["viewer"])
    assert listed.json == {"quarantine": [made.json]}
    assert server.client.send_json("POST", f"{V1}/lift", TAG, token).status == 204
    assert server.client.send_json("POST", f"{V1}/lift", TAG, token).status == 404


@pytest.mark.parametrize("path", [V1, f"{V1}/lift"])
def test_a_viewer_only_looks(server: World, path: str) -> None:
    assert server.client.send_json("POST", path, TAG, server.tokens["viewer"]).status == 403


@pytest.mark.parametrize(
    ("target", "status"),
    [("rack=7", 400), ("tag:rack", 422), (f"machine:{'0' * 64}", 404), ("machine:web-1", 404)],
)
def test_what_is_no_target_is_said(server: World, target: str, status: int) -> None:
    token = server.tokens["operator"]
    assert server.client.send_json("POST", V1, {"target": target}, token).status == status


def test_the_command_names_machines_as_people_do(
    server: World, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = Machine()
    server.attest(machine)
    server.store.set_name(server.known(machine).id, "web-1", "operator:test")
    assert run(server, "quarantine", "put", "web-1", "--reason", "worm", role="operator") == 0
    capsys.readouterr()
    assert run(server, "quarantine", "list", role="viewer") == 0
    assert f"machine:{machine.fingerprint}" in capsys.readouterr().out
    with pytest.raises(UsageError, match="a MACHINE, or --tag"):
        run(server, "quarantine", "put", "web-1", "--tag", "a=b")
    assert run(server, "quarantine", "lift", "web-1") == 0
    assert run(server, "quarantine", "list") == 0
    assert capsys.readouterr().out == ""
