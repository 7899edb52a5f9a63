# SPDX-License-Identifier: Apache-2.0
"""What is destroyed has a certificate, which anybody can check who has noted the server's key."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from pykexec.attest.fields import from_base64url
from pykexec.errors import FormatError
from pykexec.server.canonical import now
from pykexec.server.errors import StoreError
from pykexec.server.keys import destruction
from pykexec.server.store.machine_keys import MachineKeys
from pykexec.server.store.records import Settings
from pykexec.server.store.store import Store
from tests.support.store_samples import OPERATOR, enrolled, tamper, with_secret


def test_a_value_whose_time_is_over_is_certified_to_be_gone(store: Store) -> None:
    machine = enrolled(store)
    with_secret(store, machine, b"old")
    with_secret(store, machine, b"new")
    keys = MachineKeys(store)
    store.purge(now() + timedelta(days=29))
    assert keys.destroyed(machine.id) == ()
    store.purge(now() + timedelta(days=31))
    (text,) = keys.destroyed(machine.id)
    said = destruction.check(text.encode(), destruction.public_key(store.keys))
    assert (said["machine"], said["name"], said["kind"], said["generation"]) == (
        (machine.fingerprint, "disk", "luks-passphrase", 1)
    )
    store.purge(now() + timedelta(days=31))
    assert len(keys.destroyed(machine.id)) == 1
    (entry,) = store.audit_entries(action="key.destroy")
    assert entry.detail == {"name": "disk", "version": 1}


def test_a_value_that_is_not_kept_is_certified_at_once(store: Store) -> None:
    store.set_settings(Settings(destroy_days=0), OPERATOR)
    machine = enrolled(store)
    with_secret(store, machine)
    store.revoke_secret(machine.id, "disk", OPERATOR)
    assert len(MachineKeys(store).destroyed(machine.id)) == 1


def test_a_certificate_is_checked_without_any_of_this(store: Store) -> None:
    said = destruction.statement("f" * 64, "disk", "file", 1, now(), now(), now())
    found = json.loads(destruction.certify(store.keys, said))
    key = Ed25519PublicKey.from_public_bytes(from_base64url(found["key"], "key"))
    message = b"pykexec destruction 1\0" + found["statement"].encode()
    key.verify(from_base64url(found["signature"], "signature"), message)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"statement": "{}"}, "its signature is wrong"),
        ({"signature": "A" * 86}, "its signature is wrong"),
        ({"key": "A" * 43}, "another key than the one that was noted"),
        ({"more": 1}, "unknown key"),
    ],
)
def test_what_was_changed_is_no_certificate(
    store: Store, change: dict[str, object], fault: str
) -> None:
    said = destruction.statement("f" * 64, "disk", "file", 1, now(), now(), now())
    found = {**json.loads(destruction.certify(store.keys, said)), **change}
    with pytest.raises(FormatError, match=fault):
        destruction.check(json.dumps(found).encode(), destruction.public_key(store.keys))


def test_the_database_keeps_certificates(store: Store) -> None:
    store.set_settings(Settings(destroy_days=0), OPERATOR)
    machine = enrolled(store)
    with_secret(store, machine)
    store.revoke_secret(machine.id, "disk", OPERATOR)
    for change in ("DELETE FROM key_destructions", "UPDATE key_destructions SET certificate = ''"):
        with pytest.raises(StoreError, match="key_destructions"):
            tamper(store, change)
