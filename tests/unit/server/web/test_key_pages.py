# SPDX-License-Identifier: Apache-2.0
"""The page of a machine's keys: what it tells, and to whom it shows one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pykexec.server.store.machine_keys import MachineKeys, Verdict
from pykexec.server.store.records import KeyPlan, Machine
from tests.support import attest_machine
from tests.support.server_world import ACTOR, World, world

PASSPHRASE = b"correct horse <battery>"


@pytest.fixture(name="server")
def server_fixture(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as found:
        yield found


@pytest.fixture(name="machine")
def machine_fixture(server: World) -> Machine:
    """One whose system has handed in a key, which is proven."""
    simulated = attest_machine.Machine()
    server.attest(simulated)
    known = server.known(simulated)
    keys = MachineKeys(server.store)
    keys.plan(known.id, KeyPlan("disk", "luks-passphrase", {}, 90), ACTOR)
    keys.escrow(known.id, "disk", PASSPHRASE)
    keys.judge(known.id, [Verdict("disk", 1, True, "key slot 0 opens")])
    return known


def test_a_machines_keys_and_who_saw_them_are_told_and_no_value(
    server: World, machine: Machine
) -> None:
    server.sign_in("viewer")
    answer = server.client.get(f"/machines/{machine.fingerprint}/keys")
    assert answer.status == 200
    for words in ("disk", "current", "key slot 0 opens", "every 90 days", "Nobody."):
        assert words in answer.text
    assert "horse" not in answer.text and "Show…" not in answer.text


def test_a_key_is_shown_to_who_says_why_and_is_replaced(server: World, machine: Machine) -> None:
    server.sign_in("operator")
    path = f"/machines/{machine.fingerprint}/keys/disk/reveal"
    asked = server.client.get(path)
    assert "horse" not in asked.text
    shown = server.client.send_form(path, csrf=asked.csrf, person="Ada", reason="call 17")
    assert "correct horse &lt;battery&gt;" in shown.text
    assert shown.header("refresh") == f"300; url=/machines/{machine.fingerprint}/keys"
    assert shown.header("cache-control") == "no-store"
    listed = server.client.get(f"/machines/{machine.fingerprint}/keys").text
    for words in ("to be replaced", "revealed to operator:operator", "Ada", "call 17"):
        assert words in listed


@pytest.mark.parametrize(
    ("role", "fields", "status"),
    [
        ("viewer", {"person": "Ada", "reason": "call 17"}, 403),
        ("operator", {"person": "Ada", "reason": ""}, 400),
        ("operator", {"person": "Ada", "reason": "x", "version": "7"}, 404),
        ("operator", {"csrf": "other", "person": "Ada", "reason": "x"}, 403),
    ],
)
def test_nobody_else_is_shown_anything(
    server: World, machine: Machine, role: str, fields: dict[str, str], status: int
) -> None:
    server.sign_in(role)
    token = server.client.get("/machines").csrf
    path = f"/machines/{machine.fingerprint}/keys/disk/reveal"
    answer = server.client.send_form(path, **{"csrf": token, **fields})
    assert answer.status == status and "horse" not in answer.text
    assert server.store.audit_entries(action="key.reveal") == ()


def test_what_a_system_could_not_replace_is_not_shown(server: World, machine: Machine) -> None:
    server.store.put_secret(machine.id, "other", "file", {"file": "k"}, b"value", ACTOR)
    server.sign_in("admin")
    for name in ("other", "missing"):
        path = f"/machines/{machine.fingerprint}/keys/{name}/reveal"
        assert server.client.get(path).status == 404
