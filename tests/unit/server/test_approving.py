# SPDX-License-Identifier: Apache-2.0
"""A person before the release: who is given what once persons have decided, what does not count."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from pykexec.attest.approval import PollRequest, login_nonce
from pykexec.attest.decode import parse_attest_reply, parse_poll_request
from pykexec.attest.fields import base64url
from pykexec.attest.protocol import AttestReply
from pykexec.server import persons, quotas
from pykexec.server.errors import Conflict, NotFound, NotReleasable, Tampered
from pykexec.server.persons import NotCounted
from pykexec.server.service import Service
from pykexec.server.steps import advance
from pykexec.server.store import database
from pykexec.server.store.records import AttestationRecord
from tests.support.approvals import ADDRESS, Waiting, person
from tests.support.attest_machine import Machine
from tests.support.service_world import ANY_IMAGE, KEY, NOW, OPERATOR, PEER, World, codes
from tests.support.store_samples import tamper

GROUPS = 'groups = ["key-holders", "security"]'
PENDING = ["approval.pending"]


@pytest.fixture(autouse=True)
def time_fixture(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store's time is the world's."""
    monkeypatch.setattr(database, "now", lambda: NOW)


def test_a_person_who_approves_lets_the_machine_have_its_secret(world: World) -> None:
    waiting = Waiting(world, GROUPS)
    assert (codes(waiting.reply), waiting.reply.release) == (PENDING, None)
    assert codes(waiting.poll()) == PENDING
    assert waiting.decide() == "approved"
    reply = waiting.poll()
    assert codes(reply) == []
    opened = world.machine.open_release(waiting.challenge, reply)
    assert [secret.value for secret in opened] == [KEY]


def test_a_pending_reply_says_where_and_how_and_has_no_secret(world: World) -> None:
    waiting = Waiting(world, "expires_s = 120")
    pending = waiting.reply.pending
    assert pending
    assert pending.address.startswith(f"{ADDRESS}/approve/")
    assert (pending.expires_s, pending.interval_s) == (120, 5)
    assert {len(row) for row in pending.qr} == {len(pending.qr)}
    assert KEY not in waiting.reply.encode()
    assert parse_attest_reply(waiting.reply.encode()) == waiting.reply
    assert parse_poll_request(waiting.request.encode()) == waiting.request


def test_without_approval_in_the_policy_nobody_is_asked(world: World) -> None:
    world.known()
    reply = world.attest()
    assert (reply.pending, codes(reply)) == (None, [])


def test_a_server_where_nobody_logs_in_refuses_in_words(world: World) -> None:
    world.known()
    world.store.put_policy("any", f"{ANY_IMAGE}[approval]\ncount = 1\n", OPERATOR)
    reply = world.attest()
    assert (codes(reply), reply.pending) == (["approval.nobody"], None)


def test_a_boot_that_is_refused_anyhow_does_not_bother_anybody(world: World) -> None:
    waiting = Waiting(world, "count = 1", f'[payload]\nsha256 = ["{"ab" * 32}"]')
    assert (codes(waiting.reply), waiting.reply.pending) == (["policy.payload"], None)


SPOILT: dict[str, tuple[Callable[[PollRequest], PollRequest], str]] = {
    "ticket": (lambda request: replace(request, ticket="AAAA"), "approval.ticket"),
    "proof": (lambda request: replace(request, proof=bytes(32)), "approval.proof"),
}


@pytest.mark.parametrize("what", SPOILT)
def test_who_has_not_opened_the_credential_is_told_nothing(world: World, what: str) -> None:
    waiting = Waiting(world, "count = 1")
    waiting.decide()
    spoil, code = SPOILT[what]
    reply = waiting.poll(request=spoil(waiting.request))
    assert (codes(reply), reply.release, reply.pending) == ([code], None, None)


