# SPDX-License-Identifier: Apache-2.0
"""When, from where, how many, beside whom: what of it refuses, and what persons may let pass."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from pykexec.attest.protocol import AttestReply
from pykexec.server.errors import RateExceeded
from pykexec.server.service import Service, ServiceSettings
from pykexec.server.steps import advance
from pykexec.server.store import database
from pykexec.server.store.quarantine import Quarantine
from pykexec.server.store.records import AttestationRecord
from pykexec.server.store.rollouts import Rollouts
from tests.support.approvals import ADDRESS, Waiting
from tests.support.attest_machine import Machine
from tests.support.service_world import ANY_IMAGE, KEY, NOW, OPERATOR, PEER, World, codes

MORNING = '[[windows]]\nname = "m"\nzone = "UTC"\nfrom = "08:00"\nto = "09:00"\n'
NOON = '[[windows]]\nname = "noon"\nzone = "UTC"\nfrom = "11:55"\nto = "12:01"\n'
ASK = '[outside]\nwindows = "ask"\n'
OUTSIDE = "outside_only = true"
RATE = '[[rates]]\nname = "all"\ncount = 1\nwithin_s = 3600\n'


@pytest.fixture(autouse=True)
def time_fixture(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store's time is the world's."""
    monkeypatch.setattr(database, "now", lambda: NOW)


def put(world: World, text: str) -> None:
    world.store.put_policy("any", ANY_IMAGE + text, OPERATOR)


def other(world: World, name: str = "other") -> World:
    """Another machine of the same server, which has a secret, too."""
    found = replace(world, machine=Machine(name))
    found.known()
    return found


REFUSED = {
    "policy.window": MORNING,
    "policy.origin": '[networks]\nn = ["198.51.100.0/24"]\n[origin]\nnetworks = ["n"]\n',
    "policy.quarantine": '[quarantine]\ntags = ["rack=7"]\n',
}


@pytest.mark.parametrize("code", REFUSED)
def test_what_does_not_fit_gets_nothing_and_the_trail_says_why(world: World, code: str) -> None:
    number = world.known()
    Quarantine(world.store.database, world.store.keys).put("tag:rack=7", "worm", OPERATOR)
    put(world, REFUSED[code])
    reply = world.attest()
    assert (codes(reply), reply.release) == ([code], None)
    (last,) = world.store.attestations(number, limit=1)
    assert last.findings == reply.verdict.findings
    (entry, *_) = world.store.audit_entries(action="attestation.refused")
    surroundings = entry.detail["surroundings"]
    assert isinstance(surroundings, dict)
    assert (surroundings["address"], surroundings["time"][:10]) == (PEER, "2026-11-22")


def test_the_address_is_the_peer_that_the_server_sees(world: World) -> None:
    world.known()
    put(world, '[networks]\nn = ["192.0.2.0/24"]\n[origin]\nnetworks = ["n"]\n')
    challenge = world.challenge()
    request = world.machine.attest_request(challenge)
    elsewhere = world.service.attest(request, "198.51.100.1", NOW)
    assert (codes(elsewhere), elsewhere.release) == (["policy.origin"], None)
    assert world.attest().release


def test_a_machine_in_quarantine_gets_nothing_by_any_policy(world: World) -> None:
    number = world.known()
    machine = world.store.machine_by_id(number)
    quarantine = Quarantine(world.store.database, world.store.keys)
    quarantine.put(f"machine:{machine.fingerprint}", "worm", OPERATOR)
    reply = world.attest()
    assert (codes(reply), reply.release) == (["machine.quarantined"], None)
    assert reply.verdict.reasons[0].text == "the machine is in quarantine: worm"
    quarantine.lift(f"machine:{machine.fingerprint}", "", OPERATOR)
    assert world.attest().release


def test_a_rate_that_refuses(world: World) -> None:
    world.known()
    second = other(world)
    put(world, RATE)
    assert world.attest().release
    reply = second.attest()
    assert (codes(reply), reply.release) == (["policy.rate"], None)
    assert second.attest(later_s=3599).release is None


def test_who_is_judged_before_and_written_after_others_is_refused_all_the_same(
    world: World,
) -> None:
    world.known()
    second = other(world)
    put(world, RATE)
    request = second.machine.attest_request(second.challenge())
    steps = world.service.steps(request, PEER, NOW)
    record = advance(steps)
    assert isinstance(record, AttestationRecord) and record.released
    assert world.attest().release
    with pytest.raises(RateExceeded) as exceeded:
        world.store.record_attestation(record)
    refusal = advance(steps, exceeded.value)
    assert isinstance(refusal, AttestationRecord) and not refusal.released
    world.store.record_attestation(refusal)
    reply = advance(steps)
    assert isinstance(reply, AttestReply)
    assert (codes(reply), reply.release) == (["policy.rate"], None)


