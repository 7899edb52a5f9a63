# SPDX-License-Identifier: Apache-2.0
"""The things of the admin API as JSON: their shapes, and the store's records put into them."""

from __future__ import annotations

from datetime import UTC, datetime

from pykexec.attest.protocol import SECRET_KINDS
from pykexec.attest.verdict import Finding
from pykexec.server.roles import SCOPE_MAX, SCOPE_TAG
from pykexec.server.store.records import (
    ENROLLED_BY,
    MACHINE_STATES,
    ROLES,
    Attestation,
    AuditEntry,
    Counters,
    EkHash,
    EkRoot,
    Machine,
    PolicyVersion,
    Settings,
    StoredSecret,
    Token,
)
from pykexec.server.web.shapes import (
    AnyObject,
    Flag,
    Integer,
    ListOf,
    MapOf,
    Nullable,
    Record,
    Text,
)

NAME = Text(128, pattern=r"[A-Za-z0-9][A-Za-z0-9._-]*", size_min=1)
"""Of policies, secrets, tokens and operators: it stands in paths of URLs."""
SHA256 = Text(64, pattern="[0-9a-f]{64}", size_min=64)
TIME = Text(64, format="date-time")
# Of what is printable those ranges that say so shortly: a C1 or bidirectional control is in none.
PRINTABLE = (
    "[ -~\u00a1-\u00ac\u00ae-\u0377\u0391-\u03a1\u03a3-\u052f"
    "\u3041-\u3096\u30a1-\u30fa\u4e00-\u9ffc\uac00-\ud7a3]"
)
TITLE = Text(256, f"{PRINTABLE}*")
PARAMETER = Text(256, f"{PRINTABLE}+", size_min=1)
REASON = Text(1024)
TAGS = MapOf(
    Text(64, pattern=r"[A-Za-z0-9][A-Za-z0-9._/-]*", size_min=1),
    Text(256, f"{PRINTABLE}*"),
    64,
)
BASE64URL = "([A-Za-z0-9_-]{4})*([A-Za-z0-9_-][AQgw]|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048])?"
"""Without padding and with no bits after the last byte."""
SEQ = Integer(1, 2**62)
SCOPE = ListOf(Text(321, pattern=SCOPE_TAG), SCOPE_MAX)

FINDING = Record({"code": Text(64), "text": Text(4096), "refuses": Flag()})
FINDINGS = ListOf(FINDING, 256)
COUNTERS = Record({"clock_ms": Integer(), "reset_count": Integer(), "restart_count": Integer()})

MACHINE = Record(
    {
        "fingerprint": SHA256,
        "name": TITLE,
        "state": Text(16, choices=MACHINE_STATES),
        "enrolled_by": Text(16, choices=ENROLLED_BY),
        "tags": TAGS,
        "policy": Nullable(NAME),
        "policy_version": Nullable(Integer(1)),
        "ek": Record({"algorithm": Text(32), "certificate": Nullable(AnyObject())}),
        "first_seen": TIME,
        "last_seen": TIME,
        "last": Record(
            {
                "accepted": Nullable(Flag()),
                "findings": FINDINGS,
                "counters": Nullable(COUNTERS),
                "ak_name": Nullable(Text(256)),
            }
        ),
    }
)
ATTESTATION = Record(
    {
        "id": Integer(1),
        "time": TIME,
        "fingerprint": SHA256,
        "accepted": Flag(),
        "findings": FINDINGS,
        "policy": Nullable(Record({"name": NAME, "version": Integer(1)})),
        "peer": Text(128),
        "counters": Nullable(COUNTERS),
        "ak_name": Nullable(Text(256)),
        "released": ListOf(Text(256), 256),
        "has_evidence": Flag(),
    }
)
SECRET = Record(
    {
        "name": NAME,
        "kind": Text(64, choices=tuple(SECRET_KINDS)),
        "parameters": MapOf(Text(64), PARAMETER, 8),
        "version": Integer(1),
        "key_id": Text(256),
        "created": TIME,
        "created_by": Text(256),
        "revoked": Nullable(TIME),
        "kept_until": Nullable(TIME),
    }
)
POLICY = Record(
    {
        "name": NAME,
        "version": Integer(1),
        "sha256": SHA256,
        "created": TIME,
        "created_by": Text(256),
        "comment": REASON,
    },
    {"text": Text(1 << 18)},
)
SETTINGS = Record(
    {
        "certificate": Flag(),
        "hashes": Flag(),
        "first_use": Flag(),
        "default_policy": Nullable(NAME),
        "pending_max": Integer(0, 1_000_000),
        "keep_evidence": Text(16, choices=("never", "refused", "always")),
        "keep_days": Integer(0, 36_500),
        "destroy_days": Integer(0, 36_500),
    }
)
EK_HASH = Record({"sha256": SHA256}, {"name": TITLE, "tags": TAGS, "policy": Nullable(NAME)})
EK_ROOT = Record({"sha256": SHA256, "subject": Text(4096)})
TOKEN = Record(
    {
        "name": NAME,
        "role": Text(16, choices=ROLES),
        "scope": SCOPE,
        "created": TIME,
        "created_by": Text(256),
        "expires": Nullable(TIME),
        "revoked": Nullable(TIME),
        "last_used": Nullable(TIME),
    }
)
AUDIT_ENTRY = Record(
    {
        "seq": SEQ,
        "time": TIME,
        "actor": Text(512),
        "action": Text(128),
        "subject": Text(512),
        "detail": AnyObject(),
        "previous": SHA256,
        "hash": SHA256,
    }
)
AUDIT_CHECK = Record(
    {"entries": Integer(), "hash": Text(64), "faults": ListOf(Text(4096), 100_000), "ok": Flag()}
)


def time_text(time: datetime) -> str:
    """RFC 3339, in UTC."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _time(time: datetime | None) -> str | None:
    return time_text(time) if time else None


def finding_json(finding: Finding) -> dict[str, object]:
    """As FINDING has it."""
    return {"code": finding.code, "text": finding.text, "refuses": finding.refuses}


def _counters(counters: Counters | None) -> dict[str, object] | None:
    if counters is None:
        return None
    return {
        "clock_ms": counters.clock_ms,
        "reset_count": counters.reset_count,
        "restart_count": counters.restart_count,
    }


def machine_json(machine: Machine) -> dict[str, object]:
    """As MACHINE has it."""
    certificate = dict(machine.certificate_info) if machine.certificate else None
    return {
        "fingerprint": machine.fingerprint,
        "name": machine.name,
        "state": machine.state,
        "enrolled_by": machine.enrolled_by,
        "tags": dict(machine.tags),
        "policy": machine.policy,
        "policy_version": machine.policy_version,
        "ek": {"algorithm": machine.ek_algorithm, "certificate": certificate},
        "first_seen": time_text(machine.first_seen),
        "last_seen": time_text(machine.last_seen),
        "last": {
            "accepted": machine.last_accepted,
            "findings": [finding_json(finding) for finding in machine.last_findings],
            "counters": _counters(machine.last_counters),
            "ak_name": machine.last_ak_name,
        },
    }


def attestation_json(attestation: Attestation) -> dict[str, object]:
    """As ATTESTATION has it."""
    policy = attestation.policy
    return {
        "id": attestation.id,
        "time": time_text(attestation.time),
        "fingerprint": attestation.fingerprint,
        "accepted": attestation.accepted,
        "findings": [finding_json(finding) for finding in attestation.findings],
        "policy": {"name": policy[0], "version": policy[1]} if policy else None,
        "peer": attestation.peer,
        "counters": _counters(attestation.counters),
        "ak_name": attestation.ak_name,
        "released": list(attestation.released),
        "has_evidence": attestation.has_evidence,
    }


def secret_json(secret: StoredSecret) -> dict[str, object]:
    """As SECRET has it."""
    return {
        "name": secret.name,
        "kind": secret.kind,
        "parameters": dict(secret.parameters),
        "version": secret.version,
        "key_id": secret.key_id,
        "created": time_text(secret.created),
        "created_by": secret.created_by,
        "revoked": _time(secret.revoked),
        "kept_until": _time(secret.kept_until),
    }


def policy_json(policy: PolicyVersion, text: bool = False) -> dict[str, object]:
    """As POLICY has it."""
    found: dict[str, object] = {
        "name": policy.name,
        "version": policy.version,
        "sha256": policy.sha256,
        "created": time_text(policy.created),
        "created_by": policy.created_by,
        "comment": policy.comment,
    }
    return {**found, "text": policy.text} if text else found


def settings_json(settings: Settings) -> dict[str, object]:
    """As SETTINGS has it."""
    return {
        "certificate": settings.certificate,
        "hashes": settings.hashes,
        "first_use": settings.first_use,
        "default_policy": settings.default_policy,
        "pending_max": settings.pending_max,
        "keep_evidence": settings.keep_evidence,
        "keep_days": settings.keep_days,
        "destroy_days": settings.destroy_days,
    }


def ek_hash_json(entry: EkHash) -> dict[str, object]:
    """As EK_HASH has it."""
    return {
        "sha256": entry.sha256,
        "name": entry.name,
        "tags": dict(entry.tags),
        "policy": entry.policy,
    }


def ek_root_json(root: EkRoot) -> dict[str, object]:
    """As EK_ROOT has it."""
    return {"sha256": root.sha256, "subject": root.subject}


def token_json(token: Token) -> dict[str, object]:
    """As TOKEN has it."""
    return {
        "name": token.name,
        "role": token.role,
        "scope": list(token.scope),
        "created": time_text(token.created),
        "created_by": token.created_by,
        "expires": _time(token.expires),
        "revoked": _time(token.revoked),
        "last_used": _time(token.last_used),
    }


def audit_json(entry: AuditEntry) -> dict[str, object]:
    """As AUDIT_ENTRY has it."""
    return {
        "seq": entry.seq,
        "time": time_text(entry.time),
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject,
        "detail": dict(entry.detail),
        "previous": entry.previous,
        "hash": entry.hash,
    }