def test_the_poll_of_another_attestation_is_of_no_use_for_this_one(world: World) -> None:
    waiting = Waiting(world, "count = 1")
    waiting.decide()
    ticket = waiting.desk.codes.open(waiting.request.ticket)
    assert ticket
    sealed = waiting.desk.codes.seal(replace(ticket, nonce=bytes(32)))
    other = replace(waiting.request, ticket=sealed)
    assert codes(waiting.poll(request=other)) == ["approval.proof"]


def test_another_machine_cannot_open_what_was_approved(world: World) -> None:
    waiting = Waiting(world, "count = 1")
    waiting.decide()
    with pytest.raises(ValueError):
        Machine("other").open_release(waiting.challenge, waiting.poll())


def test_a_lost_reply_is_given_once_more_and_no_third_time(world: World) -> None:
    waiting = Waiting(world, "count = 1")
    waiting.decide()
    first = waiting.poll()
    assert first.release
    assert waiting.poll() == first
    assert codes(waiting.poll()) == ["approval.replayed"]


def test_another_server_of_the_store_goes_on(world: World) -> None:
    waiting = Waiting(world, "count = 1")
    waiting.decide()
    world.service = Service(world.store, world.service._settings)
    assert waiting.poll().release


@pytest.mark.parametrize("typed", ["lower", "spaced"])
def test_a_code_may_be_typed_as_people_type(world: World, typed: str) -> None:
    waiting = Waiting(world, "count = 1")
    assert waiting.reply.pending
    code = waiting.reply.pending.code
    how = {"lower": code.lower(), "spaced": f" {code.replace('-', ' ')} "}
    assert waiting.decide(code=how[typed]) == "approved"


def test_a_wrong_code_approves_nothing(world: World) -> None:
    waiting = Waiting(world, "count = 1")
    with pytest.raises(NotCounted, match=r"not the code that the machine shows; 4 more tries"):
        waiting.decide(code="BBBB-BBBB")
    assert codes(waiting.poll()) == PENDING


def test_who_guesses_locks_the_boot_for_everybody(world: World) -> None:
    waiting = Waiting(world, "count = 1")
    guesser = waiting.visit()
    for _ in range(quotas.CODE_TRIES):
        with pytest.raises(NotCounted, match="not the code"):
            waiting.decide(guesser, code="BBBB-BBBB")
    with pytest.raises(NotFound, match="guessed"):
        persons.look_up(world.store, waiting.desk, waiting.reference, NOW)
    assert codes(waiting.poll()) == ["approval.locked"]
    actions = [entry.action for entry in world.store.audit_entries(limit=20)]
    assert actions.count("approval.wrong-code") == quotas.CODE_TRIES


def test_a_person_may_refuse_without_the_code(world: World) -> None:
    waiting = Waiting(world, GROUPS)
    assert waiting.decide(refuses=True, code="") == "refused"
    reply = waiting.poll()
    assert (codes(reply), reply.release) == (["approval.refused"], None)


def test_time_runs_out(world: World) -> None:
    waiting = Waiting(world, "expires_s = 60")
    waiting.decide()
    assert codes(waiting.poll(later_s=61)) == ["approval.expired"]


@pytest.mark.parametrize(
    ("groups", "words"), [(("cooks",), "none of the groups"), (None, "does not say which groups")]
)
def test_who_is_in_no_group_does_not_count(
    world: World, groups: tuple[str, ...] | None, words: str
) -> None:
    waiting = Waiting(world, GROUPS)
    stranger = waiting.visit(person("carl", groups))
    for refuses in (False, True):
        with pytest.raises(NotCounted, match=words):
            waiting.decide(stranger, refuses=refuses)
    assert codes(waiting.poll()) == PENDING


def test_two_persons_are_two_subjects(world: World) -> None:
    waiting = Waiting(world, "count = 2")
    waiting.decide()
    with pytest.raises(Conflict, match="you have approved already"):
        waiting.decide(waiting.visit())
    assert codes(waiting.poll()) == PENDING
    waiting.decide(waiting.visit(person("bob")))
    assert waiting.poll().release


