# SPDX-License-Identifier: Apache-2.0
"""What the admin API does, and that secrets go in and never come back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from pykexec.attest.fields import base64url
from pykexec.server.web.admin.routes import OPERATIONS
from tests.support import attest_ca
from tests.support.attest_machine import Machine
from tests.support.server_world import ANY_IMAGE, KEY, World, world
from tests.support.web_client import Answer

V1 = "/admin/v1"
NOBODY = "0" * 64


@pytest.fixture(name="server")
def server_fixture(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as found:
        yield found


def call(server: World, method: str, path: str, body: object = None) -> Answer:
    token = server.tokens["admin"]
    if body is None:
        return server.client.request(method, V1 + path, token=token)
    return server.client.send_json(method, V1 + path, body, token)


def one(answer: Answer, key: str) -> dict[str, object]:
    """The only entry of a list."""
    entries = answer.json[key]
    assert isinstance(entries, list) and len(entries) == 1
    found: dict[str, object] = entries[0]
    return found


def added(server: World, name: str = "m") -> str:
    """The fingerprint of a machine that was enrolled by hand."""
    public = Machine(name).ek_public
    made = call(server, "POST", "/machines", {"ek_public": base64url(public), "policy": "any"})
    assert made.status == 201, made.text
    return str(made.json["fingerprint"])


def with_secret(server: World, fingerprint: str, value: bytes = KEY) -> Answer:
    body = {"kind": "luks-key", "value": base64url(value), "parameters": {"file": "k"}}
    return call(server, "PUT", f"/machines/{fingerprint}/secrets/root", body)


def test_a_machine_can_be_enrolled_before_its_first_boot(server: World) -> None:
    fingerprint = added(server)
    found = call(server, "GET", f"/machines/{fingerprint}").json
    assert (found["state"], found["enrolled_by"], found["policy"]) == (
        "enrolled", "operator", "any",
    )  # fmt: skip
    assert found["fingerprint"] == hashlib.sha256(Machine("m").ek_public).hexdigest()


def test_a_machine_is_enrolled_once(server: World) -> None:
    added(server)
    public = base64url(Machine("m").ek_public)
    assert call(server, "POST", "/machines", {"ek_public": public}).status == 409


def test_only_an_ek_can_be_enrolled(server: World) -> None:
    answer = call(server, "POST", "/machines", {"ek_public": base64url(Machine("m").ak_public)})
    assert answer.status == 422 and "EK" in answer.text


def test_states_follow_the_operator(server: World) -> None:
    path = f"/machines/{added(server)}"
    assert call(server, "POST", f"{path}/refuse", {"reason": "lost"}).json["state"] == "refused"
    assert call(server, "POST", f"{path}/approve", {}).json["state"] == "enrolled"
    assert call(server, "POST", f"{path}/retire", {"reason": "sold"}).json["state"] == "retired"


def test_retirement_is_for_good_and_destroys_secrets(server: World) -> None:
    fingerprint = added(server)
    with_secret(server, fingerprint)
    call(server, "POST", f"/machines/{fingerprint}/retire", {})
    for action in ("approve", "refuse", "forget-boots"):
        assert call(server, "POST", f"/machines/{fingerprint}/{action}", {}).status == 409
    assert with_secret(server, fingerprint).status == 409
    assert call(server, "GET", f"/machines/{fingerprint}/secrets").json == {"secrets": []}


def test_a_secret_is_never_told_again(server: World) -> None:
    fingerprint = added(server)
    assert with_secret(server, fingerprint).status == 200
    answers = [
        call(server, "GET", operation.route.removeprefix(V1).replace("{machine}", fingerprint))
        for operation in OPERATIONS
        if operation.method == "GET" and set(operation.path_shapes) <= {"machine"}
    ]
    told = "".join(answer.text for answer in answers)
    assert '"root"' in told
    for form in (KEY.decode(), KEY.hex(), base64url(KEY)):
        assert form not in told
    assert KEY not in server.database.read_bytes()


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"kind": "luks-key"}, "body.value: missing"),
        ({"kind": "other", "value": "AAAA"}, "body.kind: must be one of"),
        ({"kind": "file", "value": "AAAA", "parameters": {"volume": "x"}}, "volume: unknown key"),
        ({"kind": "file", "value": "A"}, "body.value"),
        ({"kind": "file", "value": "AA=="}, "body.value"),
        ({"kind": "file", "value": ""}, "body.value"),
        ({"kind": "file", "value": "AAAA", "more": 1}, "body.more: unknown key"),
    ],
)
def test_a_wrong_secret_is_named_but_not_repeated(
    server: World, body: dict[str, object], fault: str
) -> None:
    answer = call(server, "PUT", f"/machines/{added(server)}/secrets/root", body)
    assert answer.status == 400 and fault in answer.text and "AAAA" not in answer.text


def test_a_revoked_secret_is_only_history(server: World) -> None:
    fingerprint = added(server)
    with_secret(server, fingerprint)
    path = f"/machines/{fingerprint}/secrets"
    assert call(server, "DELETE", f"{path}/root").json["revoked"]
    assert call(server, "GET", path).json == {"secrets": []}
    assert one(call(server, "GET", f"{path}?history=true"), "secrets")["name"] == "root"
    assert call(server, "DELETE", f"{path}/root").status == 404


def test_policies_have_versions(server: World) -> None:
    body = {"text": ANY_IMAGE + 'description = "2"\n', "comment": "second"}
    assert call(server, "PUT", "/policies/any", body).json["version"] == 2
    assert call(server, "GET", "/policies/any").json["text"] == body["text"]
    assert call(server, "GET", "/policies/any?version=1").json["text"] == ANY_IMAGE
    assert call(server, "GET", "/policies/any?version=3").status == 404


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_policy_that_says_nothing_is_refused(server: World, method: str) -> None:
    path = {"PUT": "/policies/p", "POST": "/policies/check"}[method]
    answer = call(server, method, path, {"text": "version = 1\nname = 'p'\n"})
    assert answer.status == 422 and "allow_any_image" in answer.text
    assert call(server, "GET", "/policies/p").status == 404


def test_a_machine_is_not_given_a_policy_that_is_not_there(server: World) -> None:
    path = f"/machines/{added(server)}/policy"
    assert call(server, "PUT", path, {"policy": "none-such"}).status in (404, 409)


def test_names_and_tags_can_be_searched(server: World) -> None:
    fingerprint = added(server)
    added(server, "another")
    call(server, "PUT", f"/machines/{fingerprint}/name", {"name": "B\u00fcro 1"})
    call(server, "PUT", f"/machines/{fingerprint}/tags", {"tags": {"site": "Graz"}})
    for query in ("search=B%C3%BCro", "tag=site%3DGraz", f"search={fingerprint[:12]}"):
        found = call(server, "GET", f"/machines?{query}").json
        assert found["total"] == 1


@pytest.mark.parametrize("name", ["a\nb", "\u202eevil", "\u0000", "x" * 257])
def test_names_cannot_play_tricks(server: World, name: str) -> None:
    answer = call(server, "PUT", f"/machines/{added(server)}/name", {"name": name})
    assert answer.status == 400


def test_enrolment_settings_are_changed_one_by_one(server: World) -> None:
    before = call(server, "GET", "/enrolment").json
    after = call(server, "PUT", "/enrolment", {"first_use": False}).json
    assert after == {**before, "first_use": False} == call(server, "GET", "/enrolment").json


def test_ek_hashes_and_roots_come_and_go(server: World) -> None:
    entry = {"sha256": "ab" * 32, "name": "delivery 7", "tags": {"a": "b"}, "policy": "any"}
    assert call(server, "POST", "/enrolment/hashes", {"hashes": [entry]}).json == {"count": 1}
    assert call(server, "GET", "/enrolment/hashes").json == {"hashes": [entry], "total": 1}
    assert call(server, "DELETE", f"/enrolment/hashes/{'ab' * 32}").status == 204
    assert call(server, "DELETE", f"/enrolment/hashes/{'ab' * 32}").status == 404
    pem = attest_ca.root("Another root").certificate.public_bytes(Encoding.PEM).decode()
    made = call(server, "POST", "/enrolment/roots", {"certificate": pem})
    assert made.status == 201 and made.json["subject"] == "CN=Another root"
    assert call(server, "DELETE", f"/enrolment/roots/{made.json['sha256']}").status == 204


def test_a_leaf_is_no_authority(server: World) -> None:
    leaf = Machine("m").certificates[0]
    pem = f"-----BEGIN CERTIFICATE-----\n{_base64(leaf)}\n-----END CERTIFICATE-----\n"
    assert call(server, "POST", "/enrolment/roots", {"certificate": pem}).status == 422


def _base64(data: bytes) -> str:
    import base64

    return base64.b64encode(data).decode()


def test_the_audit_trail_is_told_checked_and_exported(server: World) -> None:
    added(server)
    check = call(server, "GET", "/audit/verify").json
    assert check["ok"] is True and check["faults"] == []
    anchor = f"seq=1&hash={NOBODY}"
    assert call(server, "GET", f"/audit/verify?{anchor}").json["ok"] is False
    exported = call(server, "GET", "/audit/export")
    lines = [json.loads(line) for line in exported.text.splitlines()]
    assert exported.header("content-type").startswith("application/jsonl")
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    made = one(call(server, "GET", "/audit?action=machine.add"), "entries")
    assert (made["actor"], made["seq"]) == ("token:admin", lines[-2]["seq"])
    assert lines[-1]["action"] == "audit.export"


def test_an_operator_made_by_the_api_can_log_in(server: World) -> None:
    body = {"name": "anna", "role": "viewer", "password": "correct horse battery"}
    assert call(server, "POST", "/operators", body).status == 201
    assert call(server, "POST", "/operators", body).status == 409
    assert server.client.log_in("anna", "correct horse battery").status == 303
    told = call(server, "GET", "/operators").text + call(server, "GET", "/audit").text
    assert "correct horse" not in told and "scrypt" not in told


@pytest.mark.parametrize(("password", "status"), [("short", 400), ("aaaaaaaaaaaaaaaa", 422)])
def test_a_weak_password_is_refused(server: World, password: str, status: int) -> None:
    body = {"name": "anna", "role": "viewer", "password": password}
    assert call(server, "POST", "/operators", body).status == status


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("GET", "/machines?limit=0", b"", {}, 400),
        ("GET", "/machines?limit=x", b"", {}, 400),
        ("GET", "/machines?nonsense=1", b"", {}, 400),
        ("GET", "/machines?limit=1&limit=2", b"", {}, 400),
        ("GET", "/machines", b"{}", {}, 400),
        ("GET", "/machines/xyz", b"", {}, 404),
        ("GET", f"/machines/{NOBODY}", b"", {}, 404),
        ("GET", "/attestations/0", b"", {}, 404),
        ("GET", "/attestations/7", b"", {}, 404),
        ("PUT", "/enrolment", b"{", {"content-type": "application/json"}, 400),
        ("PUT", "/enrolment", b'{"hashes": 1}', {"content-type": "application/json"}, 400),
        ("PUT", "/enrolment", b"{}", {"content-type": "text/plain"}, 415),
        ("PUT", "/enrolment", b"{}", {"content-length": "70000"}, 413),
        ("PUT", "/enrolment", b"{}", {"transfer-encoding": "chunked"}, 411),
        ("PATCH", "/enrolment", b"", {}, 405),
        ("GET", "/nothing", b"", {}, 404),
    ],
)
def test_what_is_not_asked_rightly_is_refused_in_words(
    server: World, method: str, path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    if "transfer-encoding" in headers:
        headers = {**headers, "content-length": ""}
    answer = server.client.request(method, V1 + path, body, headers, server.tokens["admin"])
    assert answer.status == status
    assert answer.header("content-type") == "application/problem+json"
    assert answer.json["status"] == status


def ruled(expression: str) -> str:
    return f'{ANY_IMAGE}[[rules]]\nname = "r"\nexpression = "{expression}"\n'


@pytest.mark.parametrize(
    ("expression", "status"),
    [
        ("evidence.no_such_claim == 1", 422),
        ("evidence.bank", 422),
        ("evidence.bank == 'sha384'", 200),
        ("evidence.bank == 'sha256'", 200),
    ],
)
def test_a_policys_rules_are_tried_on_evidence_that_was_kept(
    server: World, expression: str, status: int
) -> None:
    machine = Machine()
    assert call(server, "PUT", "/enrolment", {"keep_evidence": "always"}).status == 200
    server.attest(machine)
    body = {"text": ruled(expression)}
    answer = call(server, "PUT", "/policies/any", body)
    assert answer.status == status, answer.text
    if status == 422:
        assert "rule r: neither true nor false on any of the last 1" in answer.text
        assert server.store.policy("any").version == 1
        assert call(server, "PUT", "/policies/any", {**body, "force": True}).status == 200


def test_without_evidence_rules_are_taken_as_they_are(server: World) -> None:
    body = {"text": ruled("evidence.no_such_claim == 1")}
    assert call(server, "PUT", "/policies/any", body).status == 200


def test_a_retirement_and_a_secret_are_taken_back_by_an_administrator(server: World) -> None:
    fingerprint = added(server)
    machine = f"/machines/{fingerprint}"
    with_secret(server, fingerprint)
    assert call(server, "POST", f"{machine}/retire", {}).status == 200
    history = one(call(server, "GET", f"{machine}/secrets?history=true"), "secrets")
    assert history["revoked"] and history["kept_until"]
    path = "/".join((machine, "secrets", "root", "restore"))
    restore = (path, {"version": 1})
    assert call(server, "POST", *restore).status == 409
    operator = server.tokens["operator"]
    denied = server.client.send_json("POST", f"{V1}{machine}/reinstate", {}, operator)
    assert denied.status == 403
    assert call(server, "POST", f"{machine}/reinstate", {}).json["state"] == "refused"
    assert call(server, "POST", *restore).json["kept_until"] is None
    assert call(server, "POST", *restore).status == 404
