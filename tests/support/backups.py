# SPDX-License-Identifier: Apache-2.0
"""Backups for tests: a store with something in every corner, and what comes back of it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pyrage

from pykexec.server.backup import rows
from pykexec.server.backup.age import parse_identities, parse_recipient
from pykexec.server.backup.backup import write_backup
from pykexec.server.backup.header import Header
from pykexec.server.backup.restore import Restored, restore
from pykexec.server.backup.rollback import Anchor
from pykexec.server.keys.envelope import Keyring
from pykexec.server.keys.masterkey import LocalMasterKey
from pykexec.server.store.accounts import Accounts
from pykexec.server.store.database import Database
from pykexec.server.store.logins import Logins
from pykexec.server.store.machine_keys import MachineKeys
from pykexec.server.store.quarantine import Quarantine
from pykexec.server.store.records import EkHash, KeyPlan, Settings
from pykexec.server.store.rollouts import Rollouts
from pykexec.server.store.store import Store
from tests.support.store_samples import (
    BOOT,
    MASTER,
    OPERATOR,
    ROOT,
    enrolled,
    next_boot,
    record,
    with_secret,
)

PASSWORD = "correct horse battery staple"
POLICY = 'version = 1\nname = "servers"\nallow_any_image = true\n'
VALUE = b"the passphrase of web-1"
KEY = LocalMasterKey(MASTER)
_IDENTITY = pyrage.x25519.Identity.generate()
IDENTITIES = parse_identities(str(_IDENTITY))
RECIPIENTS = [parse_recipient(str(_IDENTITY.to_public()))]


def populate(store: Store) -> None:
    """An operator who is logged in, machines, secrets of all ages, boots, tokens, policies."""
    accounts = Accounts(store.database, store.keys)
    accounts.create("anna", "admin", PASSWORD, "init")
    assert Logins(accounts).login("anna", PASSWORD, "192.0.2.9", None)
    store.put_policy("servers", POLICY, OPERATOR, "first\u2028\r\n")
    store.set_settings(Settings(default_policy="servers"), OPERATOR)
    store.add_ek_root(ROOT, OPERATOR)
    store.add_ek_hashes([EkHash("ab" * 32, "web-9", {"site": "north"}, "servers")], OPERATOR)
    store.create_token("ci", "operator", OPERATOR)
    machine = enrolled(store)
    store.set_name(machine.id, "web-1 'Gerät'", OPERATOR)
    with_secret(store, machine, b"before")
    secret = with_secret(store, machine, VALUE)
    store.record_attestation(record(machine, b"nonce 1", secret))
    store.record_attestation(record(machine, b"nonce 2", secret, boot=next_boot(BOOT)))
    Quarantine(store.database, store.keys).put("tag:rack=7", "the cage was open", OPERATOR)
    Rollouts(store.database, store.keys).put_draft("servers", POLICY + "# next\n", OPERATOR, "")
    keys = MachineKeys(store)
    keys.plan(machine.id, KeyPlan(secret.name, secret.kind, secret.parameters), OPERATOR)
    keys.rotate(machine.id, secret.name, OPERATOR, "seen")
    # The last one is forgotten, whose number must not be given again.
    store.record_attestation(record(machine, None, boot=next_boot(next_boot(BOOT))))
    with store.database.changing() as connection:
        connection.exec_driver_sql("DELETE FROM attestations WHERE id = 3")


def backup(store: Store, path: Path) -> Header:
    """One that IDENTITIES open."""
    return write_backup(store.database, store.keys, path, RECIPIENTS, print)


def bring_back(
    path: Path,
    url: str,
    *,
    anchor: Anchor | None = None,
    accepted: tuple[str, ...] = ("rollback",),
    master: LocalMasterKey = KEY,
) -> Restored:
    """The backup into an empty database."""
    with path.open("rb") as source:
        keyring = Keyring(master)
        return restore(source, IDENTITIES, url, keyring, print, anchor=anchor, accepted=accepted)


def opened(path: Path) -> bytes:
    """What is encrypted."""
    return pyrage.decrypt(path.read_bytes(), [_IDENTITY])


def forge(path: Path, text: bytes) -> None:
    """Encrypt that, as anybody can who knows the recipient."""
    path.write_bytes(pyrage.encrypt(text, [_IDENTITY.to_public()]))


def contents(url: str) -> dict[str, list[rows.Row]]:
    """Every row of every table."""
    with closing(Database(url)) as database, database.reading() as connection:
        tables = rows.tables_of(connection)
        return {
            name: [row for batch in rows.dump(connection, table) for row in batch]
            for name, table in tables.items()
        }
