# SPDX-License-Identifier: Apache-2.0
"""Machines, policies and tokens of the store: what is put comes back, what is refused stays out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from pykexec.errors import UsageError
from pykexec.server.errors import Conflict, NotFound, StoreError, Tampered
from pykexec.server.keys.masterkey import LocalMasterKey
from pykexec.server.store.store import Store
from tests.support import postgresql
from tests.support.store_samples import (
    BOOT,
    MASTER,
    OPERATOR,
    candidate,
    drop_guard,
    enrolled,
    record,
    tamper,
    with_secret,
)


def test_a_machine_comes_back_as_it_was_added(store: Store) -> None:
    store.put_policy("servers", "text", OPERATOR)
    ek = candidate(1, trusted=True).ek
    machine = store.add_machine(ek, OPERATOR, "db1", "servers", {"site": "Köln"})
    assert store.machine(machine.fingerprint) == machine == store.machine_by_id(machine.id)
    assert (machine.state, machine.enrolled_by, machine.policy_version) == (
        "enrolled",
        "operator",
        1,
    )
    assert (machine.name, machine.tags) == ("db1", {"site": "Köln"})
    assert (machine.ek_public, machine.certificate) == (ek.public, ek.certificate)
    assert (machine.last_counters, machine.last_accepted) == (None, None)


def test_a_machine_is_added_once(store: Store) -> None:
    enrolled(store)
    with pytest.raises(Conflict, match="known already"):
        enrolled(store)


def test_an_unknown_machine_is_none_or_not_found(store: Store) -> None:
    assert store.machine("00" * 32) is None
    with pytest.raises(NotFound):
        store.machine_by_id(1)
    with pytest.raises(NotFound):
        store.retire(1, OPERATOR)


def test_a_policy_that_nobody_wrote_is_given_to_no_machine(store: Store) -> None:
    machine = enrolled(store)
    with pytest.raises(NotFound, match="no policy 'absent'"):
        store.set_policy(machine.id, "absent", OPERATOR)
    assert store.machine_by_id(machine.id).policy is None


def test_machines_are_paged_newest_first(store: Store) -> None:
    names = [enrolled(store, number).fingerprint for number in range(5)]
    page = store.machines(offset=1, limit=2)
    assert (page.total, [machine.fingerprint for machine in page.items]) == (5, [*names[2:4][::-1]])


@pytest.mark.parametrize(
    ("search", "count"),
    [("WEB", 1), ("köln", 1), ("fb39", 0), ("%", 0), ("_", 0), ("", 3)],
)
def test_search_finds_text_and_knows_no_wildcards(store: Store, search: str, count: int) -> None:
    store.add_machine(candidate(1).ek, OPERATOR, "web1", tags={"site": "bonn"})
    store.add_machine(candidate(2).ek, OPERATOR, "db1", tags={"site": "köln"})
    store.add_machine(candidate(3).ek, OPERATOR)
    assert store.machines(search=search).total == count


def test_a_machine_is_found_by_the_start_of_its_fingerprint(store: Store) -> None:
    machine = enrolled(store)
    assert store.machines(search=machine.fingerprint[:12]).items == (machine,)


@pytest.mark.parametrize(
    ("tag", "count"), [(("site", "a"), 1), (("site", "b"), 0), (("a", "site"), 0), (("k", "%"), 0)]
)
def test_a_tag_is_matched_whole(store: Store, tag: tuple[str, str], count: int) -> None:
    store.add_machine(candidate().ek, OPERATOR, tags={"site": "a", "k": 'v","site":"b'})
    assert store.machines(tag=tag).total == count


@pytest.mark.parametrize(
    "tags", [{"": "x"}, {"k": "\n"}, {"k": "\0"}, {"k": "x" * 257}, {str(n): "" for n in range(65)}]
)
def test_tags_are_short_and_readable(store: Store, tags: dict[str, str]) -> None:
    machine = enrolled(store)
    with pytest.raises(UsageError):
        store.set_tags(machine.id, tags, OPERATOR)
    with pytest.raises(UsageError):
        store.set_name(machine.id, "\0", OPERATOR)


def test_states_change_and_are_counted(store: Store) -> None:
    first, second = enrolled(store, 1), enrolled(store, 2)
    store.refuse(first.id, OPERATOR, "stolen")
    assert store.machine_counts() == {"enrolled": 1, "refused": 1}
    store.approve(first.id, OPERATOR)
    store.retire(second.id, OPERATOR)
    assert store.machine_counts() == {"enrolled": 1, "retired": 1}
    assert store.machines(state="retired").items[0].id == second.id


def test_retirement_cannot_be_undone(store: Store) -> None:
    machine = enrolled(store)
    assert store.retire(machine.id, OPERATOR, "sold").state == "retired"
    for change in (store.approve, store.refuse, store.retire, store.forget_boots):
        with pytest.raises(Conflict, match="is retired"):
            change(machine.id, OPERATOR)
    with pytest.raises(Conflict, match="is retired"):
        with_secret(store, machine)
    with pytest.raises(Conflict):
        enrolled(store)
    assert store.enrol(candidate(trusted=True)).state == "retired"


def test_the_database_itself_keeps_retired_machines_retired(store: Store) -> None:
    store.retire(enrolled(store).id, OPERATOR)
    with pytest.raises(StoreError, match="machines: final"):
        tamper(store, "UPDATE machines SET state = 'enrolled'")
    with pytest.raises(StoreError, match="machines: no_delete"):
        tamper(store, "DELETE FROM machines")


@pytest.mark.parametrize(
    "change",
    [
        "state = 'enrolled'",
        "policy = NULL",
        "tags = '{}'",
        "name = 'other'",
        "enrolled_by = 'certificate'",
    ],
)
def test_a_machine_changed_behind_the_program_is_noticed(store: Store, change: str) -> None:
    store.put_policy("p", "text", OPERATOR)
    machine = store.add_machine(candidate().ek, OPERATOR, "db1", "p", {"site": "a"})
    store.refuse(machine.id, OPERATOR)
    tamper(store, f"UPDATE machines SET {change}")
    with pytest.raises(Tampered, match="machines: row"):
        store.machine(machine.fingerprint)


def test_a_fingerprint_cannot_be_given_to_another_row(store: Store) -> None:
    enrolled(store)
    with pytest.raises(StoreError, match="machines: fixed"):
        tamper(store, "UPDATE machines SET fingerprint = 'other'")
    drop_guard(store, "machines", "fixed")
    tamper(store, "UPDATE machines SET fingerprint = :other", other=candidate(2).ek.fingerprint)
    with pytest.raises(Tampered):
        store.machine(candidate(2).ek.fingerprint)


def test_forgotten_boots_can_be_given_secrets_again(store: Store) -> None:
    machine = enrolled(store)
    secret = with_secret(store, machine)
    store.record_attestation(record(machine, b"1", secret))
    assert store.released(machine.id, BOOT)
    assert store.forget_boots(machine.id, OPERATOR, "TPM cleared").last_counters is None
    assert not store.released(machine.id, BOOT)
    store.record_attestation(record(machine, b"2", secret))


def test_policies_are_versions_and_the_same_text_is_none(store: Store) -> None:
    first = store.put_policy("p", "one", OPERATOR)
    second = store.put_policy("p", "two", OPERATOR, "stricter")
    assert store.put_policy("p", "two", OPERATOR) == second
    assert (second.version, second.comment, second.created_by) == (2, "stricter", OPERATOR)
    assert store.policy("p") == second
    assert store.policy("p", 1) == first == store.policy("p", 1)
    assert store.policy_versions("p") == (second, first)
    other = store.put_policy("a", "one", OPERATOR)
    assert store.policies() == (other, second)
    for name, version in (("p", 3), ("q", None)):
        with pytest.raises(NotFound):
            store.policy(name, version)


@pytest.mark.parametrize(
    ("name", "text"), [("", "x"), ("a\nb", "x"), ("p" * 300, "x"), ("p", "\0")]
)
def test_a_policy_has_a_readable_name_and_is_text(store: Store, name: str, text: str) -> None:
    with pytest.raises(UsageError):
        store.put_policy(name, text, OPERATOR)


def test_a_policy_never_changes(store: Store, store_url: str) -> None:
    store.put_policy("p", "text", OPERATOR)
    with pytest.raises(StoreError, match="policies: append_only"):
        tamper(store, "UPDATE policies SET text = 'weak'")
    with pytest.raises(StoreError, match="policies: no_delete"):
        tamper(store, "DELETE FROM policies")
    drop_guard(store, "policies", "append_only")
    tamper(store, "UPDATE policies SET text = 'weak'")
    with Store.open(store_url, LocalMasterKey(MASTER)) as other, pytest.raises(Tampered):
        other.policy("p", 1)


def test_a_token_is_known_by_its_text_alone(store: Store) -> None:
    token, text = store.create_token("ci", "operator", OPERATOR)
    found = store.token(text)
    assert found is not None and (found.id, found.role) == (token.id, "operator")
    assert store.tokens()[0].last_used is not None
    for wrong in ("", text[:-1], text + "A", text.upper(), "pykexec_" + "A" * 43, "é", "\0"):
        assert store.token(wrong) is None


def test_a_token_ends_by_time_or_by_revocation(store: Store) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    _, expired = store.create_token("old", "admin", OPERATOR, past)
    _, revoked = store.create_token("lost", "admin", OPERATOR)
    assert store.token(revoked) is not None
    store.revoke_token("lost", OPERATOR)
    assert (store.token(expired), store.token(revoked)) == (None, None)
    with pytest.raises(NotFound):
        store.revoke_token("lost", OPERATOR)
    store.create_token("lost", "viewer", OPERATOR)
    assert [token.role for token in store.tokens()] == ["viewer", "admin", "admin"]


def test_a_name_is_one_token(store: Store) -> None:
    store.create_token("ci", "viewer", OPERATOR)
    with pytest.raises(Conflict, match="there is a token 'ci'"):
        store.create_token("ci", "admin", OPERATOR)
    with pytest.raises(UsageError, match="'root' is not one of"):
        store.create_token("x", "root", OPERATOR)


@pytest.mark.parametrize("change", ["role = 'admin'", "expires = NULL", "revoked = NULL"])
def test_a_token_changed_behind_the_program_is_noticed(store: Store, change: str) -> None:
    future = datetime.now(UTC) + timedelta(days=1)
    _, text = store.create_token("ci", "viewer", OPERATOR, future)
    if change.startswith("revoked"):
        store.revoke_token("ci", OPERATOR)
    tamper(store, f"UPDATE tokens SET {change}")
    with pytest.raises(Tampered, match="tokens"):
        store.token(text)


def test_no_token_is_in_the_database(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with Store.open(f"sqlite:///{path}", LocalMasterKey(MASTER), migrate=True) as store:
        _, text = store.create_token("ci", "viewer", OPERATOR)
    assert text.encode() not in path.read_bytes()


def test_derived_keys_differ_by_purpose_and_outlive_the_program(store_url: str) -> None:
    with Store.open(store_url, LocalMasterKey(MASTER)) as store:
        first = [store.derived_key(purpose) for purpose in ("a", "b")]
    with Store.open(store_url, LocalMasterKey(MASTER)) as store:
        assert [store.derived_key(purpose) for purpose in ("a", "b")] == first
    assert len(set(first)) == 2
    with pytest.raises(StoreError, match="closed"):
        store.derived_key("a")


@pytest.mark.parametrize(("seconds", "faults"), [(5, 0), (-25, 1), (25, 1)])
def test_health_tells_that_clocks_are_apart(
    seconds: int, faults: int, postgresql_server: postgresql.Server
) -> None:
    """The database's is what a function in front of its own says."""
    name = postgresql_server.create()
    with psycopg.connect(postgresql_server.url(name), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} SET search_path = public, pg_catalog")
        connection.execute(
            "CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS"
            f" $$ SELECT pg_catalog.clock_timestamp() + interval '{seconds} seconds' $$"
        )
    url = postgresql_server.url(name)
    with Store.open(url, LocalMasterKey(MASTER), migrate=True) as store:
        found = store.health().faults
    assert len(found) == faults
    assert all("clock and the database's are 2" in fault for fault in found)


def test_health_tells_what_is_wrong(store: Store) -> None:
    assert store.health().ok
    tamper(store, "UPDATE audit_head SET seq = 5")
    assert "head of the audit chain" in store.health().faults[0]
    with pytest.raises(Tampered):
        enrolled(store)


def test_what_was_refused_stays_out_of_an_attestation(store: Store) -> None:
    machine = enrolled(store)
    store.record_attestation(record(machine, b"1"))
    refused = replace(record(machine, b"2", boot=None), accepted=False, ak_name=None)
    store.record_attestation(refused)
    after = store.machine_by_id(machine.id)
    assert (after.last_accepted, after.last_counters) == (False, BOOT)
    assert after.last_ak_name == record(machine, None).ak_name
