# SPDX-License-Identifier: Apache-2.0
"""Quarantine: who is in it, that nothing is released to it, and that nobody lifts it unseen."""

from __future__ import annotations

import pytest

from pykexec.errors import UsageError
from pykexec.policy.model import QuarantineDemand
from pykexec.server.errors import Conflict, NotFound, NotReleasable, Tampered
from pykexec.server.store.quarantine import Quarantine
from pykexec.server.store.records import Machine
from pykexec.server.store.store import Store
from tests.support.store_samples import OPERATOR, enrolled, record, tamper, with_secret

RACK = "tag:rack=7"


def racked(store: Store, number: int, rack: str = "7") -> Machine:
    machine = enrolled(store, number)
    store.set_name(machine.id, f"m{number}", OPERATOR)
    return store.set_tags(machine.id, {"rack": rack}, OPERATOR)


def target(machine: Machine) -> str:
    return f"machine:{machine.fingerprint}"


@pytest.mark.parametrize("by_tag", [False, True])
def test_nothing_is_released_to_what_is_in_quarantine(store: Store, by_tag: bool) -> None:
    machine = racked(store, 1)
    secret = with_secret(store, machine)
    quarantine = Quarantine(store.database, store.keys)
    name = RACK if by_tag else target(machine)
    quarantine.put(name, "worm", OPERATOR)
    with pytest.raises(NotReleasable, match="in quarantine meanwhile: worm"):
        store.record_attestation(record(machine, b"1", secret))
    other = racked(store, 2, "8")
    store.record_attestation(record(other, b"2", with_secret(store, other)))
    quarantine.lift(name, "clean", OPERATOR)
    store.record_attestation(record(machine, b"3", secret))


def test_who_is_in_it_by_name_tag_or_a_neighbour(store: Store) -> None:
    first, second, third = racked(store, 1), racked(store, 2), racked(store, 3, "8")
    quarantine = Quarantine(store.database, store.keys)

    def named(labels: dict[str, str], *machines: str, tags: tuple[str, ...] = ()) -> list[str]:
        return list(quarantine.named(QuarantineDemand(machines, tags), labels))

    assert named({"rack": "7"}, "m1", tags=("rack",)) == []
    quarantine.put(target(first), "", OPERATOR)
    assert named({}, "m1", "m2") == ["m1"]
    assert named({}, first.fingerprint) == ["m1"]
    assert named({}, second.fingerprint, "m3", "nobody") == []
    assert named({"rack": "7"}, tags=("rack",)) == ["m1"]
    assert named({"rack": "8"}, tags=("rack",)) == []
    assert named({}, tags=("rack",)) == []
    assert named({"rack": "8"}, tags=("rack=7",)) == ["m1"]
    quarantine.put(RACK, "", OPERATOR)
    assert named({}, "m2") == ["m2"], "it is by its tag"
    assert named({}, tags=("rack=7",)) == ["rack=7", "m1", "m2"]
    assert third.fingerprint not in str(quarantine.every())


@pytest.mark.parametrize("name", ["", "m1", "tag:rack", "tag:=7", "tag:rack=7\n", "state:x=y"])
def test_what_names_nothing_is_no_target(store: Store, name: str) -> None:
    with pytest.raises(UsageError, match="is neither machine:FINGERPRINT nor tag:KEY=VALUE"):
        Quarantine(store.database, store.keys).put(name, "", OPERATOR)


def test_it_is_put_and_lifted_once_by_whom_and_why(store: Store) -> None:
    quarantine = Quarantine(store.database, store.keys)
    with pytest.raises(NotFound):
        quarantine.put(f"machine:{'0' * 64}", "", OPERATOR)
    quarantine.put(RACK, "worm", OPERATOR)
    with pytest.raises(Conflict):
        quarantine.put(RACK, "", OPERATOR)
    quarantine.lift(RACK, "clean", OPERATOR)
    with pytest.raises(NotFound):
        quarantine.lift(RACK, "", OPERATOR)
    found = [(e.actor, e.action, e.subject, dict(e.detail)) for e in store.audit_entries()]
    assert found == [
        (OPERATOR, "quarantine.lift", RACK, {"reason": "clean"}),
        (OPERATOR, "quarantine.put", RACK, {"reason": "worm"}),
    ]
    assert store.verify_audit().faults == ()


def test_who_lifts_it_in_the_database_is_found(store: Store) -> None:
    Quarantine(store.database, store.keys).put(RACK, "", OPERATOR)
    tamper(store, "DELETE FROM quarantine")
    assert store.verify_audit().faults == (f"the quarantine of {RACK} was not lifted",)


def test_who_changes_it_in_the_database_is_found(store: Store) -> None:
    quarantine = Quarantine(store.database, store.keys)
    quarantine.put(RACK, "", OPERATOR)
    tamper(store, "UPDATE quarantine SET target = 'tag:rack=9'")
    with pytest.raises(Tampered, match="quarantine"):
        quarantine.every()
    assert len(store.verify_audit().faults) == 2
