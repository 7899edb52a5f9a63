# SPDX-License-Identifier: Apache-2.0
"""Machines that wait for approval share their places: no network keeps those of others out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import insert, select

from pykexec.server import quotas
from pykexec.server.errors import EnrolmentRefused, NotFound
from pykexec.server.store import tables
from pykexec.server.store.records import AttestationRecord, Machine, Settings
from pykexec.server.store.store import Store
from pykexec.server.store.waiting import network_of
from tests.support.store_samples import NOW, OPERATOR, candidate, enrolled, tamper

STRANGER, NEIGHBOUR, OTHER = "192.0.2.9", "192.0.2.200", "198.51.100.7"
SETTINGS = Settings(first_use=True, pending_max=3)


@pytest.fixture(name="full")
def full_fixture(store: Store) -> Store:
    """A store in which one network has all places, by machines 1 to 3."""
    store.set_settings(SETTINGS, OPERATOR)
    for number in (1, 2, 3):
        store.enrol(candidate(number), STRANGER)
    return store


def waiting(store: Store) -> list[str]:
    """Fingerprints, oldest first."""
    return [machine.fingerprint for machine in reversed(store.machines("pending").items)]


def prints(*numbers: int) -> list[str]:
    return [candidate(number).ek.fingerprint for number in numbers]


def machine_of(store: Store, number: int) -> Machine:
    found = store.machine(candidate(number).ek.fingerprint)
    assert found
    return found


def has_waited(store: Store, number: int, seconds: int) -> None:
    fingerprint = candidate(number).ek.fingerprint
    change = "UPDATE machines SET first_seen = first_seen - :ms WHERE fingerprint = :who"
    tamper(store, change, ms=seconds * 1000, who=fingerprint)


def test_the_network_that_has_most_makes_room_for_another(full: Store) -> None:
    assert full.enrol(candidate(4), OTHER).state == "pending"
    assert waiting(full) == prints(2, 3, 4)
    (entry,) = full.audit_entries(action="machine.evict")
    assert (entry.actor, entry.subject) == ("server", f"machine:{prints(1)[0]}")
    assert entry.detail == {"network": "198.51.100.0/24", "reason": "another had to wait"}
    assert full.verify_audit().faults == ()


def test_a_network_puts_out_none_that_has_fewer(full: Store) -> None:
    full.enrol(candidate(4), OTHER)
    for number in (5, 6, 7):
        with pytest.raises(EnrolmentRefused, match="too many machines wait"):
            full.enrol(candidate(number), NEIGHBOUR)
    has_waited(full, 4, 10 * quotas.WAITS_S)
    with pytest.raises(EnrolmentRefused):
        full.enrol(candidate(5), NEIGHBOUR)
    assert waiting(full) == prints(2, 3, 4)


def test_shares_end_where_they_are_even(full: Store) -> None:
    full.enrol(candidate(4), OTHER)
    with pytest.raises(EnrolmentRefused):
        full.enrol(candidate(5), OTHER)
    full.set_settings(replace(SETTINGS, pending_max=4), OPERATOR)
    full.enrol(candidate(5), OTHER)
    with pytest.raises(EnrolmentRefused):
        full.enrol(candidate(6), OTHER)


@pytest.mark.parametrize(
    ("seconds", "goes"), [(quotas.WAITS_S - 60, False), (quotas.WAITS_S, True)]
)
def test_nobody_waits_for_ever_where_others_want_the_place(
    full: Store, seconds: int, goes: bool
) -> None:
    has_waited(full, 1, seconds)
    if goes:
        full.enrol(candidate(4), NEIGHBOUR)
        assert waiting(full) == prints(2, 3, 4)
        return
    with pytest.raises(EnrolmentRefused):
        full.enrol(candidate(4), NEIGHBOUR)


def test_who_has_waited_longest_goes_first(full: Store) -> None:
    for number in (4, 5):
        has_waited(full, 1, 2 * quotas.WAITS_S)
        has_waited(full, 2, quotas.WAITS_S)
        full.enrol(candidate(number), STRANGER)
    assert waiting(full) == prints(3, 4, 5)


def test_whom_an_authority_vouches_for_never_goes_for_a_stranger(store: Store) -> None:
    store.set_settings(replace(SETTINGS, certificate=False), OPERATOR)
    for number in (1, 2, 3):
        store.enrol(candidate(number, trusted=True), STRANGER)
        has_waited(store, number, 2 * quotas.WAITS_S)
    with pytest.raises(EnrolmentRefused):
        store.enrol(candidate(4), OTHER)


def test_whom_an_authority_vouches_for_need_not_wait_for_a_place(full: Store) -> None:
    full.set_settings(replace(SETTINGS, certificate=False), OPERATOR)
    full.enrol(candidate(4, trusted=True), STRANGER)
    assert waiting(full) == prints(2, 3, 4)


def test_of_whom_an_operator_has_said_something_stays(full: Store) -> None:
    full.set_name(machine_of(full, 1).id, "db1", OPERATOR)
    full.enrol(candidate(4), OTHER)
    assert waiting(full) == prints(1, 3, 4)


def test_who_is_known_otherwise_never_makes_room(full: Store) -> None:
    known = enrolled(full, 9)
    refused = full.refuse(machine_of(full, 1).id, OPERATOR)
    full.enrol(candidate(4), STRANGER)
    full.enrol(candidate(5), OTHER)
    assert waiting(full) == prints(3, 4, 5)
    assert full.machine_by_id(known.id).state == "enrolled"
    assert full.machine_by_id(refused.id).state == "refused"


def test_whoever_comes_again_keeps_its_place_and_takes_no_second(full: Store) -> None:
    assert full.enrol(candidate(1), OTHER) == machine_of(full, 1)
    assert waiting(full) == prints(1, 2, 3)


def test_who_made_room_may_come_again(full: Store) -> None:
    full.enrol(candidate(4), OTHER)
    full.set_settings(replace(SETTINGS, pending_max=4), OPERATOR)
    assert full.enrol(candidate(1), STRANGER).state == "pending"
    assert full.verify_audit().faults == ()


def test_what_was_kept_of_it_goes_along(full: Store) -> None:
    gone = machine_of(full, 1)
    record = AttestationRecord(
        NOW, gone.fingerprint, gone.id, False, (), None, STRANGER, None, None, None, None
    )
    full.record_attestation(record)
    assert len(full.attestations(gone.id)) == 1
    full.enrol(candidate(4), OTHER)
    assert full.attestations(gone.id) == ()
    with pytest.raises(NotFound):
        full.record_attestation(record)
    with pytest.raises(NotFound):
        full.approve(gone.id, OPERATOR)


def test_a_machine_that_was_brought_back_is_found(full: Store) -> None:
    with full.database.reading() as connection:
        query = select(tables.machines).where(tables.machines.c.fingerprint == prints(1)[0])
        row = dict(connection.execute(query).mappings().one())
    full.enrol(candidate(4), OTHER)
    with full.database.changing() as connection:
        connection.execute(insert(tables.machines), row)
    (fault,) = full.verify_audit().faults
    assert "is pending, but was left gone" in fault


def test_none_may_wait_where_none_is_to(store: Store) -> None:
    store.set_settings(replace(SETTINGS, pending_max=0), OPERATOR)
    with pytest.raises(EnrolmentRefused, match="too many"):
        store.enrol(candidate(1), OTHER)


@pytest.mark.parametrize("number", [1, 2])
def test_fewer_places_than_there_were_are_shared_all_the_same(full: Store, number: int) -> None:
    full.set_settings(replace(SETTINGS, pending_max=number), OPERATOR)
    full.enrol(candidate(4), OTHER)
    assert waiting(full) == prints(2, 3, 4)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.9", "192.0.2.0/24"),
        ("::ffff:192.0.2.9", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("unknown", "unknown"),
        ("", ""),
    ],
)
def test_a_peer_is_counted_for_its_network(address: str, network: str) -> None:
    assert network_of(address) == network
