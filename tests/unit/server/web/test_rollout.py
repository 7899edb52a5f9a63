# SPDX-License-Identifier: Apache-2.0
"""Roll-outs by the admin API, its commands and the page; and policies tried on kept evidence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pykexec.errors import UsageError
from tests.support.admin_commands import run
from tests.support.attest_machine import Machine
from tests.support.server_world import ACTOR, ANY_IMAGE, World, world

NETWORK = '[networks]\nn = ["{}"]\n[origin]\nnetworks = ["n"]\n'
ELSEWHERE = ANY_IMAGE + NETWORK.format("198.51.100.0/24")
HERE = ANY_IMAGE + NETWORK.format("192.0.2.0/24")
MORNING = '[[windows]]\nname = "m"\nzone = "UTC"\nfrom = "08:00"\nto = "09:00"\n'
RATE = '[[rates]]\nname = "all"\ncount = 5\nwithin_s = 60\n'


@pytest.fixture(name="server")
def server_fixture(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as found:
        settings = replace(found.store.settings(), keep_evidence="always")
        found.store.set_settings(settings, ACTOR)
        yield found


def booted(server: World, name: str, count: int = 1) -> Machine:
    machine = Machine(name)
    for _ in range(count):
        assert server.attest(machine)[1].verdict.accepted
        machine.reboot()
    server.store.set_name(server.known(machine).id, name, ACTOR)
    return machine


def file(tmp_path: Path, text: str) -> str:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    return str(path)


def test_a_policy_is_tried_on_what_was_kept(
    server: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("web-1", "web-2"):
        booted(server, name)
    server.store.set_settings(replace(server.store.settings(), keep_evidence="never"), ACTOR)
    booted(server, "web-3")
    before = server.store.verify_audit().entries
    assert run(server, "rollout", "try", "any", file(tmp_path, ELSEWHERE), role="operator") == 1
    said = capsys.readouterr().out
    assert said.startswith("would refuse 2 of 3:\n")
    assert "policy.origin: 192.0.2.7 is not in n" in said
    assert "nothing is known of 1" in said
    assert run(server, "rollout", "try", "any", file(tmp_path, HERE)) == 0
    assert "would refuse 0 of 3\n" in capsys.readouterr().out
    assert server.store.verify_audit().entries == before
    assert server.store.policy("any").version == 1, "nothing was changed"


@pytest.mark.parametrize(
    ("text", "options", "code"),
    [
        (HERE, ("--address", "198.51.100.1"), 1),
        (ANY_IMAGE + MORNING, ("--time", "2026-12-24T08:30+00:00"), 0),
        (ANY_IMAGE + MORNING, ("--time", "2026-12-24T08:30+01:00"), 1),
        (ANY_IMAGE + RATE, ("--released", "all=4"), 0),
        (ANY_IMAGE + RATE, ("--released", "all=5"), 1),
    ],
)
def test_a_trial_can_be_given_time_place_and_rate(
    server: World, tmp_path: Path, text: str, options: tuple[str, ...], code: int
) -> None:
    booted(server, "web-1")
    assert run(server, "rollout", "try", "any", file(tmp_path, text), *options) == code


def test_a_trial_takes_all_machines_whatever_a_page_holds(
    server: World,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pykexec.cli.server_rollout._PAGE", 2)
    for number in range(4):
        booted(server, f"web-{number}")
    run(server, "rollout", "try", "any", file(tmp_path, ELSEWHERE))
    assert "would refuse 4 of 4:" in capsys.readouterr().out


@pytest.mark.parametrize("time", ["noon", "2026-12-24T08:30"])
def test_a_time_that_is_none_is_said(server: World, tmp_path: Path, time: str) -> None:
    with pytest.raises(UsageError, match=r"body\.time"):
        run(server, "rollout", "try", "any", file(tmp_path, HERE), "--time", time)


def test_a_roll_out_by_commands(
    server: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = booted(server, "web-1")

    def say(*words: str) -> str:
        assert run(server, "rollout", *words) == 0
        return capsys.readouterr().out

    assert say("draft", "any", file(tmp_path, ELSEWHERE)) == "any: version 2 is a draft\n"
    assert server.attest(machine)[1].verdict.accepted
    shown = say("show", "any")
    assert "any: version 1 counts\nversion 2 is a draft, and counts for nobody\n" in shown
    assert "would refuse 1 of 1:\n  web-1, by its attestation of" in shown
    assert "counts for ring=0, 5 %" in say("canary", "any", "--tag", "ring=0", "--share", "5")
    assert "version 1 is pinned for machine:" in say("pin", "any", "web-1", "--version", "1")
    assert say("promote", "any").startswith("any: version 2 counts\n")
    assert "pinned" not in say("unpin", "any", "web-1")
    machine.reboot()
    assert not server.attest(machine)[1].verdict.accepted
    assert say("back", "any", "--reason", "it refuses").startswith("any: version 1 counts\n")
    with pytest.raises(UsageError, match="any has no draft"):
        run(server, "rollout", "promote", "any")
    say("draft", "any", file(tmp_path, HERE))
    assert say("abandon", "any") == "any: version 1 counts\n"


CHANGES = [
    ("PUT", "draft", {"text": HERE}),
    ("DELETE", "draft", None),
    ("PUT", "canary", {"share": 5}),
    ("POST", "activate", {"version": 1}),
    ("POST", "pins", {"target": "tag:a=b", "version": 1}),
]


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
def test_an_operator_who_is_no_administrator_changes_none(
    server: World, method: str, path: str, body: dict[str, object] | None
) -> None:
    target = f"/admin/v1/policies/any/{path}"
    answer = server.client.send_json(method, target, body, server.tokens["operator"])
    assert answer.status == 403, answer.text


def test_a_draft_is_checked_as_what_counts_is(server: World) -> None:
    booted(server, "web-1")
    rule = '[[rules]]\nname = "r"\nexpression = "evidence.nothing == 1"\n'
    for text in ("version = 1\n", ANY_IMAGE + rule):
        body = {"text": text}
        path = "/admin/v1/policies/any/draft"
        assert server.client.send_json("PUT", path, body, server.tokens["admin"]).status == 422
    assert server.store.policy("any").version == 1


def test_the_page_shows_what_counts_and_what_a_draft_would_do(
    server: World, tmp_path: Path
) -> None:
    machine = booted(server, "web-1")
    run(server, "rollout", "draft", "any", file(tmp_path, ELSEWHERE))
    run(server, "rollout", "canary", "any", "--tag", "ring=<b>", "--share", "5")
    server.attest(machine)
    server.sign_in("viewer")
    listed = server.client.get("/policies").text
    assert "version 1" in listed and "draft" in listed and "ring=&lt;b&gt;" in listed
    shown = server.client.get("/policies/any").text
    assert "would refuse <b>1</b> of 1" in shown and "policy.origin" in shown
    assert "web-1" in shown and "ring=<b>" not in shown
    assert "version 1 of it, not this one" in shown
