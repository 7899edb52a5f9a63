# SPDX-License-Identifier: Apache-2.0
"""Messages as Standard Webhooks 1.0 has them: body, and headers by which a receiver knows us."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import UTC, datetime

from pykexec.server.store.records import AuditEntry

SECRET_PREFIX = "whsec_"
TEST = "webhook.test"
"""The type of a message that only tries whether it arrives."""


def secret_text(secret: bytes) -> str:
    """As receivers are given it."""
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def message_id(entry: AuditEntry) -> str:
    """The same each time that it is sent, and no other message's, not even after a restore."""
    return f"{entry.seq}-{entry.hash[:32]}"


def body_of(entry: AuditEntry) -> bytes:
    """The message; hash is the entry's in the audit trail."""
    data = {
        "seq": entry.seq,
        "actor": entry.actor,
        "subject": entry.subject,
        "detail": dict(entry.detail),
        "hash": entry.hash,
    }
    return _message(entry.action, entry.time, data)


def test_body(name: str, now: datetime) -> bytes:
    """One that tells of nothing."""
    return _message(TEST, now, {"webhook": name})


def headers_of(secret: bytes, number: str, now: datetime, body: bytes) -> dict[str, str]:
    """now is when it is sent: receivers refuse what is old."""
    seconds = int(now.timestamp())
    signed = f"{number}.{seconds}.".encode() + body
    signature = base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()
    return {
        "webhook-id": number,
        "webhook-timestamp": str(seconds),
        "webhook-signature": f"v1,{signature}",
    }


def _message(kind: str, time: datetime, data: dict[str, object]) -> bytes:
    when = time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    found = {"type": kind, "timestamp": when, "data": data}
    # Lone surrogates, which strangers may have put into a string, stay escaped.
    return json.dumps(found, separators=(",", ":")).encode()
