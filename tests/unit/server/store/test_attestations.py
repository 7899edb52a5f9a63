# SPDX-License-Identifier: Apache-2.0
"""Attestations of the store: nonces are used once, boots are given secrets once, by whomever."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Event

import pytest

from pykexec.attest.verdict import Finding
from pykexec.server import quotas
from pykexec.server.errors import (
    AlreadyReleased,
    Conflict,
    NotFound,
    NotReleasable,
    Replayed,
    StoreError,
)
from pykexec.server.keys.masterkey import LocalMasterKey
from pykexec.server.store.records import AttestationRecord, Settings
from pykexec.server.store.store import Store
from pykexec.server.store.writer import ENOUGH, Writer
from tests.support.store_samples import (
    BOOT,
    MASTER,
    NOW,
    OPERATOR,
    candidate,
    enrolled,
    next_boot,
    nonce_used,
    record,
    tamper,
    with_secret,
)

TEMPLATE = AttestationRecord(NOW, "", 1, True, (), None, "", None, None, None, None)
HOSTILE = Finding("log.text", "\0 \ud800 \U0001f600 ' -- \x1b[2J", refuses=False)


def test_an_attestation_is_recorded_with_all_of_it(store: Store) -> None:
    machine = enrolled(store)
    secret = with_secret(store, machine)
    policy = store.put_policy("p", "text", OPERATOR)
    given = replace(record(machine, b"nonce", secret), policy=("p", 1), findings=(HOSTILE,))
    store.record_attestation(given)
    (found,) = store.attestations()
    assert found == store.attestation(found.id)
    for key in ("time", "fingerprint", "machine_id", "accepted", "findings", "peer", "counters"):
        assert getattr(found, key) == getattr(given, key)
    assert (found.policy, found.released) == ((policy.name, policy.version), ("disk",))
    after = store.machine_by_id(machine.id)
    assert (after.last_seen, after.last_accepted, after.last_counters) == (NOW, True, BOOT)
    assert (after.last_findings, after.last_ak_name) == ((HOSTILE,), given.ak_name)


def test_a_nonce_is_used_once(store: Store) -> None:
    machine = enrolled(store)
    assert not nonce_used(store, b"nonce")
    store.record_attestation(record(machine, b"nonce"))
    assert nonce_used(store, b"nonce")
    with pytest.raises(Replayed):
        store.record_attestation(record(machine, b"nonce"))
    assert len(store.attestations()) == 1


def test_a_boot_is_given_secrets_once(store: Store) -> None:
    machine = enrolled(store)
    secret = with_secret(store, machine)
    store.record_attestation(record(machine, b"1", secret))
    with pytest.raises(AlreadyReleased):
        store.record_attestation(record(machine, b"2", secret))
    assert not nonce_used(store, b"2"), "nothing was recorded"
    store.record_attestation(record(machine, b"2"))
    store.record_attestation(record(machine, b"3", secret, boot=replace(BOOT, restart_count=1)))
    store.record_attestation(record(machine, b"4", secret, boot=next_boot(BOOT)))
    other = enrolled(store, 2)
    store.record_attestation(record(other, b"5", with_secret(store, other)))


@pytest.mark.parametrize("state", ["pending", "refused", "retired"])
def test_nothing_is_released_to_a_machine_that_lost_its_state(store: Store, state: str) -> None:
    machine = enrolled(store)
    secret = with_secret(store, machine)
    tamper(store, "UPDATE machines SET state = :state", state=state)
    with pytest.raises(NotReleasable, match=f"is {state}"):
        store.record_attestation(record(machine, b"1", secret))


def test_a_secret_that_was_replaced_meanwhile_is_not_released(store: Store) -> None:
    machine = enrolled(store)
    old = with_secret(store, machine)
    with_secret(store, machine)
    with pytest.raises(NotReleasable, match="replaced or revoked"):
        store.record_attestation(record(machine, b"1", old))
    store.revoke_secret(machine.id, "disk", OPERATOR)
    with pytest.raises(NotReleasable, match="replaced or revoked"):
        store.record_attestation(record(machine, b"1", old))


def test_a_secret_of_another_machine_is_not_released(store: Store) -> None:
    machine, other = enrolled(store, 1), enrolled(store, 2)
    with pytest.raises(NotReleasable):
        store.record_attestation(record(machine, b"1", with_secret(store, other)))


@pytest.mark.parametrize("without", [{"nonce": None}, {"counters": None}, {"accepted": False}])
def test_a_release_needs_all_that_makes_it_single(store: Store, without: dict[str, object]) -> None:
    machine = enrolled(store)
    given = record(machine, b"1", with_secret(store, machine))
    with pytest.raises(NotReleasable):
        store.record_attestation(replace(given, **without))  # type: ignore[arg-type]


def test_a_record_names_one_machine(store: Store) -> None:
    first, second = enrolled(store, 1), enrolled(store, 2)
    with pytest.raises(NotFound):
        store.record_attestation(replace(record(first, b"1"), fingerprint=second.fingerprint))
    with pytest.raises(NotFound):
        store.record_attestation(replace(record(first, b"1"), machine_id=99))


def test_of_who_waits_for_approval_the_last_is_kept_and_nothing_audited(store: Store) -> None:
    store.set_settings(Settings(first_use=True), OPERATOR)
    machine, other = store.enrol(candidate(1)), store.enrol(candidate(2))
    before = store.verify_audit().entries
    for number in range(3):
        for one in (machine, other):
            nonce = b"%d %d" % (one.id, number)
            store.record_attestation(replace(record(one, nonce), accepted=False, evidence=b"e"))
    assert [item.machine_id for item in store.attestations()] == [other.id, machine.id]
    assert store.verify_audit().entries == before
    large = bytes(quotas.EVIDENCE_WAITING_MAX + 1)
    store.record_attestation(replace(record(machine, b"x"), accepted=False, evidence=large))
    assert [item.has_evidence for item in store.attestations()] == [False, True]


def test_one_machine_has_its_share_of_rows(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas, "ATTESTATIONS_KEPT", 4)
    monkeypatch.setattr(quotas, "EVIDENCE_KEPT", 2)
    busy, quiet = enrolled(store, 1), enrolled(store, 2)
    for number in range(7):
        given = replace(record(busy, b"%d" % number), accepted=False, evidence=b"e")
        store.record_attestation(given)
    store.record_attestation(replace(record(quiet, b"x"), accepted=False, evidence=b"e"))
    assert store.purge(NOW)["attestations"] == 3
    found = store.attestations(machine_id=busy.id)
    assert [item.has_evidence for item in found] == [True, True, False, False]
    assert store.attestations(machine_id=quiet.id)[0].has_evidence


@pytest.mark.parametrize("boot", [replace(BOOT, clock_ms=2**64 - 1), None])
def test_no_counter_is_too_large(store: Store, boot: object) -> None:
    machine = enrolled(store)
    store.record_attestation(replace(record(machine, b"1"), counters=boot))  # type: ignore[arg-type]
    assert len(store.attestations()) == 1


@pytest.mark.parametrize(
    ("keep", "kept"),
    [("never", [False, False]), ("refused", [True, False]), ("always", [True, True])],
)
def test_evidence_is_kept_as_the_settings_say(store: Store, keep: str, kept: list[bool]) -> None:
    machine = enrolled(store)
    store.set_settings(Settings(keep_evidence=keep), OPERATOR)
    store.record_attestation(replace(record(machine, b"1"), evidence=b"good"))
    store.record_attestation(replace(record(machine, b"2"), evidence=b"bad", accepted=False))
    found = store.attestations()
    assert [item.has_evidence for item in found] == kept
    if kept[0]:
        assert store.evidence(found[0].id) == b"bad"
    else:
        with pytest.raises(NotFound):
            store.evidence(found[0].id)


def test_attestations_are_paged_newest_first(store: Store) -> None:
    first, second = enrolled(store, 1), enrolled(store, 2)
    for number in range(4):
        store.record_attestation(record(first, b"%d" % number))
    store.record_attestation(replace(record(second, b"x"), accepted=False))
    assert [item.id for item in store.attestations(limit=2)] == [5, 4]
    assert [item.id for item in store.attestations(before=4, limit=2)] == [3, 2]
    assert [item.id for item in store.attestations(machine_id=second.id)] == [5]
    assert [item.id for item in store.attestations(accepted=False)] == [5]


def test_what_is_over_is_forgotten_and_nothing_else(store: Store) -> None:
    machine = enrolled(store)
    secret = with_secret(store, machine)
    day = timedelta(days=1)
    old = replace(record(machine, b"1", secret), time=NOW - 2 * day, nonce_expires=NOW - day)
    store.record_attestation(old)
    store.record_attestation(record(machine, b"2"))
    store.set_settings(Settings(keep_days=0), OPERATOR)
    assert store.purge(NOW) == {"nonces": 1, "secrets": 0, "approvals": 0, "attestations": 0}
    store.set_settings(Settings(keep_days=1), OPERATOR)
    assert store.purge(NOW) == {"nonces": 0, "secrets": 0, "approvals": 0, "attestations": 1}
    assert (nonce_used(store, b"1"), nonce_used(store, b"2")) == (False, True)
    assert store.released(machine.id, BOOT), "a boot never comes back"
    assert [item.id for item in store.attestations()] == [2]


def outcome(store: Store, given: AttestationRecord) -> str:
    try:
        store.record_attestation(given)
    except StoreError as error:
        return type(error).__name__
    return "recorded"


def test_of_many_at_once_one_has_the_nonce_and_one_the_boot(store_url: str) -> None:
    with (
        Store.open(store_url, LocalMasterKey(MASTER)) as one,
        Store.open(store_url, LocalMasterKey(MASTER)) as other,
        ThreadPoolExecutor(16) as pool,
    ):
        machine = enrolled(one)
        secret = with_secret(one, machine)
        same = [record(machine, b"same") for _ in range(20)]
        boot = [record(machine, b"%d" % number, secret) for number in range(20)]
        stores = (one, other) * 20
        outcomes = list(pool.map(outcome, stores, (*same, *boot)))
        assert Counter(outcomes[:20]) == {"recorded": 1, "Replayed": 19}
        assert Counter(outcomes[20:]) == {"recorded": 1, "AlreadyReleased": 19}
        assert one.verify_audit().faults == ()
        assert len(one.attestations()) == 2


@pytest.mark.parametrize("table", ["nonces", "releases"])
def test_the_database_refuses_a_second_one_too(store: Store, table: str) -> None:
    machine = enrolled(store)
    store.record_attestation(record(machine, b"1", with_secret(store, machine)))
    with pytest.raises(Conflict):
        tamper(store, f"INSERT INTO {table} SELECT * FROM {table}")


def test_the_writer_takes_what_waits_in_one_transaction_and_answers_each() -> None:
    batches: list[list[str]] = []
    started, gate = Event(), Event()

    def write(records: Sequence[AttestationRecord]) -> list[StoreError | None]:
        peers = [item.peer for item in records]
        batches.append(peers)
        started.set()
        gate.wait(10)
        if "clash" in peers:
            raise Conflict("database: clash")
        return [Replayed(peer) if peer == "again" else None for peer in peers]

    writer = Writer(write)
    futures = [writer.submit(replace(TEMPLATE, peer="first"))]
    assert started.wait(10)
    futures += [writer.submit(replace(TEMPLATE, peer=peer)) for peer in ("a", "clash", "again")]
    gate.set()
    writer.close()
    assert batches == [["first"], ["a", "clash", "again"], ["a"], ["clash"], ["again"]]
    errors = [type(future.exception()).__name__ for future in futures]
    assert errors == ["NoneType", "NoneType", "Conflict", "Replayed"]
    with pytest.raises(StoreError, match="closed"):
        writer.submit(TEMPLATE)


def test_who_comes_alone_is_written_at_once_and_who_follows_a_commit_with_others() -> None:
    batches: list[list[str]] = []
    written = Event()

    def write(records: Sequence[AttestationRecord]) -> list[StoreError | None]:
        batches.append([item.peer for item in records])
        written.set()
        return [None] * len(records)

    writer = Writer(write, gather_s=600)
    writer.submit(replace(TEMPLATE, peer="alone")).result(timeout=10)
    written.clear()
    futures = [writer.submit(replace(TEMPLATE, peer="follows"))]
    assert not written.wait(0.3)
    futures.append(writer.submit(replace(TEMPLATE, peer="with it")))
    writer.close()
    assert batches == [["alone"], ["follows", "with it"]]
    assert all(future.done() for future in futures)


def test_who_follows_waits_no_longer_than_until_there_are_enough() -> None:
    batches: list[int] = []

    def write(records: Sequence[AttestationRecord]) -> list[StoreError | None]:
        batches.append(len(records))
        return [None] * len(records)

    writer = Writer(write, gather_s=600)
    writer.submit(TEMPLATE).result(timeout=10)
    futures = [writer.submit(TEMPLATE) for _ in range(ENOUGH)]
    for future in futures:
        future.result(timeout=10)
    assert batches == [1, ENOUGH]
    writer.close()


def test_a_writer_that_fails_tells_all_who_wait() -> None:
    def write(records: Sequence[AttestationRecord]) -> list[StoreError | None]:
        raise StoreError("database: gone")

    writer = Writer(write)
    futures = [writer.submit(TEMPLATE) for _ in range(3)]
    assert {str(future.exception(timeout=10)) for future in futures} == {"database: gone"}
    writer.close()


def test_counters_never_go_backwards(store: Store) -> None:
    machine = enrolled(store)
    later = next_boot(BOOT)
    store.record_attestation(record(machine, b"1", boot=later))
    for number, boot in enumerate((BOOT, None, replace(later, clock_ms=1))):
        refused = replace(record(machine, b"2%d" % number, boot=boot), accepted=False)
        store.record_attestation(refused)
        assert store.machine_by_id(machine.id).last_counters == later


def test_a_boot_that_is_over_is_given_nothing(store: Store) -> None:
    machine = enrolled(store)
    secret = with_secret(store, machine)
    store.record_attestation(record(machine, b"1", boot=next_boot(BOOT)))
    with pytest.raises(NotReleasable, match="later boot"):
        store.record_attestation(record(machine, b"2", secret))
