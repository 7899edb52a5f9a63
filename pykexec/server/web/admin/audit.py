# SPDX-License-Identifier: Apache-2.0
"""The admin API's operations on the audit chain, and the server's state."""

from __future__ import annotations

from pykexec.about import version
from pykexec.errors import UsageError
from pykexec.server import quotas
from pykexec.server.canonical import now
from pykexec.server.roles import Reach
from pykexec.server.store import audit
from pykexec.server.store.records import MACHINE_STATES
from pykexec.server.store.view import Reading
from pykexec.server.web.admin.operations import Call, Lines, Operation
from pykexec.server.web.record_shapes import (
    AUDIT_CHECK,
    AUDIT_ENTRY,
    SEQ,
    SHA256,
    audit_json,
)
from pykexec.server.web.shapes import Flag, Integer, ListOf, Record, Text

_WORD = Text(512, pattern="[ -~]*")


def _entries(call: Call) -> object:
    found = call.web.store.audit_entries(
        before=call.optional("before", int),
        limit=call.get("limit", int, 100),
        actor=call.optional("actor", str),
        action=call.optional("action", str),
        subject=call.optional("subject", str),
    )
    return {"entries": [audit_json(entry) for entry in found]}


def _verify(call: Call) -> object:
    seq, digest = call.optional("seq", int), call.optional("hash", str)
    if (seq is None) != (digest is None):
        raise UsageError("query: seq and hash go together")
    anchor = (seq, digest) if seq is not None and digest is not None else None
    check = call.web.store.verify_audit(anchor)
    return {
        "entries": check.entries,
        "hash": check.hash,
        "faults": list(check.faults),
        "ok": not check.faults,
    }


def _export(call: Call) -> object:
    call.web.store.audit(call.actor, "audit.export", "")
    return Lines(call.web.store.export_audit())


def _follow(call: Call) -> object:
    store, after = call.web.store, call.get("after", int, 0)
    limit = call.get("limit", int, quotas.ROWS_AT_ONCE)
    entries = store.database.read(
        lambda found: audit.following(Reading(found, store.keys), after, limit)
    )
    return {"entries": [audit_json(entry) for entry in entries]}


def _head(call: Call) -> object:
    store, time = call.web.store, now()
    return store.database.read(lambda found: audit.signed_head(Reading(found, store.keys), time))


def _status(call: Call) -> object:
    counts = call.web.store.machine_counts()
    health = call.web.store.health()
    return {
        "version": version(),
        "ready": health.ok,
        "faults": list(health.faults),
        "database": health.database,
        "schema": health.schema,
        "machines": {state: counts.get(state, 0) for state in MACHINE_STATES},
    }


OPERATIONS = (
    Operation(
        "listAudit", "GET", "/audit", "viewer",
        "The audit trail, newest first; before is the seq of the last one of the page before.",
        _entries, Record({"entries": ListOf(AUDIT_ENTRY, 1000)}),
        query={
            "before": SEQ, "limit": Integer(1, 1000), "actor": _WORD, "action": _WORD,
            "subject": _WORD,
        },
        reach=Reach.SCOPED,
    ),
    Operation(
        "verifyAudit", "GET", "/audit/verify", "viewer",
        "Check every link of the chain, and that an entry noted earlier is still part of it.",
        _verify, AUDIT_CHECK, query={"seq": SEQ, "hash": SHA256},
    ),
    Operation(
        "exportAudit", "GET", "/audit/export", "viewer",
        "The whole chain, oldest first, an entry a line.", _export, AUDIT_ENTRY, lines=True,
    ),
    Operation(
        "followAudit", "GET", "/audit/follow", "viewer",
        "The next entries behind a seq, oldest first; no entry is made of that.",
        _follow, Record({"entries": ListOf(AUDIT_ENTRY, quotas.ROWS_AT_ONCE)}),
        query={"after": Integer(0, 2**62), "limit": Integer(1, quotas.ROWS_AT_ONCE)},
    ),
    Operation(
        "signAuditHead", "GET", "/audit/head", "viewer",
        "Where the chain ends now, signed, to be kept elsewhere.", _head,
        Record({"statement": Text(1024), "signature": Text(128), "key": Text(64)}),
    ),
    Operation(
        "showStatus", "GET", "/status", "viewer", "Version, health and how many machines.",
        _status,
        Record(
            {
                "version": Text(64), "ready": Flag(), "faults": ListOf(Text(1024), 64),
                "database": Text(256), "schema": Text(256),
                "machines": Record({state: Integer() for state in MACHINE_STATES}),
            }
        ),
        reach=Reach.SCOPED,
    ),
)  # fmt: skip
