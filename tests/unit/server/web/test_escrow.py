# SPDX-License-Identifier: Apache-2.0
"""A system hands in keys with the token that came beside its key; the agent tries them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pykexec.attest import key_report, protocol
from pykexec.attest.decode import parse_attest_reply
from pykexec.attest.key_report import KeyVerdict
from pykexec.server import escrow
from pykexec.server.web.admin import keys as admin_keys
from pykexec.server.web.limits import Rate
from tests.support.attest_machine import Machine, Opened
from tests.support.server_world import ACTOR, KEY, World, world
from tests.support.web_client import Answer

UUID = "4c4c4544-0042-3510-8058-b7c04f4b4e32"
PASSWORD = "-".join(["000011"] * 8)
KEYS = "/escrow/v1/keys"


@dataclass
class Host:
    """A machine with an operating system, whose agent tries keys."""

    server: World
    machine: Machine

    @property
    def id(self) -> int:
        """The store's number of it."""
        return self.server.known(self.machine).id

    def boot(self) -> dict[tuple[str, str], Opened]:
        """Reboot and attest; what was released, by name and use."""
        self.machine.reboot()
        challenge = self.server.challenge(self.machine)
        answer = self.server.post(
            protocol.ATTESTATIONS_PATH, self.machine.attest_request(challenge).encode()
        )
        released = self.machine.open_release(challenge, parse_attest_reply(answer.body))
        return {(each.name, each.use): each for each in released}

    def report(self, boot: dict[tuple[str, str], Opened], *verdicts: KeyVerdict) -> Answer:
        """The agent says what it found."""
        ticket, key, _ = key_report.parse_rights(boot["report", "report"].value)
        report = key_report.report_of(ticket, key, verdicts)
        return self.server.post(protocol.KEYS_PATH, report.encode())

    def ask(
        self, boot: dict[tuple[str, str], Opened], method: str, path: str = "", body: object = None
    ) -> Answer:
        """The system asks, as the script in the documentation does."""
        token = json.loads(boot[escrow.FILE, ""].value)["token"]
        return send(self.server, token, method, path, body)

    def keys(self, boot: dict[tuple[str, str], Opened]) -> dict[str, dict[str, object]]:
        """What it is told, by name."""
        found = self.ask(boot, "GET").json["keys"]
        assert isinstance(found, list)
        return {each["name"]: each for each in found}


def send(
    server: World, token: str, method: str, path: str = "", body: object = None, uuid: str = UUID
) -> Answer:
    """A request with a token."""
    data = b"" if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json", "pykexec-machine": uuid.upper()}
    return server.client.request(method, KEYS + path, data, headers, token)