def test_a_session_decides_once(world: World) -> None:
    waiting = Waiting(world, "count = 3")
    visitor = waiting.visit()
    waiting.decide(visitor)
    with pytest.raises(Conflict, match="already"):
        waiting.decide(visitor, refuses=True)


def test_each_may_have_to_be_of_another_group(world: World) -> None:
    waiting = Waiting(world, f"count = 2\ndistinct = true\n{GROUPS}")
    waiting.decide()
    waiting.decide(waiting.visit(person("eve")))
    assert codes(waiting.poll()) == PENDING
    waiting.decide(waiting.visit(person("bob", ("key-holders", "security"))))
    assert waiting.poll().release


def test_who_has_asked_does_not_approve(world: World) -> None:
    waiting = Waiting(world, "requester = true")
    with pytest.raises(NotCounted, match="say why"):
        waiting.decide()
    assert waiting.decide(reason="disk replaced") == "requested"
    with pytest.raises(Conflict, match="who has asked cannot approve"):
        waiting.decide(waiting.visit())
    assert codes(waiting.poll()) == PENDING
    assert waiting.decide(waiting.visit(person("bob"))) == "approved"
    assert waiting.poll().release


def test_a_reason_may_be_demanded_and_is_kept(world: World) -> None:
    waiting = Waiting(world, "reason = true")
    with pytest.raises(NotCounted, match="say why"):
        waiting.decide()
    waiting.decide(reason="after the power cut")
    (entry,) = world.store.audit_entries(action="approval.approved")
    assert (entry.actor, entry.detail["reason"]) == ("person:anna", "after the power cut")


RULES = '[[rules]]\nname = "who"\nexpression = "{}"\nmessage = "not this one"\n'


@pytest.mark.parametrize(
    ("expression", "counts"),
    [
        ("approval.subject == 'anna' && 'key-holders' in approval.groups", True),
        ("approval.count == 1 && 'pwd' in approval.amr", True),
        ("timestamp(context.time) - approval.auth_time < duration('1m')", True),
        ("'hwk' in approval.amr", False),
        ("approval.acr == 'gold'", False),
        ("approval.nothing == 'x'", False),
    ],
)
def test_rules_judge_persons(world: World, expression: str, counts: bool) -> None:
    waiting = Waiting(world, "count = 1", RULES.format(expression))
    assert codes(waiting.reply) == PENDING
    if counts:
        assert waiting.decide() == "approved"
        assert waiting.poll().release
    else:
        with pytest.raises(NotCounted, match="does not let you approve this: not this one"):
            waiting.decide()


def test_rules_are_looked_at_again_at_the_release(world: World) -> None:
    rule = "timestamp(context.time) < timestamp('2026-11-22T12:00:30Z') && approval.count > 0"
    waiting = Waiting(world, "count = 1", RULES.format(rule))
    waiting.decide()
    reply = waiting.poll(later_s=31)
    assert (codes(reply), reply.release) == (["policy.rule.who"], None)


def test_an_approval_is_for_one_version_of_the_policy(world: World) -> None:
    waiting = Waiting(world, "count = 1")
    waiting.decide()
    waiting.put("count = 1\nreason = true")
    assert codes(waiting.poll()) == ["approval.changed"]


def test_a_machine_that_is_refused_meanwhile_is_given_nothing(world: World) -> None:
    waiting = Waiting(world, "count = 1")
    waiting.decide()
    world.store.refuse(waiting.number, OPERATOR)
    assert codes(waiting.poll()) == ["approval.changed"]


def test_a_machine_waits_once_and_an_approval_dies_with_the_boot(world: World) -> None:
    waiting = Waiting(world, "count = 1")
    first, old = waiting.request, waiting.reference
    waiting.decide()
    world.machine.reboot()
    again = world.attest()
    assert codes(again) == PENDING and again.pending
    assert codes(waiting.poll(request=first)) == ["approval.over"]
    assert waiting.desk.approvals.find(old) is None


