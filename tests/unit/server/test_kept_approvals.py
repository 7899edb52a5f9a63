# SPDX-License-Identifier: Apache-2.0
"""An approval of an exported trail is checked offline, and what is not proven is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from pykexec.attest.approval import login_nonce
from pykexec.cli import main
from pykexec.errors import FormatError
from pykexec.server import persons
from pykexec.server.kept_approvals import KeptBoot, Proof, check_approvals
from pykexec.server.people.id_token import Person, Wanted, check_token
from pykexec.server.store import database
from tests.support.approvals import Waiting
from tests.support.break_glass import GROUPS, TABLE, Offline
from tests.support.service_world import ANY_IMAGE, NOW, PEER, World

ISSUER, CLIENT = "https://login.example", "pykexec"
TIME = int(NOW.timestamp())
APPROVAL = 'count = 2\ngroups = ["key-holders", "security"]'


@pytest.fixture(autouse=True)
def time_fixture(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store's time is the world's."""
    monkeypatch.setattr(database, "now", lambda: NOW)


@cache
def key(name: str) -> ECKey:
    return ECKey.generate_key("P-256", {"kid": "one", "use": "sig"})


def key_set(name: str = "provider") -> dict[str, object]:
    return {"keys": [key(name).as_dict(private=False)]}


def logged_in(subject: str, nonce: str, groups: tuple[str, ...] = GROUPS) -> Person:
    """As the provider vouches for them."""
    who = {"iss": ISSUER, "aud": CLIENT, "sub": subject, "nonce": nonce, "groups": list(groups)}
    claims = {**who, "iat": TIME, "exp": TIME + 60, "auth_time": TIME}
    token = jwt.encode({"alg": "ES256", "kid": "one"}, claims, key("provider"))
    return check_token(token, key_set(), Wanted(ISSUER, CLIENT, nonce), NOW)


def policy_of(world: World) -> bytes:
    return world.store.policy("any").text.encode()


def approved(world: World, *subjects: str) -> Waiting:
    """A boot that these have approved, and that was given its secrets."""
    waiting = Waiting(world, APPROVAL)
    found = waiting.desk.approvals.find(waiting.reference)
    assert found
    nonce = login_nonce(found.statement, policy_of(world))
    for subject in subjects:
        waiting.decide(waiting.visit(logged_in(subject, nonce)))
    waiting.poll()
    return waiting


def trail(world: World) -> list[dict[str, object]]:
    return [json.loads(line) for line in world.store.export_audit()]


def checked(
    entries: list[dict[str, object]], world: World, change: Callable[[Proof], Proof] = lambda p: p
) -> KeptBoot:
    """The one boot of it."""
    proof = change(Proof([policy_of(world)]))
    (boot,) = check_approvals([json.dumps(entry).encode() for entry in entries], proof)
    return boot


def words_of(boot: KeptBoot) -> str:
    """All that is not proven."""
    return "; ".join([*boot.faults, *(each.fault for each in boot.decisions if each.fault)])


def test_two_who_approved_are_proven_with_nothing_but_trail_and_policy(world: World) -> None:
    approved(world, "anna", "bob")
    boot = checked(trail(world), world)
    assert boot.good and boot.released
    assert [(each.subject, each.issuer) for each in boot.decisions] == [
        ("anna", ISSUER),
        ("bob", ISSUER),
    ]
    strict = checked(trail(world), world, lambda p: replace(p, issuer=ISSUER, client_id=CLIENT))
    assert strict.good


def test_break_glass_is_proven_by_its_own_table(world: World) -> None:
    offline = Offline(world)
    offline.take()
    case = offline.case()
    nonce = login_nonce(case.found.statement, policy_of(world))
    for subject in ("anna", "bob"):
        visitor = offline.visit(logged_in(subject, nonce))
        persons.decide(
            offline.desk, offline.case(), visitor, False, offline.offer.code, "why", PEER, NOW
        )
    offline.answer()
    boot = checked(trail(world), world)
    assert boot.good and boot.is_break_glass and boot.released