@pytest.fixture(name="server")
def server_fixture(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as found:
        yield found


@pytest.fixture(name="host")
def host_fixture(server: World) -> Host:
    """Enrolled, given a key, with plans for two more."""
    machine = Machine()
    machine.facts["uuid"] = UUID
    machine.tries = True
    server.attest(machine)
    host = Host(server, machine)
    server.store.put_secret(host.id, "disk", "luks-key", {"file": "k"}, KEY, ACTOR)
    plan(server, machine, "disk", "luks-key", file="k")
    plan(server, machine, "recovery", "bitlocker-recovery-password")
    return host


def admin(server: World, method: str, machine: Machine, path: str, body: object = None) -> Answer:
    """As an operator."""
    target = f"/admin/v1/machines/{machine.fingerprint}/keys{path}"
    data = b"" if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    return server.client.request(method, target, data, headers, server.tokens["operator"])


def plan(server: World, machine: Machine, name: str, kind: str, **parameters: str) -> None:
    """Let its system hand in a key."""
    body = {"kind": kind, "parameters": parameters, "rotate_days": 90}
    assert admin(server, "PUT", machine, f"/{name}", body).status == 200


def test_a_key_is_handed_in_proven_used_and_its_predecessor_removed(host: Host) -> None:
    boot = host.boot()
    assert set(boot) == {("disk", ""), (escrow.FILE, ""), ("report", "report")}
    _, _, wanted = key_report.parse_rights(boot["report", "report"].value)
    assert wanted == (("disk", ""),)
    told = host.keys(boot)
    assert (told["disk"]["create"], told["recovery"]["create"]) == (False, True)
    answer = host.ask(boot, "PUT", "/recovery", {"text": PASSWORD})
    assert answer.json == {"version": 1, "stage": "next"}
    assert host.ask(boot, "PUT", "/recovery", {"text": PASSWORD}).json["version"] == 1
    assert (
        admin(host.server, "POST", host.machine, "/disk/rotate", {"reason": "lent out"}).status
        == 200
    )
    told = host.keys(boot)
    assert (told["disk"]["create"], told["disk"]["reason"]) == (True, "lent out")
    assert host.ask(boot, "PUT", "/disk", {"value": "bmV3IGtleQ"}).json["version"] == 2

    boot = host.boot()
    assert boot["disk", ""].value == KEY and boot["disk", "try"].value == b"new key"
    assert boot["recovery", "try"].value.decode() == PASSWORD
    report = host.report(
        boot,
        KeyVerdict("disk", "", True, "key slot 0"),
        KeyVerdict("disk", "try", True, "key slot 1"),
        KeyVerdict("recovery", "try", None, "no such volume"),
    )
    assert (report.status, report.json) == (200, {"version": 1})
    assert host.keys(boot)["disk"]["remove"] is None, "this boot was given the old one"
    assert host.ask(boot, "POST", "/disk/removed", {"version": 1}).status == 409

    boot = host.boot()
    assert boot["disk", ""].value == b"new key" and ("disk", "try") not in boot
    _, _, wanted = key_report.parse_rights(boot["report", "report"].value)
    assert wanted == (("recovery", "try"),), "what was proven lately is not tried again"
    assert host.keys(boot)["disk"]["remove"] == 1
    assert host.ask(boot, "POST", "/disk/removed", {"version": 1}).status == 200
    assert host.keys(boot)["disk"]["remove"] is None
    assert host.server.store.verify_audit().faults == ()


def test_an_attester_of_before_is_given_nothing_that_it_does_not_know(host: Host) -> None:
    host.ask(host.boot(), "PUT", "/recovery", {"text": PASSWORD})
    host.machine.tries = False
    assert set(host.boot()) == {("disk", ""), (escrow.FILE, "")}


def test_who_has_no_plan_or_no_key_is_given_no_token(host: Host) -> None:
    for name in ("disk", "recovery"):
        assert admin(host.server, "DELETE", host.machine, f"/{name}").status == 204
    assert set(host.boot()) == {("disk", "")}
    plan(host.server, host.machine, "disk", "luks-key")
    host.server.store.revoke_secret(host.id, "disk", ACTOR)
    assert host.boot() == {}


@pytest.mark.parametrize(
    ("body", "status", "fault"),
    [
        ({"text": PASSWORD.replace("000011", "000012", 1)}, 422, "group 1 is mistyped"),
        ({"text": PASSWORD[:-7]}, 422, "8 groups of 6 digits"),
        ({"text": PASSWORD, "value": "AAAA"}, 400, "text or value"),
        ({}, 400, "text or value"),
        ({"value": "A"}, 400, "body.value"),
        ({"text": "x" * 600}, 400, "600 characters"),
        ({"other": 1}, 400, "unknown key"),
    ],
)
def test_what_is_no_key_is_refused_in_words(
    host: Host, body: dict[str, object], status: int, fault: str
) -> None:
    boot = host.boot()
    answer = host.ask(boot, "PUT", "/recovery", body)
    assert answer.status == status and fault in str(answer.json["detail"])
    assert PASSWORD[:13] not in answer.text
    assert host.keys(boot)["recovery"]["generations"] == []


def test_a_token_is_for_one_boot(host: Host) -> None:
    boot = host.boot()
    assert host.ask(boot, "GET").status == 200
    host.boot()
    refused = host.ask(boot, "PUT", "/recovery", {"text": PASSWORD})
    assert (refused.status, refused.json["detail"]) == (401, "the token is of another boot")
    (entry,) = host.server.store.audit_entries(action="escrow.refused")
    assert entry.detail["reason"] == "the token is of another boot"


def test_a_token_is_for_one_machine(host: Host) -> None:
    token = json.loads(host.boot()[escrow.FILE, ""].value)["token"]
    for uuid in ("", UUID.replace("4c", "4d")):
        refused = send(host.server, token, "GET", uuid=uuid)
        assert (refused.status, refused.json["detail"]) == (401, "the token is another machine's")
    assert send(host.server, token, "GET", uuid=UUID).status == 200


def test_a_token_expires(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(escrow, "TOKEN_S", -1)
    refused = host.ask(host.boot(), "GET")
    assert refused.status == 401 and "expired" in str(refused.json["detail"])


def test_a_machine_that_is_refused_hands_nothing_in(host: Host) -> None:
    boot = host.boot()
    host.server.store.refuse(host.id, ACTOR)
    refused = host.ask(boot, "PUT", "/recovery", {"text": PASSWORD})
    assert (refused.status, refused.json["detail"]) == (401, "the machine is refused")


@pytest.mark.parametrize("token", ["", "x", "pykexec_escrow_", "pykexec_escrow_AAAA"])
def test_what_is_no_token_of_ours_is_refused_and_leaves_nothing(host: Host, token: str) -> None:
    before = host.server.store.audit_entries(limit=1)
    for method, path in (("GET", ""), ("PUT", "/disk"), ("POST", "/disk/removed")):
        assert send(host.server, token, method, path, {}).status == 401
    assert host.server.store.audit_entries(limit=1) == before
    assert send(host.server, host.server.tokens["admin"], "GET").status == 401


def test_a_systems_token_is_none_for_operators(host: Host) -> None:
    token = json.loads(host.boot()[escrow.FILE, ""].value)["token"]
    assert host.server.client.get("/admin/v1/machines", token).status == 401


def test_only_who_was_given_keys_says_whether_they_fit(host: Host) -> None:
    host.ask(host.boot(), "PUT", "/recovery", {"text": PASSWORD})
    boot = host.boot()
    ticket, key, _ = key_report.parse_rights(boot["report", "report"].value)
    said = KeyVerdict("recovery", "try", True, "")
    forged = key_report.report_of(ticket, bytes(32), [said])
    assert host.server.post(protocol.KEYS_PATH, forged.encode()).status == 403
    token = json.loads(boot[escrow.FILE, ""].value)["token"]
    other = key_report.report_of(token, key, [said])
    assert host.server.post(protocol.KEYS_PATH, other.encode()).status == 403
    told = host.keys(boot)["recovery"]
    assert told["generations"][0]["stage"] == "next"  # type: ignore[index]
    not_given = host.report(boot, KeyVerdict("recovery", "", True, ""))
    assert not_given.status == 400 and "was not given" in str(not_given.json["detail"])
    assert host.report(boot, said).status == 200


def test_a_report_that_comes_late_does_not_count(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = host.boot()
    later = datetime.now(UTC) + timedelta(hours=1)
    monkeypatch.setattr("pykexec.server.web.escrow.datetime", _At(later))
    assert host.report(report, KeyVerdict("disk", "", False, "")).status == 403


class _At:
    """A clock that stands."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self, _: object) -> datetime:
        """Always the same."""
        return self._now


def test_a_help_desk_sees_a_key_with_a_reason_and_it_is_replaced(host: Host) -> None:
    boot = host.boot()
    body = {"person": "Ada", "reason": "call 17"}
    answer = admin(host.server, "POST", host.machine, "/disk/reveal", body)
    assert answer.json == {
        "name": "disk",
        "version": 1,
        "kind": "luks-key",
        "text": KEY.decode(),
        "encoding": "utf-8",
    }
    assert answer.header("cache-control") == "no-store"
    told = host.keys(boot)["disk"]
    assert (told["create"], told["reason"]) == (True, "revealed to token:operator")
    listed = admin(host.server, "GET", host.machine, "")
    assert KEY.decode() not in listed.text
    found = listed.json["seen"]
    assert isinstance(found, list)
    (seen,) = found
    assert (seen["actor"], seen["person"], seen["reason"]) == ("token:operator", "Ada", "call 17")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/disk/reveal", {"person": "Ada", "reason": ""}, 400),
        ("/disk/reveal", {"reason": "because"}, 400),
        ("/disk/reveal", {"person": "Ada", "reason": " "}, 422),
        ("/other/reveal", {"person": "Ada", "reason": "because"}, 409),
        ("/recovery/reveal", {"person": "Ada", "reason": "because"}, 404),
    ],
)
def test_a_reveal_that_does_not_count_shows_nothing(
    host: Host, path: str, body: dict[str, str], status: int
) -> None:
    answer = admin(host.server, "POST", host.machine, path, body)
    assert answer.status == status and KEY.decode() not in answer.text
    assert host.server.store.audit_entries(action="key.reveal") == ()


def test_a_viewer_sees_no_value(host: Host) -> None:
    target = f"/admin/v1/machines/{host.machine.fingerprint}/keys/disk/reveal"
    body = {"person": "Ada", "reason": "because"}
    answer = host.server.client.send_json("POST", target, body, host.server.tokens["viewer"])
    assert answer.status == 403


def test_nobody_sees_a_fleets_keys_in_an_afternoon(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_keys, "REVEALS", Rate(0.001, 1))
    body = {"person": "Ada", "reason": "because"}
    statuses = [
        admin(host.server, "POST", host.machine, "/disk/reveal", body).status for _ in range(2)
    ]
    assert statuses == [200, 429]
