# SPDX-License-Identifier: Apache-2.0
"""Rates: exactly so many boots are released, whoever asks at once and of whichever server."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from pykexec.policy.model import Limit
from pykexec.server.errors import RateExceeded, StoreError
from pykexec.server.keys.masterkey import LocalMasterKey
from pykexec.server.store import attestations, release_rates
from pykexec.server.store.records import AttestationRecord, Machine
from pykexec.server.store.store import Store
from tests.support.store_samples import (
    MASTER,
    NOW,
    OPERATOR,
    enrolled,
    next_boot,
    record,
    with_secret,
)

HOUR = timedelta(hours=1)
RACK = Limit("rack", 2, 3600, "rack=7", asks=True)


def racked(store: Store, number: int, **labels: str) -> tuple[Machine, AttestationRecord]:
    """A machine with tags, and a release to it that a rate is to be looked at for."""
    machine = enrolled(store, number)
    machine = store.set_tags(machine.id, labels, OPERATOR)
    nonce = b"%d" % number
    return machine, replace(record(machine, nonce, with_secret(store, machine)), rates=(RACK,))


def at(item: AttestationRecord, time: datetime, nonce: bytes = b"again") -> AttestationRecord:
    """The machine's next boot, later."""
    assert item.counters
    return replace(item, time=time, nonce=nonce, counters=next_boot(item.counters))


def test_the_limit_is_reached_and_left_again(store: Store) -> None:
    items = [racked(store, number, rack="7")[1] for number in (1, 2, 3)]
    for item in items[:2]:
        store.record_attestation(item)
    with pytest.raises(RateExceeded, match="rack: 2 releases of tag rack=7 in 1 h, 2 may be") as no:
        store.record_attestation(items[2])
    assert no.value.asks
    almost = replace(items[2], time=NOW + HOUR - timedelta(milliseconds=1))
    with pytest.raises(RateExceeded):
        store.record_attestation(almost)
    store.record_attestation(replace(items[2], time=NOW + HOUR))


def test_attempts_do_not_count(store: Store) -> None:
    machine, item = racked(store, 1, rack="7")
    for number in range(5):
        nonce = b"refused %d" % number
        store.record_attestation(replace(record(machine, nonce), accepted=False))
    store.record_attestation(item)
    assert counted(store, {"rack": "7"}) == {"rack": 1}


def test_releases_by_other_policies_count(store: Store) -> None:
    for number in (1, 2):
        store.record_attestation(replace(racked(store, number, rack="7")[1], rates=()))
    with pytest.raises(RateExceeded):
        store.record_attestation(racked(store, 3, rack="7")[1])


def test_a_machine_without_the_tag_is_not_limited_by_it(store: Store) -> None:
    for number in (1, 2, 3):
        store.record_attestation(racked(store, number, rack="8")[1])


def counted(store: Store, labels: dict[str, str], limit: Limit = RACK) -> dict[str, int]:
    return store.database.read(
        lambda connection: release_rates.counts(connection, [limit], labels, None, NOW)
    )


def test_each_value_of_a_tag_is_counted_by_itself_and_none_too(store: Store) -> None:
    each = Limit("each", 10, 3600, "rack")
    labels: tuple[dict[str, str], ...]
    labels = ({"rack": "7"}, {"rack": "7", "x": '"rack":'}, {"rack": "8"}, {}, {"x": '"rack":"7"'})
    for number, tags in enumerate(labels):
        store.record_attestation(racked(store, number + 1, **tags)[1])
    assert counted(store, {"rack": "7"}, each) == {"each": 2}
    assert counted(store, {"rack": "8"}, each) == {"each": 1}
    assert counted(store, {}, each) == {"each": 2}


def test_without_a_tag_the_machines_of_the_policy_are_counted(store: Store) -> None:
    store.put_policy("p", "text", OPERATOR)
    every = Limit("every", 1, 3600)
    for number, policy in ((1, None), (2, "p"), (3, "p")):
        machine, item = racked(store, number)
        store.set_policy(machine.id, policy, OPERATOR)
        item = replace(item, rates=(every,))
        if number < 3:
            store.record_attestation(item)
        else:
            with pytest.raises(RateExceeded, match="every: 1 releases in 1 h, 1 may be"):
                store.record_attestation(item)


def test_one_batch_is_counted_within_itself(store: Store) -> None:
    items = [racked(store, number, rack="7")[1] for number in range(1, 5)]
    unlimited = replace(items[0], rates=())
    with store.database.writing(store.keys) as tx:
        errors = attestations.record(tx, [unlimited, *items[1:]])
    assert [type(error) for error in errors] == [type(None), type(None), *[RateExceeded] * 2]


def test_exactly_so_many_are_released_by_servers_at_once(store: Store, store_url: str) -> None:
    items = [racked(store, number, rack="7")[1] for number in range(1, 13)]
    limit = replace(RACK, count=5)
    servers = [Store.open(store_url, LocalMasterKey(MASTER)) for _ in range(3)]

    def attempt(number: int) -> type[StoreError] | None:
        try:
            servers[number % 3].record_attestation(replace(items[number], rates=(limit,)))
        except StoreError as error:
            return type(error)
        return None

    with ThreadPoolExecutor(12) as pool:
        results = Counter(pool.map(attempt, range(len(items))))
    for server in servers:
        server.close()
    assert results == {None: 5, RateExceeded: 7}
    assert counted(store, {"rack": "7"}, replace(limit, count=100)) == {"rack": 5}


def test_a_machine_that_boots_often_counts_often(store: Store) -> None:
    _, item = racked(store, 1, rack="7")
    store.record_attestation(item)
    second = at(item, NOW + timedelta(minutes=1))
    store.record_attestation(second)
    with pytest.raises(RateExceeded):
        store.record_attestation(at(second, NOW + timedelta(minutes=2), b"third"))
