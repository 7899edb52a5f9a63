# SPDX-License-Identifier: Apache-2.0
"""The server's memory: one object, all methods synchronous and safe in any thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from datetime import datetime
from typing import Concatenate, ParamSpec, TypeVar

from pykexec.server.keys.envelope import Keyring
from pykexec.server.keys.keys import Keys
from pykexec.server.keys.masterkey import MasterKey
from pykexec.server.roles import Scope
from pykexec.server.store import (
    attestations,
    audit,
    audit_check,
    enrolment,
    machines,
    opening,
    policies,
    records,
    retention,
    rewrapping,
    rollouts,
    secret_values,
    tokens,
    upkeep,
)
from pykexec.server.store.database import Database, Writing
from pykexec.server.store.memo import Memo
from pykexec.server.store.view import Reading, View
from pykexec.server.store.writer import Writer
from pykexec.verify.ek import Ek, VerifiedEk

P = ParamSpec("P")
T = TypeVar("T")

REMEMBERED_S = 1.0
"""So long may another server's change of settings and EK roots be unknown here."""


class Store:
    """Machines, policies, secrets, attestations and the audit chain, in SQLite or PostgreSQL.

    Whoever changes something is named as actor ("operator:NAME", "server"); every change is one
    transaction and leaves one audit entry. An unknown id or name is NotFound.
    """

    def __init__(self, database: Database, keyring: Keyring, keys: Keys, revision: str) -> None:
        self.database = database
        self.keys = keys
        self.keyring = keyring
        self._revision = revision
        self._writer = Writer(lambda batch: self._write(attestations.record, batch))
        self._policies = Memo[tuple[str, int], records.PolicyVersion](256, None)
        self._settings = Memo[None, records.Settings](1, REMEMBERED_S)
        self._roots = Memo[None, tuple[records.EkRoot, ...]](1, REMEMBERED_S)

    @classmethod
    def open(
        cls, url: str, master: MasterKey, migrate: bool = False, previous: Iterable[MasterKey] = ()
    ) -> Store:
        """Connect: "sqlite:///PATH" or "postgresql://..."; SchemaError unless the schema is ours.

        With migrate an empty or older database is brought up first. previous are master keys by
        which something may still be wrapped, until rewrap() was called.
        """
        database = Database(url)
        keyring = Keyring(master, previous)
        try:
            revision, keys = opening.prepare(database, keyring, migrate)
        except BaseException:
            database.close()
            raise
        return cls(database, keyring, keys, revision)

    def close(self) -> None:
        """Write what is waiting, close all connections, wipe keys."""
        self._writer.close()
        self.database.close()
        self.keys.wipe()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def derived_key(self, purpose: str) -> bytes:
        """32 bytes for one purpose ("challenge token"), the same on every server of this store."""
        return self.keys.derive_anew(f"derived {purpose}")

    def machine(self, fingerprint: str) -> records.Machine | None:
        """By its EK's fingerprint; Tampered when its row is not ours."""
        return self._read(machines.find, fingerprint)

    def machine_by_id(self, machine_id: int) -> records.Machine:
        """By its number."""
        return self._read(machines.get, machine_id)

    def machines(
        self,
        state: str | None = None,
        search: str = "",
        tag: tuple[str, str] | None = None,
        policy: str | None = None,
        offset: int = 0,
        limit: int = 100,
    ) -> records.Page[records.Machine]:
        """Newest first; search looks into name, fingerprint and tags."""
        return self._read(machines.page, state, search, tag, policy, offset, limit)

    def machine_counts(self) -> dict[str, int]:
        """How many are in each state."""
        return self._read(machines.counts)

    def enrol(self, candidate: VerifiedEk, peer: str = "") -> records.Machine:
        """The machine, made known by the settings' rules if it is not; EnrolmentRefused.

        The state of what is returned decides: a machine that is pending, refused or retired is
        given nothing. A pending one is enrolled when by now its certificate or hash is trusted.
        """
        # Spares the machines that are known a transaction.
        if (known := self._read(enrolment.settled, candidate)) is not None:
            return known
        return self._write(enrolment.enrol, candidate, peer)

    def add_machine(
        self,
        ek: Ek,
        actor: str,
        name: str = "",
        policy: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> records.Machine:
        """Enrol by an operator's word; Conflict when it is known already."""
        machines.check_name(name)
        machines.check_tags(tags or {})
        return self._write(
            machines.add, ek, "enrolled", "operator", actor, name, policy, tags or {}
        )

    def approve(self, machine_id: int, actor: str) -> records.Machine:
        """Enrol a machine that is pending or refused; Conflict when it is retired."""
        return self._change(machine_id, actor, "machine.approve", state="enrolled")

    def refuse(self, machine_id: int, actor: str, reason: str = "") -> records.Machine:
        """Give it nothing until it is approved; Conflict when it is retired."""
        return self._change(machine_id, actor, "machine.refuse", reason, state="refused")

    def retire(self, machine_id: int, actor: str, reason: str = "") -> records.Machine:
        """Give it nothing any more and withdraw its secrets, which are destroyed later."""
        return self._write(retention.retire, machine_id, actor, reason)

    def reinstate(self, machine_id: int, actor: str, reason: str = "") -> records.Machine:
        """Take a retirement back while something of it is kept; Conflict afterwards."""
        return self._write(retention.reinstate, machine_id, actor, reason)

    def set_policy(self, machine_id: int, policy: str | None, actor: str) -> records.Machine:
        """The policy it must satisfy; None refuses it whatever it attests."""
        return self._change(machine_id, actor, "machine.policy", policy=policy)

    def set_tags(self, machine_id: int, tags: Mapping[str, str], actor: str) -> records.Machine:
        """Replace its tags."""
        machines.check_tags(tags)
        return self._change(machine_id, actor, "machine.tags", tags=dict(tags))

    def set_name(self, machine_id: int, name: str, actor: str) -> records.Machine:
        """What people call it."""
        machines.check_name(name)
        return self._change(machine_id, actor, "machine.name", name=name)

    def forget_boots(self, machine_id: int, actor: str, reason: str = "") -> records.Machine:
        """Forget its counters and which boots were given secrets: its TPM was cleared."""
        return self._write(machines.forget_boots, machine_id, actor, reason)

    def put_policy(
        self, name: str, text: str, actor: str, comment: str = ""
    ) -> records.PolicyVersion:
        """Add a version, which is at once the one that counts; the newest if text is the same."""
        return self._write(rollouts.put_live, name, text, actor, comment)

    def policy(self, name: str, version: int | None = None) -> records.PolicyVersion:
        """A version, or the newest; cheap for a version that was asked for before."""
        if version is not None and (known := self._policies.get((name, version))) is not None:
            return known
        found = self._read(policies.get, name, version)
        self._policies.put((name, found.version), found)
        return found

    def policies(self) -> tuple[records.PolicyVersion, ...]:
        """The newest version of each, by name."""
        return self._read(policies.newest)

    def policy_versions(self, name: str) -> tuple[records.PolicyVersion, ...]:
        """All versions, newest first."""
        return self._read(policies.versions, name)

    def put_secret(
        self,
        machine_id: int,
        name: str,
        kind: str,
        parameters: Mapping[str, str],
        value: bytes | bytearray | memoryview,
        actor: str,
    ) -> records.StoredSecret:
        """Store a secret (kinds: protocol.SECRET_KINDS), in place of the one of that name; the
        caller wipes value. UsageError for an unknown kind or parameter.
        """
        secret_values.check(name, kind, parameters, value)
        fingerprint = self.machine_by_id(machine_id).fingerprint
        # The master key may be a request away: not within the transaction.
        sealed = secret_values.seal(self.keyring, fingerprint, name, kind, parameters, value)
        return self._write(secret_values.put, machine_id, name, kind, parameters, sealed, actor)

    def revoke_secret(self, machine_id: int, name: str, actor: str) -> records.StoredSecret:
        """Withdraw the value; what it was stays known."""
        return self._write(secret_values.revoke, machine_id, name, actor)

    def secrets(self, machine_id: int, history: bool = False) -> tuple[records.StoredSecret, ...]:
        """By name, without values; with history the replaced and revoked ones too."""
        return self._read(secret_values.of_machine, machine_id, history)

    def open_secrets(self, machine_id: int, *stages: str) -> secret_values.Opened:
        """What is current, or in these stages; the caller wipes the values (envelope.wipe())."""
        rows = self._read(secret_values.rows_with_values, machine_id, stages or ("current",))
        return secret_values.open_rows(self.keyring, rows)

    def restore_secret(
        self, machine_id: int, name: str, version: int, actor: str
    ) -> tuple[records.StoredSecret, ...]:
        """Give a version that was replaced or revoked its value back; the machine's secrets."""
        self._write(retention.restore, machine_id, name, version, actor)
        return self.secrets(machine_id)

    def rewrap(self, actor: str, finish: bool = False) -> int:
        """Wrap every key anew by the master key; their number.

        To replace a master key: call this with the new one, and the old one as previous, give all
        servers the new one, and call it again with finish.
        """
        how = rewrapping.finish if finish else rewrapping.rewrap
        return how(self.database, self.keyring, self.keys, actor)

    def settings(self) -> records.Settings:
        """How machines become known."""
        if (known := self._settings.get(None)) is not None:
            return known
        return self._settings.put(None, self._read(enrolment.get_settings))

    def set_settings(self, settings: records.Settings, actor: str) -> None:
        """Replace them."""
        self._write(enrolment.set_settings, settings, actor)
        self._settings.clear()

    def add_ek_hashes(self, hashes: Iterable[records.EkHash], actor: str) -> int:
        """Add to the list or replace what is on it; how many there were."""
        return self._write(enrolment.add_hashes, hashes, actor)

    def remove_ek_hash(self, sha256: str, actor: str) -> None:
        """Take it off the list; a machine that enrolled by it stays."""
        self._write(enrolment.remove_hash, sha256, actor)

    def ek_hashes(self, offset: int = 0, limit: int = 100) -> records.Page[records.EkHash]:
        """The list, by hash."""
        return self._read(enrolment.hashes, offset, limit)

    def add_ek_root(self, certificate: bytes, actor: str) -> records.EkRoot:
        """Trust a certificate authority (DER); UsageError when it is none."""
        root = self._write(enrolment.add_root, certificate, actor)
        self._roots.clear()
        return root

    def remove_ek_root(self, sha256: str, actor: str) -> None:
        """Trust it no more; machines that enrolled by it stay."""
        self._write(enrolment.remove_root, sha256, actor)
        self._roots.clear()

    def ek_roots(self) -> tuple[records.EkRoot, ...]:
        """All of them."""
        if (known := self._roots.get(None)) is not None:
            return known
        return self._roots.put(None, self._read(enrolment.roots))

    def create_token(
        self, name: str, role: str, actor: str, expires: datetime | None = None, scope: Scope = ()
    ) -> tuple[records.Token, str]:
        """A new token and its text, which is nowhere else; Conflict when the name is in use."""
        return self._write(tokens.create, name, role, actor, expires, scope)

    def token(self, presented: str) -> records.Token | None:
        """Whose it is; None unless it is known, not expired and not revoked."""
        token = self._read(tokens.find, presented)
        if token is not None and tokens.use_is_news(token):
            with self.database.changing() as connection:
                tokens.note_use(connection, token)
        return token

    def tokens(self) -> tuple[records.Token, ...]:
        """All, with those that do not count any more."""
        return self._read(tokens.every)

    def revoke_token(self, name: str, actor: str) -> records.Token:
        """It counts no more; its name is free again."""
        return self._write(tokens.revoke, name, actor)

    def take_reply(self, nonce: bytes, request: bytes, fingerprint: str) -> bytes | None:
        """The kept reply to the request with that digest: the first time it is asked for."""
        return self._write(attestations.take_reply, nonce, request, fingerprint)

    def record_attestation(self, record: records.AttestationRecord) -> None:
        """Make a decision final; only then may the machine be told. Blocks until it is on disk.

        Replayed, AlreadyReleased and NotReleasable (and NotFound) leave nothing behind: record the
        refusal that follows from them by itself, with nonce=None where it was Replayed.
        """
        self.submit_attestation(record).result()

    def submit_attestation(self, record: records.AttestationRecord) -> Future[None]:
        """The same without blocking: the future ends as record_attestation() would."""
        return self._writer.submit(record)

    def attestations(
        self,
        machine_id: int | None = None,
        accepted: bool | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> tuple[records.Attestation, ...]:
        """Newest first; before is the id of the last one of the page before."""
        return self._read(attestations.page, machine_id, accepted, before, limit)

    def attestation(self, attestation_id: int) -> records.Attestation:
        """By its number."""
        return self._read(attestations.get, attestation_id)

    def evidence(self, attestation_id: int) -> bytes:
        """The evidence that was kept."""
        return self._read(attestations.evidence, attestation_id)

    def released(self, machine_id: int, counters: records.Counters) -> bool:
        """Whether record_attestation() would say AlreadyReleased."""
        return self._read(attestations.is_released, machine_id, counters)

    def audit(
        self, actor: str, action: str, subject: str, detail: Mapping[str, object] | None = None
    ) -> records.AuditEntry:
        """Add an entry for something that is no change of the store (a login, an export)."""
        return self._write(lambda tx: tx.chain.append(tx.now, actor, action, subject, detail))

    def audit_entries(
        self,
        before: int | None = None,
        limit: int = 100,
        actor: str | None = None,
        action: str | None = None,
        subject: str | None = None,
    ) -> tuple[records.AuditEntry, ...]:
        """Newest first; before is the seq of the last one of the page before."""
        return self._read(audit.entries, before, limit, actor, action, subject)

    def verify_audit(self, anchor: tuple[int, str] | None = None) -> records.AuditCheck:
        """Check every link, and that an entry (seq, hash) noted earlier is still part of it."""
        return audit_check.check(self.database, self.keys, anchor)

    def export_audit(self) -> Iterator[str]:
        """The chain as lines of JSON, oldest first; no connection is held between pages."""
        after = 0
        while (page := self._read(audit.export_page, after))[1]:
            after, lines = page
            yield from lines

    def purge(self, now: datetime) -> dict[str, int]:
        """Forget used nonces that expired, and attestations that are too old or too many."""
        return upkeep.purge(self.database, self.keys, now)

    def health(self) -> records.Health:
        """Whether database and master key work; never raises."""
        return upkeep.health(self.database, self.keyring, self.keys, self._revision)

    def _change(
        self, machine_id: int, actor: str, action: str, reason: str = "", **values: object
    ) -> records.Machine:
        return self._write(machines.change, machine_id, actor, action, values, reason)

    def _read(
        self, function: Callable[Concatenate[View, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return self.database.read(
            lambda connection: function(Reading(connection, self.keys), *args, **kwargs)
        )

    def _write(
        self, function: Callable[Concatenate[Writing, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        with self.database.writing(self.keys) as tx:
            return function(tx, *args, **kwargs)
