# SPDX-License-Identifier: Apache-2.0
"""What has to be rotated is written down, once, and sealed."""

from __future__ import annotations

import pytest

from pykexec.server.errors import Tampered
from pykexec.server.store import rotations
from pykexec.server.store.records import Rotation, StoredSecret
from pykexec.server.store.rotations import rotation_due
from pykexec.server.store.store import Store
from pykexec.server.store.view import Reading
from tests.support.store_samples import OPERATOR, enrolled, tamper, with_secret


def _due(store: Store, secret: StoredSecret, reason: str) -> None:
    with store.database.writing(store.keys) as tx:
        rotation_due(tx, secret, reason, OPERATOR)


def _of_machine(store: Store, machine_id: int) -> dict[str, Rotation]:
    keys = store.keys
    return store.database.read(
        lambda connection: rotations.of_machine(Reading(connection, keys), machine_id)
    )


def test_a_secret_that_was_seen_is_due_and_its_first_reason_is_kept(store: Store) -> None:
    secret = with_secret(store, enrolled(store))
    _due(store, secret, "revealed to bob")
    _due(store, secret, "too old")
    found = _of_machine(store, secret.machine_id)
    assert (found["disk"].version, found["disk"].reason) == (1, "revealed to bob")
    (entry,) = store.audit_entries(action="key.rotation-due")
    assert entry.detail == {"name": "disk", "version": 1, "reason": "revealed to bob"}


def test_a_newer_generation_can_be_due_too(store: Store) -> None:
    machine = enrolled(store)
    _due(store, with_secret(store, machine), "first")
    _due(store, with_secret(store, machine), "second")
    assert _of_machine(store, machine.id)["disk"].version == 2


def test_nobody_but_the_program_takes_a_rotation_back(store: Store) -> None:
    secret = with_secret(store, enrolled(store))
    _due(store, secret, "revealed")
    tamper(store, "UPDATE key_rotations SET version = 0")
    with pytest.raises(Tampered):
        _of_machine(store, secret.machine_id)