def test_a_token_by_another_key_proves_nothing(world: World) -> None:
    approved(world, "anna", "bob")
    boot = checked(trail(world), world, lambda p: replace(p, key_set=key_set("other")))
    assert "not signed by it" in words_of(boot)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: replace(p, issuer="https://other.example"), "another login service"),
        (lambda p: replace(p, client_id="other"), "for another service"),
        (lambda p: replace(p, policies=[ANY_IMAGE.encode()]), "none of these policies"),
        (lambda p: replace(p, policies=[p.policies[0] + b" "]), "none of these policies"),
        (lambda p: replace(p, groups_claim="roles"), "none of the groups"),
    ],
)
def test_what_the_token_does_not_say_is_named(
    world: World, change: Callable[[Proof], Proof], words: str
) -> None:
    approved(world, "anna", "bob")
    assert words in words_of(checked(trail(world), world, change))


def _edit(entries: list[dict[str, object]], action: str, **detail: object) -> None:
    for entry in entries:
        if entry["action"] == action:
            entry["detail"] = {**entry["detail"], **detail}  # type: ignore[dict-item]
            return


def test_an_entry_that_was_changed_is_named(world: World) -> None:
    approved(world, "anna", "bob")
    entries = trail(world)
    _edit(entries, "approval.approved", reason="another")
    assert "was changed" in words_of(checked(entries, world))


def test_another_statement_is_named(world: World) -> None:
    """Whoever edits the trail can make its hashes right; the provider's signature they cannot."""
    approved(world, "anna", "bob")
    entries = trail(world)
    _edit(entries, "approval.ask", statement="{}")
    words = words_of(checked(entries, world))
    assert "for another boot" in words and "not that of its digest" in words


def test_the_token_of_another_person_is_named(world: World) -> None:
    approved(world, "anna", "bob")
    entries = trail(world)
    for entry in entries:
        if entry["actor"] == "person:bob":
            entry["actor"] = "person:carl"
    assert "the login is of bob" in words_of(checked(entries, world))


def test_a_release_that_too_few_have_approved_is_named(world: World) -> None:
    approved(world, "anna", "bob")
    entries = [entry for entry in trail(world) if entry["actor"] != "person:bob"]
    assert "given its secrets, and 1 have approved" in words_of(checked(entries, world))


def test_a_token_that_is_older_than_its_entry_allows_is_named(world: World) -> None:
    approved(world, "anna", "bob")
    entries = trail(world)
    for entry in entries:
        if entry["action"] == "approval.approved":
            entry["time_ms"] = (TIME + 3600) * 1000
    assert "has expired" in words_of(checked(entries, world))


def test_decisions_without_a_question_prove_nothing(world: World) -> None:
    approved(world, "anna", "bob")
    entries = [entry for entry in trail(world) if entry["action"] != "approval.ask"]
    assert "does not say what was asked for" in words_of(checked(entries, world))


@pytest.mark.parametrize("line", [b"x", b"[]", b"{}", b'{"seq": 1}'])
def test_what_is_no_trail_is_refused(line: bytes) -> None:
    with pytest.raises(FormatError, match=r"^line 1"):
        check_approvals([line], Proof([(ANY_IMAGE + TABLE).encode()]))


def test_the_verb_says_who_and_fails_where_something_is_not_proven(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    approved(world, "anna", "bob")
    file, policy = tmp_path / "trail.jsonl", tmp_path / "policy.toml"
    file.write_text("\n".join(json.dumps(entry) for entry in trail(world)))
    policy.write_bytes(policy_of(world))
    command = ["server", "approval", "verify", str(file), "--policy", str(policy)]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert out.startswith("good ") and f"anna approved, by {ISSUER}" in out
    assert main([*command, "--issuer", "https://other.example"]) == 6
    assert "BAD" in capsys.readouterr().out
