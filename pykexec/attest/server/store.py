# SPDX-License-Identifier: Apache-2.0
"""The server's memory: one object, all methods synchronous and safe in any thread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from datetime import datetime, timedelta

from pykexec.attest.server.masterkey import MasterKey
from pykexec.attest.server.records import (
    Attestation,
    AttestationRecord,
    AuditCheck,
    AuditEntry,
    Candidate,
    Counters,
    EkHash,
    EkRoot,
    Health,
    Machine,
    Page,
    PolicyVersion,
    Settings,
    StoredSecret,
    Token,
)


class Store:
    """Machines, policies, secrets, attestations and the audit chain, in SQLite or PostgreSQL.

    Whoever changes something is named as actor ("operator:NAME", "server"); every change is one
    transaction and leaves one audit entry. Errors are those of records.py; an unknown id or name
    is NotFound.
    """

    @classmethod
    def open(
        cls, url: str, master: MasterKey, migrate: bool = False, previous: Iterable[MasterKey] = ()
    ) -> Store:
        """Connect: "sqlite:///PATH" or "postgresql://..."; SchemaError unless the schema is ours.

        With migrate an empty or older database is brought up first. previous are master keys by
        which something may still be wrapped, until rewrap() was called.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Write what is waiting, close all connections, wipe keys."""

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def derived_key(self, purpose: str) -> bytes:
        """32 bytes for one purpose ("challenge token"), the same on every server of this store."""
        raise NotImplementedError

    # Machines

    def machine(self, fingerprint: str) -> Machine | None:
        """By its EK's fingerprint; Tampered when its row is not ours."""
        raise NotImplementedError

    def machine_by_id(self, machine_id: int) -> Machine:
        """By its number."""
        raise NotImplementedError

    def machines(
        self,
        state: str | None = None,
        search: str = "",
        tag: tuple[str, str] | None = None,
        policy: str | None = None,
        offset: int = 0,
        limit: int = 100,
    ) -> Page[Machine]:
        """Newest first; search looks into name, fingerprint and tags."""
        raise NotImplementedError

    def machine_counts(self) -> dict[str, int]:
        """How many are in each state."""
        raise NotImplementedError

    def enrol(self, candidate: Candidate) -> Machine:
        """The machine, made known by the settings' rules if it is not; EnrolmentRefused.

        The state of what is returned decides: a machine that is pending, refused or retired is
        given nothing. A pending one is enrolled when by now its certificate or hash is trusted.
        """
        raise NotImplementedError

    def add_machine(
        self,
        candidate: Candidate,
        actor: str,
        name: str = "",
        policy: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Machine:
        """Enrol by an operator's word; Conflict when it is known already."""
        raise NotImplementedError

    def approve(self, machine_id: int, actor: str) -> Machine:
        """Enrol a machine that is pending or refused; Conflict when it is retired."""
        raise NotImplementedError

    def refuse(self, machine_id: int, actor: str, reason: str = "") -> Machine:
        """Give it nothing until it is approved; Conflict when it is retired."""
        raise NotImplementedError

    def retire(self, machine_id: int, actor: str, reason: str = "") -> Machine:
        """Give it nothing any more and destroy its secrets, for good."""
        raise NotImplementedError

    def set_policy(self, machine_id: int, policy: str | None, actor: str) -> Machine:
        """The policy it must satisfy; None refuses it whatever it attests."""
        raise NotImplementedError

    def set_tags(self, machine_id: int, tags: Mapping[str, str], actor: str) -> Machine:
        """Replace its tags."""
        raise NotImplementedError

    def set_name(self, machine_id: int, name: str, actor: str) -> Machine:
        """What people call it."""
        raise NotImplementedError

    def forget_boots(self, machine_id: int, actor: str, reason: str = "") -> Machine:
        """Forget its counters and which boots were given secrets: its TPM was cleared."""
        raise NotImplementedError

    # Policies

    def put_policy(self, name: str, text: str, actor: str, comment: str = "") -> PolicyVersion:
        """Add a version, which is at once the one that counts; the newest if text is the same."""
        raise NotImplementedError

    def policy(self, name: str, version: int | None = None) -> PolicyVersion:
        """A version, or the newest; cheap for a version that was asked for before."""
        raise NotImplementedError

    def policies(self) -> tuple[PolicyVersion, ...]:
        """The newest version of each, by name."""
        raise NotImplementedError

    def policy_versions(self, name: str) -> tuple[PolicyVersion, ...]:
        """All versions, newest first."""
        raise NotImplementedError

    # Secrets

    def put_secret(
        self,
        machine_id: int,
        name: str,
        kind: str,
        parameters: Mapping[str, str],
        value: bytes | bytearray | memoryview,
        actor: str,
    ) -> StoredSecret:
        """Store a secret (kinds: protocol.SECRET_KINDS), in place of the one of that name.

        The caller wipes value. UsageError for an unknown kind or parameter.
        """
        raise NotImplementedError

    def revoke_secret(self, machine_id: int, name: str, actor: str) -> StoredSecret:
        """Destroy the value; what it was stays known."""
        raise NotImplementedError

    def secrets(self, machine_id: int, history: bool = False) -> tuple[StoredSecret, ...]:
        """By name, without values; with history the replaced and revoked ones too."""
        raise NotImplementedError

    def open_secrets(self, machine_id: int) -> list[tuple[StoredSecret, bytearray]]:
        """All that the machine is to be given; the caller wipes the values (envelope.wipe())."""
        raise NotImplementedError

    def rewrap(self, actor: str) -> int:
        """Wrap every key anew by the master key; their number.

        To replace a master key: open the store on all servers with the new one and the old one as
        previous, call this once, forget the old one.
        """
        raise NotImplementedError

    # Enrolment

    def settings(self) -> Settings:
        """How machines become known."""
        raise NotImplementedError

    def set_settings(self, settings: Settings, actor: str) -> None:
        """Replace them."""
        raise NotImplementedError

    def add_ek_hashes(self, hashes: Iterable[EkHash], actor: str) -> int:
        """Add to the list or replace what is on it; how many there were."""
        raise NotImplementedError

    def remove_ek_hash(self, sha256: str, actor: str) -> None:
        """Take it off the list; a machine that enrolled by it stays."""
        raise NotImplementedError

    def ek_hashes(self, offset: int = 0, limit: int = 100) -> Page[EkHash]:
        """The list, by hash."""
        raise NotImplementedError

    def add_ek_root(self, certificate: bytes, actor: str) -> EkRoot:
        """Trust a certificate authority (DER); UsageError when it is none."""
        raise NotImplementedError

    def remove_ek_root(self, sha256: str, actor: str) -> None:
        """Trust it no more; machines that enrolled by it stay."""
        raise NotImplementedError

    def ek_roots(self) -> tuple[EkRoot, ...]:
        """All of them."""
        raise NotImplementedError

    # Operators

    def create_token(
        self, name: str, role: str, actor: str, expires: datetime | None = None
    ) -> tuple[Token, str]:
        """A new token and its text, which is nowhere else; Conflict when the name is in use."""
        raise NotImplementedError

    def token(self, presented: str) -> Token | None:
        """Whose it is; None unless it is known, not expired and not revoked."""
        raise NotImplementedError

    def tokens(self) -> tuple[Token, ...]:
        """All, with those that do not count any more."""
        raise NotImplementedError

    def revoke_token(self, name: str, actor: str) -> Token:
        """It counts no more; its name is free again."""
        raise NotImplementedError

    # Attestations

    def nonce_used(self, nonce: bytes) -> bool:
        """Whether record_attestation() would say Replayed, before any work is spent on it."""
        raise NotImplementedError

    def record_attestation(self, record: AttestationRecord) -> None:
        """Make a decision final; only then may the machine be told. Blocks until it is on disk.

        Replayed, AlreadyReleased and NotReleasable (and NotFound) leave nothing behind: record the
        refusal that follows from them by itself, with nonce=None where it was Replayed.
        """
        self.submit_attestation(record).result()

    def submit_attestation(self, record: AttestationRecord) -> Future[None]:
        """The same without blocking: the future ends as record_attestation() would."""
        raise NotImplementedError

    def attestations(
        self,
        machine_id: int | None = None,
        accepted: bool | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> tuple[Attestation, ...]:
        """Newest first; before is the id of the last one of the page before."""
        raise NotImplementedError

    def attestation(self, attestation_id: int) -> Attestation:
        """By its number."""
        raise NotImplementedError

    def evidence(self, attestation_id: int) -> bytes:
        """The evidence that was kept."""
        raise NotImplementedError

    def released(self, machine_id: int, counters: Counters) -> bool:
        """Whether record_attestation() would say AlreadyReleased."""
        raise NotImplementedError

    # Audit

    def audit(
        self, actor: str, action: str, subject: str, detail: Mapping[str, object] | None = None
    ) -> AuditEntry:
        """Add an entry for something that is no change of the store (a login, an export)."""
        raise NotImplementedError

    def audit_entries(
        self,
        before: int | None = None,
        limit: int = 100,
        actor: str | None = None,
        action: str | None = None,
        subject: str | None = None,
    ) -> tuple[AuditEntry, ...]:
        """Newest first; before is the seq of the last one of the page before."""
        raise NotImplementedError

    def verify_audit(self, anchor: tuple[int, str] | None = None) -> AuditCheck:
        """Check every link, and that an entry (seq, hash) noted earlier is still part of it."""
        raise NotImplementedError

    def export_audit(self) -> Iterator[str]:
        """The chain as lines of JSON, oldest first."""
        raise NotImplementedError

    # Upkeep

    def purge(self, now: datetime, keep: timedelta | None = None) -> dict[str, int]:
        """Forget used nonces that expired, and attestations older than keep; how many of each."""
        raise NotImplementedError

    def health(self) -> Health:
        """Whether database and master key work; never raises."""
        raise NotImplementedError
