# SPDX-License-Identifier: Apache-2.0
"""What the store takes and gives: machines, policies, secrets, attestations; and its errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from pykexec.attest.verdict import Finding
from pykexec.policy.model import Limit
from pykexec.server.roles import ROLES as ROLES
from pykexec.server.roles import Scope
from pykexec.server.store.rollout import DraftDecision
from pykexec.verify.verify import Counters as Counters

MACHINE_STATES = ("pending", "enrolled", "refused", "retired")
"""pending: seen, an operator must approve; enrolled: may be given its secrets; refused: may not,
until an operator approves; retired: never again."""
ENROLLED_BY = ("certificate", "hash", "first-use", "operator")
"""Why a machine is known at all."""
EVIDENCE_KEPT = ("never", "refused", "always")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list; total counts all of it."""

    items: tuple[T, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine, which is an EK; the last_* are of its last attestation, None before the first.

    policy is the name of the policy that it must satisfy, policy_version the version that counts
    for it, and policy_draft one that is tried beside it, or by it.
    """

    id: int
    fingerprint: str
    ek_public: bytes
    ek_algorithm: str
    certificate: bytes | None
    certificate_info: Mapping[str, object]
    name: str
    state: str
    enrolled_by: str
    tags: Mapping[str, str]
    policy: str | None
    policy_version: int | None
    first_seen: datetime
    last_seen: datetime
    last_counters: Counters | None
    last_ak_name: str | None
    last_accepted: bool | None
    last_findings: tuple[Finding, ...]
    policy_draft: int | None = None


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """One version of a policy; it never changes."""

    name: str
    version: int
    text: str
    sha256: str
    created: datetime
    created_by: str
    comment: str


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """A secret without its value; version counts its rotations from 1. One that was replaced or
    revoked can be restored until kept_until, where that is told.
    """

    id: int
    machine_id: int
    name: str
    kind: str
    parameters: Mapping[str, str]
    version: int
    key_id: str
    created: datetime
    created_by: str
    revoked: datetime | None
    kept_until: datetime | None = None
    stage: str = "current"


@dataclass(frozen=True, slots=True)
class KeyPlan:
    """A key that a machine's system may hand in, by that name and as this kind; it is to be
    replaced after rotate_days, 0: when somebody has seen it only.
    """

    name: str
    kind: str
    parameters: Mapping[str, str]
    rotate_days: int = 0


@dataclass(frozen=True, slots=True)
class Rotation:
    """A secret of that name, up to that version, has to be replaced."""

    name: str
    version: int
    reason: str
    since: datetime


@dataclass(frozen=True, slots=True)
class EkHash:
    """An EK that may enrol itself: SHA-256 in hex of its TPMT_PUBLIC, of its
    SubjectPublicKeyInfo or of its certificate; the rest is what its machine is given then.
    """

    sha256: str
    name: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    policy: str | None = None


@dataclass(frozen=True, slots=True)
class EkRoot:
    """A certificate authority whose EK certificates are trusted; certificate is DER."""

    sha256: str
    certificate: bytes
    subject: str


@dataclass(frozen=True, slots=True)
class Settings:
    """How machines become known.

    certificate: those with a trusted EK certificate are enrolled at once; hashes: those on the
    list of EK hashes are; first_use: all others become pending, at most pending_max at a time.
    default_policy is given to those for whom nothing else is said. keep_days is how long
    attestations are kept, 0 for ever as far as quotas go; destroy_days how long a secret that was
    replaced or revoked can still be restored, 0 not at all. keep_evidence is one of
    EVIDENCE_KEPT: of which attestations of known machines the evidence is kept.
    """

    certificate: bool = True
    hashes: bool = True
    first_use: bool = False
    default_policy: str | None = None
    pending_max: int = 1000
    keep_evidence: str = "refused"
    keep_days: int = 365
    destroy_days: int = 30


@dataclass(frozen=True, slots=True)
class Token:
    """An operator's or a program's right to the admin API, without the token itself: a role, for
    the machines of a scope.
    """

    id: int
    name: str
    role: str
    created: datetime
    created_by: str
    expires: datetime | None
    revoked: datetime | None
    last_used: datetime | None
    scope: Scope = ()


BREAK_GLASS_CLAIM = "break_glass"
"""Of a boot that waits: no evidence has such a claim, so rules can tell."""
APPROVAL_STATES = ("waiting", "refused", "locked", "released")
"""refused: by a person; locked: the code was guessed at. One whose time is over stays waiting."""


@dataclass(frozen=True, slots=True)
class Approval:
    """A boot that waits, or waited, for persons; code is the digest of what they type.

    claims and findings are of the attestation, with all that the policy has to say but for what
    only persons can fulfil.
    """

    reference: str
    machine_id: int
    code: bytes
    state: str
    tries: int
    asked: datetime
    expires: datetime
    peer: str
    statement: bytes
    policy: tuple[str, int]
    claims: Mapping[str, object]
    findings: tuple[Finding, ...]
    counters: Counters

    @property
    def is_break_glass(self) -> bool:
        """Whether the machine has no network: persons carry the question and the answer."""
        return BREAK_GLASS_CLAIM in self.claims


@dataclass(frozen=True, slots=True)
class AttestationRecord:
    """A decision that is about to be told to a machine that is known and has proved to be itself
    (its credential was opened): nothing is kept of strangers.

    nonce is used up by the record, unless it is None; nonce_expires is when its challenge ends.
    released are the secrets that the machine is given: with any of them the boot in counters is
    used up too, and the sealed reply is kept for the request (its digest), should its sender not
    hear it. evidence is the message as it came; Settings.keep_evidence says whether it stays.
    asks makes the boot wait for persons, approval is the reference of one that does no more. rates
    are what the release must not exceed, facts what was known of the boot's surroundings, and draft
    is what a policy's draft would have decided. state are the claims of an accepted boot by which
    the machine may be helped without a network later.
    """

    time: datetime
    fingerprint: str
    machine_id: int
    accepted: bool
    findings: tuple[Finding, ...]
    policy: tuple[str, int] | None
    peer: str
    nonce: bytes | None
    nonce_expires: datetime | None
    counters: Counters | None
    ak_name: str | None
    released: tuple[StoredSecret, ...] = ()
    request: bytes | None = None
    reply: bytes | None = None
    evidence: bytes | None = None
    asks: Approval | None = None
    approval: str | None = None
    rates: tuple[Limit, ...] = ()
    facts: Mapping[str, object] = field(default_factory=dict)
    draft: DraftDecision | None = None
    state: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Attestation:
    """An attestation as it was recorded; released are names of secrets."""

    id: int
    time: datetime
    fingerprint: str
    machine_id: int | None
    accepted: bool
    findings: tuple[Finding, ...]
    policy: tuple[str, int] | None
    peer: str
    counters: Counters | None
    ak_name: str | None
    released: tuple[str, ...]
    has_evidence: bool


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One link of the audit chain; previous and hash are SHA-256 in hex."""

    seq: int
    time: datetime
    actor: str
    action: str
    subject: str
    detail: Mapping[str, object]
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """What verify_audit() found: the chain's length and last hash, and all that is wrong."""

    entries: int
    hash: str
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the store can serve; faults say why not."""

    faults: tuple[str, ...]
    database: str
    schema: str
    latency_ms: float

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults
