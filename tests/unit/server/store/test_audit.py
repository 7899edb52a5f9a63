# SPDX-License-Identifier: Apache-2.0
"""The audit chain: everything leaves an entry, and no entry can be changed, dropped or added."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from pykexec.attest.verdict import Finding
from pykexec.server.errors import StoreError, Tampered
from pykexec.server.keys.masterkey import LocalMasterKey
from pykexec.server.store.records import EkHash, Machine, Settings
from pykexec.server.store.store import Store
from tests.support.store_samples import (
    BOOT,
    MASTER,
    OPERATOR,
    ROOT,
    candidate,
    drop_guard,
    enrolled,
    next_boot,
    record,
    tamper,
    with_secret,
)


def three(store: Store) -> None:
    """Entries 1 to 3."""
    for number in range(3):
        store.audit(OPERATOR, "login", f"page:{number}", {"peer": "192.0.2.1"})


def test_entries_are_chained_from_zeros(store: Store) -> None:
    first = store.audit(OPERATOR, "login", "page", {"peer": "ü", "n": 1})
    second = store.audit("server", "start", "server")
    assert (first.seq, first.previous, second.previous) == (1, "0" * 64, first.hash)
    assert store.audit_entries() == (second, first)
    check = store.verify_audit()
    assert (check.entries, check.hash, check.faults) == (2, second.hash, ())


def test_an_empty_chain_is_whole(store: Store) -> None:
    assert store.verify_audit((0, "0" * 64)).faults == ()


def test_every_change_leaves_an_entry(store: Store) -> None:
    store.put_policy("p", "text", OPERATOR)
    machine = enrolled(store)
    store.set_policy(machine.id, "p", OPERATOR)
    store.set_tags(machine.id, {"a": "b"}, OPERATOR)
    store.set_name(machine.id, "db1", OPERATOR)
    secret = with_secret(store, machine)
    store.record_attestation(record(machine, b"1", secret))
    store.record_attestation(record(machine, b"2"))
    refused = replace(record(machine, b"3"), accepted=False, findings=(Finding("quote.nonce", ""),))
    store.record_attestation(refused)
    store.forget_boots(machine.id, OPERATOR)
    store.refuse(machine.id, OPERATOR, "lost")
    store.approve(machine.id, OPERATOR)
    store.revoke_secret(machine.id, "disk", OPERATOR)
    store.retire(machine.id, OPERATOR)
    store.set_settings(Settings(), OPERATOR)
    store.add_ek_hashes([EkHash("0" * 64)], OPERATOR)
    store.remove_ek_hash("0" * 64, OPERATOR)
    root = store.add_ek_root(ROOT, OPERATOR)
    store.remove_ek_root(root.sha256, OPERATOR)
    store.create_token("ci", "viewer", OPERATOR)
    store.revoke_token("ci", OPERATOR)
    store.rewrap(OPERATOR)
    assert [entry.action for entry in reversed(store.audit_entries())] == [
        "policy.put",
        "machine.add",
        "machine.policy",
        "machine.tags",
        "machine.name",
        "secret.put",
        "attestation.released",
        "attestation.accepted",
        "attestation.refused",
        "machine.forget-boots",
        "machine.refuse",
        "machine.approve",
        "secret.revoke",
        "machine.retire",
        "settings.set",
        "ek-hash.add",
        "ek-hash.remove",
        "ek-root.add",
        "ek-root.remove",
        "token.create",
        "token.revoke",
        "rewrap",
    ]
    assert store.verify_audit().faults == ()


def test_an_attestation_says_what_and_why(store: Store) -> None:
    machine = enrolled(store)
    secret = with_secret(store, machine)
    store.record_attestation(record(machine, b"1", secret))
    refused = replace(record(machine, b"2"), accepted=False, findings=(Finding("quote.nonce", ""),))
    store.record_attestation(refused)
    why, what = store.audit_entries(limit=2)
    assert what.subject == why.subject == f"machine:{machine.fingerprint}"
    assert what.detail == {"peer": "192.0.2.1", "released": [["disk", 1]], "boot": [7, 0]}
    assert why.detail == {"peer": "192.0.2.1", "reasons": ["quote.nonce"], "boot": [7, 0]}


def test_no_value_of_a_secret_is_in_the_chain(store: Store) -> None:
    with_secret(store, enrolled(store), b"passphrase")
    assert "passphrase" not in "".join(store.export_audit()).replace("luks-passphrase", "")


def test_a_change_that_fails_leaves_no_entry(store: Store) -> None:
    enrolled(store)
    with pytest.raises(StoreError):
        store.add_machine(candidate(2).ek, OPERATOR, policy="absent")
    with pytest.raises(StoreError):
        store.retire(5, OPERATOR)
    assert store.verify_audit().entries == 1


def test_entries_are_selected(store: Store) -> None:
    three(store)
    store.audit("server", "start", "page:1")
    assert [entry.seq for entry in store.audit_entries(subject="page:1")] == [4, 2]
    assert [entry.seq for entry in store.audit_entries(actor="server")] == [4]
    assert [entry.seq for entry in store.audit_entries(action="login", before=3)] == [2, 1]
    assert [entry.seq for entry in store.audit_entries(limit=1)] == [4]


@pytest.mark.parametrize(
    ("statement", "guard"),
    [
        ("UPDATE audit SET actor = 'x' WHERE seq = 2", "append_only"),
        ("DELETE FROM audit WHERE seq = 3", "no_delete"),
    ],
)
def test_the_database_refuses_to_change_entries(store: Store, statement: str, guard: str) -> None:
    three(store)
    with pytest.raises(StoreError, match=f"audit: {guard}"):
        tamper(store, statement)
    assert store.verify_audit().entries == 3


def test_the_database_refuses_to_replace_or_truncate(store: Store) -> None:
    three(store)
    sqlite = store.database.kind == "sqlite"
    statement = "INSERT OR REPLACE INTO audit SELECT * FROM audit" if sqlite else "TRUNCATE audit"
    with pytest.raises(StoreError, match="audit: no_replace" if sqlite else "audit: no_truncate"):
        tamper(store, statement)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("UPDATE audit SET time = time + 1 WHERE seq = 2", "entry 2 was changed"),
        ("UPDATE audit SET actor = 'x' WHERE seq = 2", "entry 2 was changed"),
        ("UPDATE audit SET action = 'x' WHERE seq = 2", "entry 2 was changed"),
        ("UPDATE audit SET subject = 'x' WHERE seq = 2", "entry 2 was changed"),
        ("UPDATE audit SET detail = '{}' WHERE seq = 2", "entry 2 was changed"),
        ("UPDATE audit SET detail = '{ }' WHERE seq = 2", "a detail that was rewritten"),
        ("UPDATE audit SET detail = '{' WHERE seq = 2", "a detail that is no JSON"),
        ("UPDATE audit SET previous = hash WHERE seq = 2", "entry 2 does not follow"),
        ("UPDATE audit SET hash = previous WHERE seq = 2", "entry 3 does not follow"),
        ("UPDATE audit SET hash = previous WHERE seq = 3", "the chain ends with entry 3"),
        ("DELETE FROM audit WHERE seq = 1", "entries 1 to 1 are missing"),
        ("DELETE FROM audit WHERE seq = 2", "entries 2 to 2 are missing"),
        ("DELETE FROM audit WHERE seq = 3", "entries 3 to 3 are missing at the end"),
        ("DELETE FROM audit", "entries 1 to 3 are missing at the end"),
        ("UPDATE audit SET seq = 9 WHERE seq = 3", "entries 3 to 8 are missing"),
        ("DELETE FROM audit_head", "the chain has no head"),
        ("UPDATE audit_head SET seq = 2", "the head of the audit chain is not as"),
    ],
)
def test_every_change_behind_the_program_is_found(store: Store, change: str, fault: str) -> None:
    three(store)
    drop_guard(store, "audit", "append_only")
    drop_guard(store, "audit", "no_delete")
    tamper(store, change)
    assert any(fault in found for found in store.verify_audit().faults)


def test_a_chain_that_was_cut_with_its_head_is_found(store: Store) -> None:
    three(store)
    drop_guard(store, "audit", "no_delete")
    tamper(store, "DELETE FROM audit WHERE seq = 3")
    tamper(
        store,
        "UPDATE audit_head SET seq = 2, hash = (SELECT hash FROM audit WHERE seq = 2)",
    )
    assert "head of the audit chain" in store.verify_audit().faults[0]
    with pytest.raises(Tampered):
        store.audit(OPERATOR, "login", "page")


def test_a_chain_that_was_rolled_back_is_found_by_what_was_noted(store: Store) -> None:
    three(store)
    noted = store.audit_entries(limit=1)[0]
    assert store.verify_audit((noted.seq, noted.hash)).faults == ()
    assert store.verify_audit((3, "0" * 64)).faults[0].startswith("the chain has no entry 3")
    assert store.verify_audit((4, noted.hash)).faults != ()


def test_the_export_can_be_checked_without_the_program(store: Store) -> None:
    three(store)
    previous = "0" * 64
    for line in store.export_audit():
        entry = json.loads(line)
        digest = entry.pop("hash")
        text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert (entry["previous"], hashlib.sha256(text.encode()).hexdigest()) == (previous, digest)
        previous = digest
    assert previous == store.verify_audit().hash


def test_the_chain_stays_linear_under_many_writers(store_url: str) -> None:
    with (
        Store.open(store_url, LocalMasterKey(MASTER)) as one,
        Store.open(store_url, LocalMasterKey(MASTER)) as other,
        ThreadPoolExecutor(8) as pool,
    ):
        stores = (one, other) * 20
        entries = list(pool.map(lambda store: store.audit("server", "x", "y"), stores))
        assert sorted(entry.seq for entry in entries) == list(range(1, 41))
        assert one.verify_audit() == other.verify_audit()
        assert one.verify_audit().faults == ()


def lived(store: Store) -> Machine:
    """A machine that was given its secret in two boots, under a policy with two versions."""
    machine = enrolled(store)
    secret = with_secret(store, machine)
    for text in ("first", "second"):
        store.put_policy("p", text, OPERATOR)
    store.record_attestation(record(machine, b"1", secret))
    store.record_attestation(record(machine, b"2", secret, boot=next_boot(BOOT)))
    store.create_token("ci", "viewer", OPERATOR)
    store.revoke_token("ci", OPERATOR)
    assert store.verify_audit().faults == ()
    return machine


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("DELETE FROM policies WHERE version = 2", "the newest version is 1, not 2"),
        ("DELETE FROM releases WHERE reset_count = 8", "releases are not those that were made"),
        ("UPDATE releases SET reset_count = 9 WHERE reset_count = 8", "releases are not those"),
        ("UPDATE machines SET reset_count = 7", "its counters were set back"),
        ("UPDATE machines SET reset_count = NULL, restart_count = NULL", "were set back"),
        ("UPDATE tokens SET revoked = NULL", "token 'ci' counts, but was revoked"),
    ],
)
def test_state_that_was_set_back_is_found_by_the_chain(
    store: Store, change: str, fault: str
) -> None:
    lived(store)
    drop_guard(store, "policies", "no_delete")
    tamper(store, change)
    assert any(fault in found for found in store.verify_audit().faults)


def test_a_machine_that_was_brought_back_is_found_by_the_chain(store: Store) -> None:
    machine = lived(store)
    with store.database.reading() as connection:
        (seal,) = connection.exec_driver_sql("SELECT seal FROM machines").one()
    store.refuse(machine.id, OPERATOR)
    assert store.verify_audit().faults == ()
    tamper(store, "UPDATE machines SET state = 'enrolled', seal = :seal", seal=seal)
    assert store.machine_by_id(machine.id).state == "enrolled", "its seal is good"
    assert "is enrolled, but was left refused" in store.verify_audit().faults[0]


def test_boots_that_were_forgotten_are_not_missed(store: Store) -> None:
    machine = lived(store)
    store.forget_boots(machine.id, OPERATOR)
    assert store.verify_audit().faults == ()
