# SPDX-License-Identifier: Apache-2.0
"""Roll-outs: which version counts for whom, and that a draft changes nothing but what is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pykexec.errors import UsageError
from pykexec.server import appraising
from pykexec.server.errors import Conflict, NotFound, Tampered
from pykexec.server.store.quarantine import Quarantine
from pykexec.server.store.rollout import Rollout, bucket
from pykexec.server.store.rollouts import Rollouts
from tests.support.attest_machine import other_end
from tests.support.service_world import ANY_IMAGE, NOW, OPERATOR, PEER, World, codes
from tests.support.store_samples import tamper

ELSEWHERE = '[networks]\nn = ["198.51.100.0/24"]\n[origin]\nnetworks = ["n"]\n'
ASKS = f'{ELSEWHERE}[approval]\noutside_only = true\n[outside]\norigin = "ask"\n'
REFUSES, PASSES = ANY_IMAGE + ELSEWHERE, ANY_IMAGE + "# better\n"


def rollouts(world: World) -> Rollouts:
    return Rollouts(world.store.database, world.store.keys)


def draft(world: World, text: str = REFUSES) -> Rollouts:
    """Make it the draft of the policy."""
    found = rollouts(world)
    found.put_draft("any", text, OPERATOR, "why")
    return found


def counts(world: World, number: int) -> int | None:
    """The version that counts for the machine."""
    return world.store.machine_by_id(number).policy_version


@pytest.mark.parametrize(
    ("text", "outcome", "reasons"),
    [
        (REFUSES, "refused", ["policy.origin"]),
        (ANY_IMAGE + ASKS, "asks", ["policy.origin"]),
        (PASSES, "accepted", []),
    ],
)
def test_a_draft_is_decided_beside_what_counts(
    world: World, text: str, outcome: str, reasons: list[str]
) -> None:
    number = world.known()
    found = draft(world, text)
    reply = world.attest()
    assert reply.release and reply.verdict.findings == ()
    (last,) = world.store.attestations(number, limit=1)
    assert (last.accepted, last.policy) == (True, ("any", 1))
    (decided,) = found.decided("any", 2)
    assert (decided.accepted, decided.outcome) == (True, outcome)
    assert [finding.code for finding in decided.reasons] == reasons
    (entry,) = world.store.audit_entries(action="attestation.released")
    assert entry.detail["draft"] == {"version": 2, "outcome": outcome, "reasons": reasons}
    assert world.store.verify_audit().faults == ()


def test_a_draft_that_fails_changes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.known()
    draft(world)

    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(appraising, "draft_decision", broken)
    assert world.attest().release


def test_a_draft_that_is_none_any_more_would_refuse(world: World) -> None:
    world.known()
    # As a newer program finds what an older one took.
    found = draft(world, "version = 1\n")
    assert world.attest().release
    (decided,) = found.decided("any", 2)
    assert (decided.outcome, [f.code for f in decided.reasons]) == ("refused", ["policy.fault"])


def test_of_who_is_given_nothing_anyhow_a_draft_says_nothing(world: World) -> None:
    number = world.known()
    found = draft(world)
    quarantine = Quarantine(world.store.database, world.store.keys)
    quarantine.put(f"machine:{world.machine.fingerprint}", "", OPERATOR)
    assert world.attest().release is None
    quarantine.lift(f"machine:{world.machine.fingerprint}", "", OPERATOR)
    world.store.refuse(number, OPERATOR)
    assert world.attest().release is None
    assert found.decided("any", 2) == ()
    refused = world.store.audit_entries(action="attestation.refused")
    assert len(refused) == 2 and not any("draft" in entry.detail for entry in refused)


def test_of_evidence_that_nobody_believes_a_draft_says_nothing(world: World) -> None:
    world.known()
    found = draft(world)
    request = world.machine.attest_request(
        world.challenge(),
        spoil=lambda evidence: replace(evidence, signature=other_end(evidence.signature)),
    )
    assert world.service.attest(request, PEER, NOW).release is None
    assert found.decided("any", 2) == ()


def test_a_canary_by_tag_is_judged_by_the_draft_and_others_are_not(world: World) -> None:
    number = world.known()
    found = draft(world)
    found.set_canary("any", ["ring=0"], 0, OPERATOR)
    assert counts(world, number) == 1
    world.store.set_tags(number, {"ring": "0"}, OPERATOR)
    assert counts(world, number) == 2
    reply = world.attest()
    assert (codes(reply), reply.release) == (["policy.origin"], None)
    (decided,) = found.decided("any", 2)
    assert (decided.accepted, decided.outcome) == (False, "refused")
    found.abandon("any", OPERATOR, "it refuses")
    world.machine.reboot()
    assert world.attest().release


def test_a_share_takes_each_machine_for_good_and_about_so_many() -> None:
    machines = [f"{number:064x}" for number in range(2000)]
    chosen = [
        {m for m in machines if Rollout("p", 1, draft=2, share=share).version_for(m, {}) == 2}
        for share in (0, 5, 20, 100)
    ]
    assert chosen[0] < chosen[1] < chosen[2] < chosen[3] == set(machines)
    assert 60 < len(chosen[1]) < 140 and 320 < len(chosen[2]) < 480
    assert {bucket("p", m) for m in machines} == set(range(100))
    other = {m for m in machines if bucket("q", m) < 20}
    assert len(other & chosen[2]) < 0.5 * len(chosen[2]), "another policy tries others first"


def test_pins_go_before_all_else_and_the_machine_before_its_tags() -> None:
    pins = {"machine:aa": 3, "tag:rack=7": 4, "tag:a=b": 5}
    found = Rollout("p", 1, draft=2, share=100, pins=pins)
    assert found.version_for("aa", {"rack": "7"}) == 3
    assert found.version_for("bb", {"rack": "7", "a": "b"}) == 5
    assert found.version_for("bb", {"rack": "7"}) == 4
    assert found.version_for("bb", {"rack": "8"}) == 2


def test_a_draft_is_promoted_and_taken_back(world: World) -> None:
    number = world.known()
    found = draft(world)
    found.set_canary("any", [], 1, OPERATOR)
    assert found.activate("any", 2, OPERATOR, "") == Rollout("any", 2, previous=1)
    assert counts(world, number) == 2 and world.attest().release is None
    assert found.activate("any", None, OPERATOR, "it refuses").live == 1
    assert counts(world, number) == 1
    with pytest.raises(NotFound):
        found.activate("any", None, OPERATOR, "")
    entries = world.store.audit_entries(action="policy.rollout")
    said = [(entry.detail["what"], entry.actor) for entry in entries]
    assert said == [(what, OPERATOR) for what in ("back", "live", "canary", "draft")]
    world.machine.reboot()
    assert world.attest().release


def test_back_goes_to_what_counted_and_not_to_a_draft_that_never_did(world: World) -> None:
    found = draft(world)
    found.abandon("any", OPERATOR, "")
    world.store.put_policy("any", ANY_IMAGE + "# third\n", OPERATOR)
    assert found.find("any") == Rollout("any", 3, previous=1)
    assert found.activate("any", None, OPERATOR, "").live == 1


def test_a_version_that_is_put_counts_at_once_and_ends_the_draft(world: World) -> None:
    number = world.known()
    found = draft(world)
    found.pin("any", "tag:rack=7", 1, OPERATOR, "")
    world.store.put_policy("any", PASSES, OPERATOR)
    assert counts(world, number) == 3
    assert found.find("any") == Rollout("any", 3, previous=1, pins={"tag:rack=7": 1})
    world.store.set_tags(number, {"rack": "7"}, OPERATOR)
    assert counts(world, number) == 1
    found.pin("any", "tag:rack=7", None, OPERATOR, "")
    assert counts(world, number) == 3


def test_another_draft_has_no_canaries_and_the_same_keeps_them(world: World) -> None:
    world.known()
    found = draft(world)
    found.set_canary("any", ["ring=0"], 5, OPERATOR)
    world.attest()
    assert draft(world).find("any").share == 5 and found.decided("any", 2)
    draft(world, PASSES)
    assert found.find("any") == Rollout("any", 1, draft=3)
    assert found.decided("any", 2) == ()


def test_what_makes_no_sense_is_refused(world: World) -> None:
    found = rollouts(world)
    with pytest.raises(NotFound):
        found.put_draft("new", ANY_IMAGE, OPERATOR, "")
    with pytest.raises(Conflict, match="version 1 has this text, and counts already"):
        found.put_draft("any", ANY_IMAGE, OPERATOR, "")
    with pytest.raises(Conflict, match="any has no draft"):
        found.set_canary("any", [], 5, OPERATOR)
    with pytest.raises(Conflict, match="any has no draft"):
        found.abandon("any", OPERATOR, "")
    with pytest.raises(Conflict, match="version 1 counts already"):
        found.activate("any", 1, OPERATOR, "")
    draft(world)
    for share in (-1, 101):
        with pytest.raises(UsageError, match="from 0 to 100"):
            found.set_canary("any", [], share, OPERATOR)
    with pytest.raises(UsageError, match="KEY=VALUE"):
        found.set_canary("any", ["ring"], 0, OPERATOR)
    with pytest.raises(UsageError, match="neither machine:FINGERPRINT nor tag"):
        found.pin("any", "ring=0", 1, OPERATOR, "")
    with pytest.raises(NotFound, match="no policy any version 9"):
        found.pin("any", "tag:a=b", 9, OPERATOR, "")
    with pytest.raises(NotFound, match="nothing is pinned"):
        found.pin("any", "tag:a=b", None, OPERATOR, "")
    with pytest.raises(NotFound, match="no machine"):
        found.pin("any", "machine:00", 1, OPERATOR, "")


def test_who_sets_a_roll_out_back_in_the_database_is_found(world: World) -> None:
    number = world.known()
    found = draft(world)
    with world.store.database.reading() as connection:
        (old,) = connection.exec_driver_sql("SELECT name, value, seal FROM rollouts").all()
    found.set_canary("any", [], 100, OPERATOR)
    assert counts(world, number) == 2
    tamper(world.store, "DELETE FROM rollouts")
    values = {"name": old.name, "value": old.value, "seal": old.seal}
    tamper(world.store, "INSERT INTO rollouts VALUES (:name, :value, :seal)", **values)
    assert world.store.verify_audit().faults == (
        "policy 'any': which version counts is not as it was left",
    )
    tamper(world.store, "DELETE FROM rollouts")
    assert "which version counts is not" in str(world.store.verify_audit().faults)


def test_a_roll_out_that_nobody_made_is_no_one_s(world: World) -> None:
    number = world.known()
    draft(world)
    forged = "UPDATE rollouts SET value = replace(value, :old, :new)"
    tamper(world.store, forged, old='"live":1', new='"live":2')
    with pytest.raises(Tampered, match="rollouts"):
        world.store.machine_by_id(number)


def test_an_outcome_that_was_made_up_is_found(world: World) -> None:
    world.known()
    found = draft(world)
    world.attest()
    tamper(world.store, "UPDATE draft_decisions SET outcome = 'accepted'")
    with pytest.raises(Tampered, match="draft_decisions"):
        found.decided("any", 2)
