# SPDX-License-Identifier: Apache-2.0
"""Secrets of the store: sealed for one machine, destroyed when replaced, wrapped anew on demand."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from pykexec.attest import protocol
from pykexec.errors import UsageError
from pykexec.server.canonical import now
from pykexec.server.errors import (
    Conflict,
    MasterKeyError,
    NotFound,
    StoreError,
    Tampered,
)
from pykexec.server.keys import envelope
from pykexec.server.keys.envelope import Keyring, WrappedKey
from pykexec.server.keys.masterkey import LocalMasterKey
from pykexec.server.store import rewrapping, secret_values
from pykexec.server.store.records import Settings
from pykexec.server.store.secret_values import VALUE_MAX
from pykexec.server.store.store import Store
from tests.support.store_samples import MASTER, OPERATOR, enrolled, tamper, with_secret

OTHER_MASTER = bytes(range(1, 33))
KEYRING = Keyring(LocalMasterKey(MASTER))


def test_a_secret_is_opened_as_it_was_put(store: Store) -> None:
    machine = enrolled(store)
    stored = with_secret(store, machine, b"\0 passphrase \xff")
    assert store.open_secrets(machine.id) == [(stored, bytearray(b"\0 passphrase \xff"))]
    assert store.secrets(machine.id) == (stored,)
    assert (stored.version, stored.created_by, stored.revoked) == (1, OPERATOR, None)


def test_a_secret_is_opened_for_its_machine_alone(store: Store) -> None:
    first, second = enrolled(store, 1), enrolled(store, 2)
    with_secret(store, first)
    assert store.open_secrets(second.id) == []


def test_putting_it_again_replaces_and_destroys_the_value(store: Store) -> None:
    machine = enrolled(store)
    with_secret(store, machine, b"old")
    new = with_secret(store, machine, b"new")
    assert store.open_secrets(machine.id) == [(new, bytearray(b"new"))]
    assert [secret.version for secret in store.secrets(machine.id, history=True)] == [2, 1]
    assert values(store) == [None, new.id]


def test_revoking_destroys_the_value(store: Store) -> None:
    machine = enrolled(store)
    with_secret(store, machine)
    assert store.revoke_secret(machine.id, "disk", OPERATOR).revoked is not None
    assert (store.open_secrets(machine.id), values(store)) == ([], [None])
    with pytest.raises(NotFound):
        store.revoke_secret(machine.id, "disk", OPERATOR)
    assert with_secret(store, machine).version == 2


def test_retiring_a_machine_destroys_its_secrets_and_no_others(store: Store) -> None:
    first, second = enrolled(store, 1), enrolled(store, 2)
    with_secret(store, first)
    kept = with_secret(store, second)
    store.retire(first.id, OPERATOR)
    assert (store.open_secrets(first.id), values(store)) == ([], [None, kept.id])
    assert store.secrets(first.id, history=True)[0].revoked is not None


def values(store: Store) -> list[int | None]:
    """Numbers of the secrets that have a key or a value, None for those that have neither."""
    with store.database.reading() as connection:
        rows = connection.exec_driver_sql("SELECT id, wrapped, sealed FROM secrets ORDER BY id")
        return [row.id if row.wrapped or row.sealed else None for row in rows]


def test_no_destroyed_value_stays_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with Store.open(f"sqlite:///{path}", LocalMasterKey(MASTER), migrate=True) as store:
        store.set_settings(Settings(destroy_days=1), OPERATOR)
        machine = enrolled(store)
        with_secret(store, machine, b"x" * 100)
        with store.database.reading() as connection:
            query = "SELECT sealed, wrapped FROM secrets"
            sealed, wrapped = connection.exec_driver_sql(query).one()
        store.retire(machine.id, OPERATOR)
        assert store.purge(now() + timedelta(days=2))["secrets"] == 1
    content = path.read_bytes()
    assert machine.fingerprint.encode() in content
    assert sealed[:24] not in content and wrapped[:24] not in content


@pytest.mark.parametrize(
    ("name", "kind", "parameters", "value"),
    [
        ("", "file", {}, b"x"),
        ("a\0b", "file", {}, b"x"),
        ("n" * 257, "file", {}, b"x"),
        ("n", "password", {}, b"x"),
        ("n", "file", {"volume": "x"}, b"x"),
        ("n", "file", {"file": ""}, b"x"),
        ("n", "file", {"file": "a\nb"}, b"x"),
        ("n", "file", {}, b""),
        ("n", "file", {}, bytes(VALUE_MAX + 1)),
    ],
)
def test_what_could_not_be_released_is_not_stored(
    store: Store, name: str, kind: str, parameters: dict[str, str], value: bytes
) -> None:
    machine = enrolled(store)
    with pytest.raises(UsageError):
        store.put_secret(machine.id, name, kind, parameters, value, OPERATOR)
    assert store.secrets(machine.id, history=True) == ()


def test_a_machine_has_no_more_secrets_than_a_release(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secret_values, "SECRETS_MAX", 3)
    machine = enrolled(store)
    for number in range(3):
        store.put_secret(machine.id, f"s{number}", "file", {}, b"x", OPERATOR)
    with pytest.raises(Conflict, match="at most 3"):
        store.put_secret(machine.id, "more", "file", {}, b"x", OPERATOR)
    store.put_secret(machine.id, "s0", "file", {}, b"y", OPERATOR)


@pytest.mark.parametrize("kind", protocol.SECRET_KINDS)
def test_every_kind_with_all_its_parameters_is_stored(store: Store, kind: str) -> None:
    machine = enrolled(store)
    parameters = dict.fromkeys(protocol.SECRET_KINDS[kind], "x")
    stored = store.put_secret(machine.id, "n", kind, parameters, bytearray(b"v"), OPERATOR)
    assert (stored.kind, stored.parameters) == (kind, parameters)


@pytest.mark.parametrize(
    "change",
    [
        "machine_id = 2",
        "name = 'other'",
        "kind = 'luks-key'",
        'parameters = \'{"volume":"home"}\'',
        "wrapped = (SELECT wrapped FROM secrets WHERE machine_id = 2)",
        "sealed = (SELECT sealed FROM secrets WHERE machine_id = 2)",
        "wrapped = (SELECT wrapped FROM secrets WHERE machine_id = 2),"
        " sealed = (SELECT sealed FROM secrets WHERE machine_id = 2)",
    ],
)
def test_a_value_cannot_be_moved(store: Store, change: str) -> None:
    first, second = enrolled(store, 1), enrolled(store, 2)
    with_secret(store, first)
    store.put_secret(second.id, "key", "file", {}, b"other", OPERATOR)
    tamper(store, f"UPDATE secrets SET {change} WHERE machine_id = 1")
    with pytest.raises(Tampered):
        store.open_secrets(second.id if "machine_id = 2" == change else first.id)


def test_nothing_is_opened_by_another_master_key(store_url: str) -> None:
    with Store.open(store_url, LocalMasterKey(MASTER)) as store:
        with_secret(store, enrolled(store))
    with pytest.raises(MasterKeyError, match="wrapped by the master key local:"):
        Store.open(store_url, LocalMasterKey(OTHER_MASTER))


def test_all_keys_are_wrapped_anew(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewrapping, "_ROWS_AT_ONCE", 2)
    old, new = LocalMasterKey(MASTER), LocalMasterKey(OTHER_MASTER)
    with Store.open(store_url, old) as store:
        for number in range(5):
            with_secret(store, enrolled(store, number), b"%d" % number)
        derived = store.derived_key("x")
    with Store.open(store_url, new, previous=[old]) as store:
        assert store.rewrap(OPERATOR) == 6
    # A server that has only one of the two keys goes on all the while, whichever it is.
    for key in (old, new):
        with Store.open(store_url, key) as store:
            assert [bytes(store.open_secrets(n + 1)[0][1]) for n in (0, 4)] == [b"0", b"4"]
            assert (store.derived_key("x"), store.verify_audit().faults) == (derived, ())
            assert store.secrets(1)[0].key_id == new.key_id
    with Store.open(store_url, old) as store:
        store.put_secret(2, "late", "file", {}, b"late", OPERATOR)
    with Store.open(store_url, new, previous=[old]) as store:
        assert store.rewrap(OPERATOR, finish=True) == 7
    with Store.open(store_url, new) as store:
        assert [bytes(value) for _, value in store.open_secrets(2)] == [b"1", b"late"]
    with pytest.raises(MasterKeyError):
        Store.open(store_url, old)


def test_a_secret_that_is_kept_is_wrapped_anew_too(store_url: str) -> None:
    old, new = LocalMasterKey(MASTER), LocalMasterKey(OTHER_MASTER)
    with Store.open(store_url, old) as store:
        machine = enrolled(store)
        with_secret(store, machine, b"first")
        store.revoke_secret(machine.id, "disk", OPERATOR)
    with Store.open(store_url, new, previous=[old]) as store:
        store.rewrap(OPERATOR, finish=True)
    with Store.open(store_url, new) as store:
        store.restore_secret(machine.id, "disk", 1, OPERATOR)
        assert bytes(store.open_secrets(machine.id)[0][1]) == b"first"


def test_what_was_replaced_or_revoked_can_be_restored_for_a_while(store: Store) -> None:
    machine = enrolled(store)
    with_secret(store, machine, b"first")
    with_secret(store, machine, b"second")
    history = store.secrets(machine.id, history=True)
    assert [bool(one.kept_until) for one in history] == [False, True]
    store.restore_secret(machine.id, "disk", 1, OPERATOR)
    assert bytes(store.open_secrets(machine.id)[0][1]) == b"first"
    store.revoke_secret(machine.id, "disk", OPERATOR)
    assert store.open_secrets(machine.id) == []
    (second,) = store.restore_secret(machine.id, "disk", 2, OPERATOR)
    assert (second.version, bytes(store.open_secrets(machine.id)[0][1])) == (2, b"second")
    with pytest.raises(NotFound, match="nothing is kept of version 2"):
        store.restore_secret(machine.id, "disk", 2, OPERATOR)
    assert store.purge(now() + timedelta(days=29))["secrets"] == 0
    assert store.purge(now() + timedelta(days=31))["secrets"] == 1
    with pytest.raises(NotFound):
        store.restore_secret(machine.id, "disk", 1, OPERATOR)
    actions = [entry.action for entry in store.audit_entries(limit=6)]
    assert actions.count("secret.restore") == 2 and "secret.destroy" in actions


def test_nothing_is_kept_where_that_was_said(store: Store) -> None:
    store.set_settings(Settings(destroy_days=0), OPERATOR)
    machine = enrolled(store)
    with_secret(store, machine)
    store.retire(machine.id, OPERATOR)
    with pytest.raises(Conflict, match="retired for good"):
        store.reinstate(machine.id, OPERATOR)


def test_a_retirement_can_be_taken_back_while_its_secrets_are_kept(store: Store) -> None:
    machine = enrolled(store)
    with_secret(store, machine, b"key")
    store.retire(machine.id, OPERATOR)
    with pytest.raises(Conflict, match="reinstate it first"):
        store.restore_secret(machine.id, "disk", 1, OPERATOR)
    assert store.reinstate(machine.id, OPERATOR, "a mistake").state == "refused"
    with pytest.raises(Conflict, match="not retired"):
        store.reinstate(machine.id, OPERATOR)
    store.restore_secret(machine.id, "disk", 1, OPERATOR)
    assert bytes(store.open_secrets(machine.id)[0][1]) == b"key"
    store.retire(machine.id, OPERATOR)
    store.purge(now() + timedelta(days=31))
    with pytest.raises(Conflict, match="retired for good"):
        store.reinstate(machine.id, OPERATOR)
    with pytest.raises(StoreError, match="machines: final"):
        tamper(store, "UPDATE machines SET state = 'refused'")


def test_a_store_that_lost_its_key_is_not_given_a_new_one(store_url: str) -> None:
    with Store.open(store_url, LocalMasterKey(MASTER)) as store:
        enrolled(store)
        tamper(store, "DELETE FROM store_key")
    with pytest.raises(Tampered, match="its key is gone"):
        Store.open(store_url, LocalMasterKey(MASTER))


@pytest.mark.parametrize("size", [1, 15, 16, 17, 156, 4096])
def test_an_envelope_gives_back_what_was_sealed(size: int) -> None:
    value = os.urandom(size)
    wrapped, sealed = envelope.seal(KEYRING, b"context", value)
    assert envelope.open_sealed(KEYRING, b"context", wrapped, sealed) == value


def test_the_same_value_is_never_sealed_the_same() -> None:
    first, second = (envelope.seal(KEYRING, b"context", b"value") for _ in range(2))
    assert first[1] != second[1] and first[0].data != second[0].data


@pytest.mark.parametrize("position", [0, 11, 12, -17, -16, -1])
def test_a_changed_bit_is_noticed(position: int) -> None:
    wrapped, sealed = envelope.seal(KEYRING, b"context", b"value")
    changed = bytearray(sealed)
    changed[position] ^= 1
    with pytest.raises(Tampered):
        envelope.open_sealed(KEYRING, b"context", wrapped, bytes(changed))
    key = bytearray(wrapped.data)
    key[position] ^= 1
    with pytest.raises(MasterKeyError):
        bad = WrappedKey(bytes(key), wrapped.key_id)
        envelope.open_sealed(KEYRING, b"context", bad, sealed)


@pytest.mark.parametrize("sealed", [b"", bytes(27), bytes(28)])
def test_a_short_value_is_noticed(sealed: bytes) -> None:
    wrapped, _ = envelope.seal(KEYRING, b"context", b"value")
    with pytest.raises(Tampered):
        envelope.open_sealed(KEYRING, b"context", wrapped, sealed)


def test_another_context_opens_nothing() -> None:
    wrapped, sealed = envelope.seal(KEYRING, b"context", b"value")
    with pytest.raises(Tampered, match="not of the place"):
        envelope.open_sealed(KEYRING, b"other", wrapped, sealed)


def test_wiping_leaves_zeros() -> None:
    buffer = bytearray(b"secret")
    envelope.wipe(buffer)
    assert buffer == bytes(6)


def test_two_secrets_are_never_one_file_on_the_machine(store: Store) -> None:
    machine, value = enrolled(store), b"key"
    store.put_secret(machine.id, "root", "luks-key", {"volume": "abc"}, value, OPERATOR)
    for kind, parameters in (
        ("luks-key", {"volume": "abc"}),
        ("luks-passphrase", {"file": "abc.key"}),
        ("file", {"file": "ABC.KEY"}),
    ):
        with pytest.raises(Conflict, match=r"has the file .* already, of its secret root"):
            store.put_secret(machine.id, "other", kind, parameters, value, OPERATOR)
    store.put_secret(machine.id, "root", "luks-key", {"volume": "abc"}, b"another", OPERATOR)
    store.put_secret(machine.id, "other", "luks-key", {"volume": "abcd"}, value, OPERATOR)
    store.revoke_secret(machine.id, "root", OPERATOR)
    store.put_secret(machine.id, "third", "luks-key", {"volume": "abc"}, value, OPERATOR)