def test_a_rate_that_asks_makes_one_more_wait_for_a_person(world: World) -> None:
    other(world).attest()
    waiting = Waiting(world, OUTSIDE, RATE + 'then = "ask"\n')
    assert waiting.reply.pending is not None
    assert [finding.code for finding in waiting.reply.verdict.findings] == [
        "policy.rate",
        "approval.pending",
    ]
    waiting.decide()
    assert waiting.poll().release


def test_who_is_late_for_a_rate_that_asks_waits_for_a_person(world: World) -> None:
    world.service = Service(world.store, ServiceSettings(people=ADDRESS))
    world.known()
    second = other(world)
    put(world, f'[approval]\n{OUTSIDE}\n{RATE}then = "ask"\n')
    request = second.machine.attest_request(second.challenge())
    steps = world.service.steps(request, PEER, NOW)
    record = advance(steps)
    assert isinstance(record, AttestationRecord) and record.released
    assert world.attest().release
    with pytest.raises(RateExceeded) as exceeded:
        world.store.record_attestation(record)
    asked = advance(steps, exceeded.value)
    assert isinstance(asked, AttestationRecord) and asked.asks and not asked.released
    world.store.record_attestation(asked)
    reply = advance(steps)
    assert isinstance(reply, AttestReply) and reply.pending and reply.release is None


def test_outside_of_a_window_a_person_is_asked_and_within_it_nobody(world: World) -> None:
    waiting = Waiting(world, OUTSIDE, MORNING + ASK)
    assert codes(waiting.reply) == ["approval.pending"] and waiting.reply.release is None
    waiting.decide()
    opened = world.machine.open_release(waiting.challenge, waiting.poll())
    assert [secret.value for secret in opened] == [KEY]
    world.machine.reboot()
    waiting.put(OUTSIDE, NOON + ASK)
    reply = world.attest()
    assert reply.release and reply.pending is None


@pytest.mark.parametrize("minutes", [0, 2])
def test_a_window_that_has_closed_meanwhile_refuses_what_was_approved(
    world: World, minutes: int
) -> None:
    waiting = Waiting(world, "", NOON)
    waiting.decide()
    reply = waiting.poll(later_s=60 * minutes)
    assert codes(reply) == (["policy.window"] if minutes else [])
    assert (reply.release is None) == bool(minutes)


def test_a_rate_that_refuses_is_looked_at_again_after_the_approval(world: World) -> None:
    # Neither has a rack: they are counted together.
    second = other(world)
    world.store.put_policy("free", ANY_IMAGE.replace("any", "free", 1), OPERATOR)
    found = world.store.machine(second.machine.fingerprint)
    assert found
    world.store.set_policy(found.id, "free", OPERATOR)
    waiting = Waiting(world, "", RATE.replace("count", 'tag = "rack"\ncount'))
    waiting.decide()
    assert second.attest().release
    reply = waiting.poll()
    assert (codes(reply), reply.release) == (["policy.rate"], None)


def test_a_rate_that_refuses_is_exact_after_the_approval_too(world: World) -> None:
    second = other(world)
    waiting = Waiting(world, "", RATE)
    waiting.decide()
    steps = world.service.poll(waiting.request, PEER, NOW)
    record = advance(steps)
    assert isinstance(record, AttestationRecord) and record.released
    # Meanwhile another one of the policy is released, by a version that asks nobody.
    found = world.store.machine(second.machine.fingerprint)
    assert found
    text = ANY_IMAGE + "# free\n"
    rollouts = Rollouts(world.store.database, world.store.keys)
    free = rollouts.put_draft("any", text, OPERATOR, "")
    rollouts.pin("any", f"machine:{found.fingerprint}", free.version, OPERATOR, "")
    assert second.attest().release
    with pytest.raises(RateExceeded) as exceeded:
        world.store.record_attestation(record)
    reply = advance(steps, exceeded.value)
    assert isinstance(reply, AttestReply)
    assert (codes(reply), reply.release) == (["policy.rate"], None)


def test_a_machine_in_quarantine_is_not_released_by_persons(world: World) -> None:
    waiting = Waiting(world, "", "")
    waiting.decide()
    machine = world.store.machine_by_id(waiting.number)
    quarantine = Quarantine(world.store.database, world.store.keys)
    quarantine.put(f"machine:{machine.fingerprint}", "worm", OPERATOR)
    assert codes(waiting.poll()) == ["approval.changed"]


def test_time_is_told_by_the_server_and_not_by_the_machine(world: World) -> None:
    world.known()
    put(world, NOON)
    for later, expected in ((timedelta(), []), (timedelta(minutes=1), ["policy.window"])):
        now: datetime = NOW + later
        challenge = world.service.challenge(world.machine.challenge_request(), PEER, now)
        reply = world.service.attest(world.machine.attest_request(challenge), PEER, now)
        assert codes(reply) == expected
        world.machine.reboot()