def test_an_approved_boot_counts_as_one_that_was_given_its_secrets(world: World) -> None:
    waiting = Waiting(world, "count = 1")
    waiting.decide()
    assert waiting.poll().release
    assert codes(world.attest()) == ["release.again"]
    assert world.store.verify_audit().faults == ()


def test_a_person_who_refuses_at_the_last_moment_is_heard(world: World) -> None:
    waiting = Waiting(world, "count = 1")
    waiting.decide()
    steps = world.service.poll(waiting.request, PEER, NOW)
    record = advance(steps)
    assert isinstance(record, AttestationRecord)
    waiting.decide(waiting.visit(person("bob")), refuses=True)
    with pytest.raises(NotReleasable) as refused:
        world.store.record_attestation(record)
    reply = advance(steps, refused.value)
    assert isinstance(reply, AttestReply)
    assert (codes(reply), reply.release) == (["release.changed"], None)


def test_an_approval_of_the_store_that_nobody_gave_is_found(world: World) -> None:
    waiting = Waiting(world, "count = 1")
    waiting.visit()
    tamper(world.store, "UPDATE approval_persons SET decision = 'approved'")
    with pytest.raises(Tampered, match="approval_persons"):
        waiting.poll()


def test_a_refusal_that_is_taken_back_in_the_database_is_found(world: World) -> None:
    waiting = Waiting(world, "count = 1")
    waiting.decide(refuses=True)
    tamper(world.store, "UPDATE approvals SET state = 'waiting'")
    with pytest.raises(Tampered, match="approvals"):
        waiting.poll()


def test_who_has_logged_in_and_not_decided_makes_room(world: World) -> None:
    waiting = Waiting(world, "count = 1")
    secrets = [
        waiting.desk.approvals.open_session(waiting.reference, person(f"p{number}"), PEER)
        for number in range(quotas.VISITORS_MAX + 3)
    ]
    known = [waiting.desk.approvals.visitor(waiting.reference, secret) for secret in secrets]
    assert sum(visitor is not None for visitor in known) == quotas.VISITORS_MAX


def test_what_is_over_is_forgotten(world: World) -> None:
    waiting = Waiting(world, "expires_s = 60")
    waiting.visit()
    end = NOW.timestamp() + 60 + quotas.APPROVAL_KEPT_S
    assert world.store.purge(NOW.fromtimestamp(end, NOW.tzinfo))["approvals"] == 0
    assert world.store.purge(NOW.fromtimestamp(end + 2, NOW.tzinfo))["approvals"] == 1
    assert codes(waiting.poll(later_s=700)) == ["approval.over"]


def test_the_audit_trail_has_what_an_approval_is_checked_by(world: World) -> None:
    waiting = Waiting(world, "count = 1")
    waiting.decide()
    (asked,) = world.store.audit_entries(action="approval.ask")
    (given,) = world.store.audit_entries(action="approval.approved")
    statement = str(asked.detail["statement"]).encode()
    policy = world.store.policy("any").text.encode()
    digests = hashlib.sha256(statement).digest() + hashlib.sha256(policy).digest()
    nonce = hashlib.sha256(b"pykexec approval 1\0" + digests).digest()
    assert login_nonce(statement, policy) == base64url(nonce)
    assert given.detail["id_token"] == "a.b.c" and given.detail["key_set"] == {"keys": []}
    assert asked.detail["approval"] == given.detail["approval"] == waiting.reference


def test_a_code_stands_nowhere(world: World) -> None:
    waiting = Waiting(world, "count = 1")
    assert waiting.reply.pending
    with world.store.database.reading() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM approvals").all()
    text = f"{rows}{''.join(world.store.export_audit())}"
    assert waiting.reply.pending.code not in text
    digest = waiting.desk.codes.digest(waiting.reply.pending.code)
    assert waiting.desk.approvals.by_code(digest, NOW) == waiting.reference
    assert waiting.desk.approvals.by_code(waiting.desk.codes.digest("BBBB-BBBB"), NOW) is None
