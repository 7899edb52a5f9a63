# SPDX-License-Identifier: Apache-2.0
"""Attestations over HTTP: verdicts and their statuses, and what strangers can and cannot cause."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pykexec.attest import decode, protocol
from pykexec.attest.protocol import ATTESTATIONS_PATH, CHALLENGES_PATH, Evidence
from pykexec.server import quotas
from pykexec.server.store.records import Health
from pykexec.server.store.store import Store
from pykexec.server.web.limits import Rate
from pykexec.server.web.peer import parse_networks
from tests.support.attest_machine import Machine
from tests.support.server_world import ACTOR, KEY, UNLIMITED, World, world


@pytest.fixture(name="server")
def server_fixture(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as found:
        yield found


@pytest.fixture(name="machine")
def machine_fixture(server: World) -> Machine:
    """Enrolled by its certificate; it has a secret, and has booted anew."""
    machine = Machine()
    server.attest(machine)
    machine_id = server.known(machine).id
    server.store.put_secret(machine_id, "root", "luks-key", {"file": "k"}, KEY, ACTOR)
    machine.reboot()
    return machine


def codes(body: bytes) -> list[str]:
    return [finding.code for finding in decode.parse_attest_reply(body).verdict.reasons]


def state(server: World) -> tuple[object, ...]:
    """What a refused request must not change."""
    store = server.store
    return store.verify_audit(), store.machine_counts(), store.attestations()


def test_a_machine_is_given_what_it_can_open(server: World, machine: Machine) -> None:
    challenge = server.challenge(machine)
    answer = server.post(ATTESTATIONS_PATH, machine.attest_request(challenge).encode())
    assert answer.status == 200
    (opened,) = machine.open_release(challenge, decode.parse_attest_reply(answer.body))
    assert opened.value == KEY


def test_an_answer_counts_once(server: World, machine: Machine) -> None:
    body = machine.attest_request(server.challenge(machine)).encode()
    first = server.post(ATTESTATIONS_PATH, body)
    assert first.status == 200
    assert server.post(ATTESTATIONS_PATH, body).body == first.body, "in case it was lost"
    before = state(server)
    again = server.post(ATTESTATIONS_PATH, body)
    assert (again.status, codes(again.body)) == (200, ["challenge.replayed"])
    assert state(server) == before


def test_a_refusal_has_all_its_reasons(server: World, machine: Machine) -> None:
    body = machine.attest_request(server.challenge(machine), spoil=_cut_log).encode()
    answer = server.post(ATTESTATIONS_PATH, body)
    assert answer.status == 200 and answer.header("content-type") == "application/json"
    assert any(code.startswith("log.") for code in codes(answer.body))
    assert "release" not in answer.json


def _cut_log(evidence: Evidence) -> Evidence:
    return replace(evidence, event_log=evidence.event_log[:-40])


def test_a_retired_machine_is_refused_for_good(server: World, machine: Machine) -> None:
    path = f"/admin/v1/machines/{machine.fingerprint}"
    admin = server.tokens["admin"]
    assert server.client.send_json("POST", f"{path}/retire", {}, admin).status == 200
    assert server.client.send_json("POST", f"{path}/approve", {}, admin).status == 409
    for _ in range(2):
        answer, reply = server.attest(machine)
        assert (answer.status, reply.release) == (200, None)
        assert "machine.retired" in codes(answer.body)
        machine.reboot()


def test_a_machine_that_waits_is_refused_until_it_is_approved(server: World) -> None:
    machine = Machine("stranger")
    machine.certificates = ()
    answer, _ = server.attest(machine)
    assert "machine.pending" in codes(answer.body)
    path = f"/admin/v1/machines/{machine.fingerprint}/approve"
    assert server.client.send_json("POST", path, {}, server.tokens["operator"]).status == 200
    machine.reboot()
    assert server.attest(machine)[1].verdict.accepted


@pytest.mark.parametrize("path", [CHALLENGES_PATH, ATTESTATIONS_PATH])
@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", {}, 400),
        (b"{}", {}, 400),
        (b"[" * 5000, {}, 400),
        (b"\xff", {}, 400),
        (b'{"version":2}', {}, 400),
        (b"{}", {"content-length": str(9 << 20)}, 413),
        (b"{}", {"content-length": "-1"}, 411),
        (b"{}", {"content-length": "3"}, 400),
        (b"{}", {"content-length": "1"}, 400),
    ],
)
def test_what_is_no_message_is_refused_and_changes_nothing(
    server: World, path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    before = state(server)
    answer = server.client.request("POST", path, body, headers)
    assert answer.status == status
    assert answer.header("content-type") == "application/problem+json"
    assert state(server) == before


def test_a_challenge_request_is_small(server: World) -> None:
    assert server.post(CHALLENGES_PATH, bytes(200 << 10)).status == 413


def test_a_tpm_without_our_banks_is_told_so(server: World) -> None:
    request = replace(Machine().challenge_request(), banks=("sha1",))
    answer = server.post(CHALLENGES_PATH, request.encode())
    assert answer.status == 422 and "sha256" in answer.text


def test_a_key_that_is_none_is_refused(server: World) -> None:
    body = json.loads(Machine().challenge_request().encode())
    body["identity"]["ek_public"] = "AAAA"
    answer = server.client.send_json("POST", CHALLENGES_PATH, body)
    assert answer.status == 400 and "identity" in answer.text


@pytest.mark.parametrize("path", [CHALLENGES_PATH, ATTESTATIONS_PATH])
def test_only_post_is_served(server: World, path: str) -> None:
    answer = server.client.get(path)
    assert (answer.status, answer.header("allow")) == (405, "POST")


def test_each_peer_has_its_rate(tmp_path: Path) -> None:
    with world(tmp_path, replace(UNLIMITED, agents=Rate(0.5, 2))) as server:
        statuses = [server.post(CHALLENGES_PATH, b"{}").status for _ in range(3)]
        refused = server.post(CHALLENGES_PATH, b"{}")
        server.client.peer = "192.0.2.8"
        statuses.append(server.post(CHALLENGES_PATH, b"{}").status)
    assert statuses == [400, 400, 429, 400]
    assert (refused.status, refused.header("retry-after")) == (429, "2")


@pytest.mark.parametrize(
    ("peer", "forwarded", "known_as"),
    [
        ("192.0.2.7", "198.51.100.1", "192.0.2.7"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
    ],
)
def test_only_a_trusted_proxy_says_who_the_peer_is(
    tmp_path: Path, peer: str, forwarded: str, known_as: str
) -> None:
    options = replace(UNLIMITED, proxies=parse_networks(["10.0.0.0/8"]))
    with world(tmp_path, options, peer) as server:
        request = Machine().challenge_request().encode()
        headers = {"x-forwarded-for": forwarded}
        challenge = server.client.request("POST", CHALLENGES_PATH, request, headers)
        machine = Machine()
        body = machine.attest_request(decode.parse_challenge(challenge.body)).encode()
        server.client.request("POST", ATTESTATIONS_PATH, body, headers)
        (attestation,) = server.store.attestations()
    assert attestation.peer == known_as


def test_a_body_that_does_not_come_is_not_waited_for(tmp_path: Path) -> None:
    with world(tmp_path, replace(UNLIMITED, body_patience_s=0.05)) as server:
        server.client.stalls = True
        answer = server.post(ATTESTATIONS_PATH, b"{}")
    assert (answer.status, answer.header("connection")) == (408, "close")


def test_bodies_share_a_budget_which_is_given_back(tmp_path: Path) -> None:
    with world(tmp_path, replace(UNLIMITED, body_budget=1000)) as server:
        for _ in range(6):
            assert server.post(ATTESTATIONS_PATH, bytes(250)).status == 400
        assert server.post(ATTESTATIONS_PATH, bytes(251)).status == 429, "of one address"
        assert server.post(ATTESTATIONS_PATH, bytes(1001)).status == 503
        assert server.post(ATTESTATIONS_PATH, bytes(250)).status == 400


def test_who_sends_nothing_holds_nothing(tmp_path: Path) -> None:
    options = replace(UNLIMITED, body_budget=1000, body_patience_s=0.05)
    with world(tmp_path, options) as server:
        silent = {"content-length": str(8 << 20)}
        server.client.stalls = True
        answer = server.client.request("POST", ATTESTATIONS_PATH, b"", silent)
        assert answer.status == 408
        server.client.stalls = False
        assert server.post(ATTESTATIONS_PATH, bytes(250)).status == 400


@pytest.mark.parametrize(
    ("start", "code"),
    [
        (b'{"version":1,"token":"AAAA","proof":"', "challenge.token"),
        (b'{"proof":"AAAA","version":1,"token":"', "challenge.token"),
        (b"", "challenge.token"),
    ],
)
def test_a_large_body_must_begin_with_a_token_of_ours(
    server: World, start: bytes, code: str
) -> None:
    # Most of it never comes, and is not waited for.
    announced = {"content-length": str(protocol.MESSAGE_MAX)}
    body = start.ljust(quotas.BODY_FREE + 1, b"A")
    answer = server.client.request("POST", ATTESTATIONS_PATH, body, announced, more_body=True)
    assert (answer.status, answer.header("connection")) == (200, "close")
    assert codes(answer.body) == [code]


def test_a_large_body_that_begins_with_a_token_is_read(server: World, machine: Machine) -> None:
    request = machine.attest_request(server.challenge(machine), spoil=_long_log)
    assert len(request.encode()) > 10 * quotas.BODY_FREE
    answer = server.post(ATTESTATIONS_PATH, request.encode())
    assert "challenge.token" not in codes(answer.body)


def _long_log(evidence: Evidence) -> Evidence:
    return replace(evidence, event_log=evidence.event_log + bytes(1 << 20))


def test_a_fault_of_ours_is_a_number_and_no_traceback(
    server: World, caplog: pytest.LogCaptureFixture
) -> None:
    with sqlite3.connect(server.database) as connection:
        connection.execute("UPDATE machines SET name = 'x'")
        connection.execute("DELETE FROM audit_head")
    body = Machine().attest_request(server.challenge(Machine())).encode()
    answer = server.post(ATTESTATIONS_PATH, body)
    assert answer.status == 500
    number = str(answer.json["request"])
    assert number in caplog.text and "Traceback" not in answer.text and ".py" not in answer.text


def test_a_database_that_is_gone_is_to_be_tried_again(server: World) -> None:
    with sqlite3.connect(server.database) as connection:
        connection.execute("DROP TABLE nonces")
    body = Machine().attest_request(server.challenge(Machine())).encode()
    answer = server.post(ATTESTATIONS_PATH, body)
    assert (answer.status, answer.header("retry-after")) == (503, "2")


def test_nothing_of_a_secret_or_message_is_logged(
    server: World, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        challenge = server.challenge(machine)
        answer = server.post(ATTESTATIONS_PATH, machine.attest_request(challenge).encode())
    assert answer.status == 200
    assert f"POST {ATTESTATIONS_PATH} 200" in caplog.text
    release = str(answer.json["release"])
    for text in (KEY.decode(), KEY.hex(), release, challenge.token, challenge.nonce.hex()):
        assert text not in caplog.text


def test_metrics_count_verdicts_and_codes(server: World, machine: Machine) -> None:
    request = machine.attest_request(server.challenge(machine)).encode()
    for _ in range(3):
        server.post(ATTESTATIONS_PATH, request)
    assert server.client.get("/metrics").status == 401
    text = server.client.get("/metrics", server.tokens["viewer"]).text
    for line in (
        'pykexec_attestations_total{result="accepted"} 3',
        'pykexec_attestations_total{result="refused"} 1',
        'pykexec_findings_total{code="challenge.replayed"} 1',
        "pykexec_releases_total 2",
        'pykexec_requests_total{route="attestations",status="200"} 4',
        'pykexec_machines{state="enrolled"} 1',
        "pykexec_ready 1",
    ):
        assert f"{line}\n" in text


def test_health_says_no_more_than_that_to_strangers(
    server: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server.client.get("/healthz").json == {"status": "ok"}
    assert server.client.get("/readyz").json == {"status": "ok"}
    with sqlite3.connect(server.database) as connection:
        connection.execute("DROP TABLE audit_head")
        connection.execute("DROP TABLE store_key")
    assert server.client.get("/healthz").status == 200
    monkeypatch.setattr(quotas, "READY_EVERY_S", 0.0)
    unready = server.client.get("/readyz")
    assert (unready.status, unready.json) == (503, {"status": "fault"})


def test_a_database_that_cannot_be_written_is_not_ready(server: World) -> None:
    with sqlite3.connect(server.database) as connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE INSERT ON nonces "
            "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        )
    assert server.client.get("/readyz").status == 503


def test_many_who_ask_whether_it_is_ready_ask_the_database_once(
    server: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Health] = []
    look = Store.health

    def counted(store: Store) -> Health:
        looks.append(look(store))
        return looks[-1]

    monkeypatch.setattr(Store, "health", counted)
    assert {server.client.get("/readyz").status for _ in range(5)} == {200}
    assert len(looks) == 1
