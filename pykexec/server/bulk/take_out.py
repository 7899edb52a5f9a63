# SPDX-License-Identifier: Apache-2.0
"""An export: everything of a kind, as an import takes it. Values of secrets are in none of them:
what may leave the server leaves with a release, or in a backup.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from sqlalchemy import Connection

from pykexec.errors import UsageError
from pykexec.server.bulk.text import Row
from pykexec.server.store import machines
from pykexec.server.store.records import Machine
from pykexec.server.store.store import Store
from pykexec.server.store.view import Reading

KINDS = ("machine", "secret", "ek-hash", "policy")
_AT_ONCE = 500


def take_out(store: Store, kind: str) -> Iterator[Row]:
    """All of them, oldest first; no connection is held between two. UsageError for another kind."""
    if kind not in KINDS:
        raise UsageError(f"{kind!r} is not one of {', '.join(KINDS)}")
    return _rows(store, kind)


def _rows(store: Store, kind: str) -> Iterator[Row]:
    match kind:
        case "machine":
            for machine in _machines(store):
                yield _machine(machine)
        case "secret":
            for machine in _machines(store):
                yield from _secrets(store, machine)
        case "ek-hash":
            yield from _hashes(store)
        case "policy":
            for policy in store.policies():
                row = {"kind": kind, "name": policy.name, "text": policy.text}
                yield {**row, "comment": policy.comment}


def _machines(store: Store) -> Iterator[Machine]:
    last = 0
    while found := store.database.read(partial(_page, store, last)):
        yield from found
        last = found[-1].id


def _page(store: Store, last: int, connection: Connection) -> tuple[Machine, ...]:
    return machines.after(Reading(connection, store.keys), last, _AT_ONCE)


def _machine(machine: Machine) -> Row:
    return {
        "kind": "machine",
        "fingerprint": machine.fingerprint,
        "name": machine.name,
        "policy": machine.policy,
        "tags": dict(machine.tags),
    }


def _secrets(store: Store, machine: Machine) -> Iterator[Row]:
    for secret in store.secrets(machine.id):
        yield {
            "kind": "secret",
            "machine": machine.fingerprint,
            "name": secret.name,
            "type": secret.kind,
            "parameters": dict(secret.parameters),
            "version": secret.version,
        }


def _hashes(store: Store) -> Iterator[Row]:
    offset = 0
    while found := store.ek_hashes(offset, _AT_ONCE).items:
        for entry in found:
            row: Row = {"kind": "ek-hash", "sha256": entry.sha256, "name": entry.name}
            yield {**row, "policy": entry.policy, "tags": dict(entry.tags)}
        offset += len(found)
