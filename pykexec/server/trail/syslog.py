# SPDX-License-Identifier: Apache-2.0
"""Entries of the audit trail as syslog messages (RFC 5424).

The structured data is for filters; the message is the whole entry, as `audit export` has it but in
ASCII, so that the chain can be checked from what a collector has kept.
"""

from __future__ import annotations

import json
import socket
from datetime import UTC, datetime

from pykexec.log import printable
from pykexec.server.store import audit
from pykexec.server.store.records import AuditEntry

ENTERPRISE = 32473
"""The number that RFC 5612 keeps for documentation; an operator who has one says his own."""
_FACILITY = 13  # log audit
_ALERT, _WARNING, _NOTICE, _INFO = 1, 4, 5, 6
_SEVERITIES = {
    "break-glass.released": _ALERT,
    "webhook.stopped": _WARNING,
    "webhook.refused": _WARNING,
    "attestation.refused": _WARNING,
    "operator.login-failed": _WARNING,
    "operator.key-refused": _WARNING,
    "token.refused": _WARNING,
    "escrow.refused": _WARNING,
    "expiry.soon": _WARNING,
    "attestation.accepted": _INFO,
    "attestation.waits": _INFO,
}
_VALUE_MAX = 255
_NAME_MAX, _MSGID_MAX = 255, 32


def entry_line(entry: AuditEntry, enterprise: int = ENTERPRISE, host: str = "") -> bytes:
    """One entry, as a message without framing; host is this one's name by default."""
    values = {
        "seq": str(entry.seq),
        "actor": entry.actor,
        "subject": entry.subject,
        "previous": entry.previous,
        "hash": entry.hash,
    }
    severity = _SEVERITIES.get(entry.action, _NOTICE)
    data = _element("audit", enterprise, values)
    return _line(severity, entry.time, host, entry.action, data, _json(audit.as_exported(entry)))


def head_line(
    head: dict[str, str], time: datetime, enterprise: int = ENTERPRISE, host: str = ""
) -> bytes:
    """Where the chain ends, signed: who keeps it keeps an anchor."""
    data = _element("head", enterprise, {"key": head["key"]})
    return _line(_INFO, time, host, "audit.head", data, _json(head))


def counted(line: bytes) -> bytes:
    """A message by octet counting (RFC 6587, 3.4.1; RFC 5425, 4.3)."""
    return b"%d %s" % (len(line), line)


def _line(severity: int, time: datetime, host: str, what: str, data: str, text: str) -> bytes:
    when = time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    name, number = _ascii(host or socket.gethostname(), _NAME_MAX), _ascii(what, _MSGID_MAX)
    head = f"<{_FACILITY * 8 + severity}>1 {when} {name} pykexec - {number}"
    return f"{head} {data} {text}".encode()


def _ascii(text: str, size: int) -> str:
    """What a field of a header may be (PRINTUSASCII)."""
    found = "".join(char for char in text if "!" <= char <= "~")[:size]
    return found or "-"


def _element(name: str, enterprise: int, values: dict[str, str]) -> str:
    said = " ".join(f'{key}="{_value(value)}"' for key, value in values.items())
    return f"[{name}@{enterprise} {said}]"


def _value(text: str) -> str:
    """RFC 5424, 6.3.3. Controls become question marks here; the message has them as they were."""
    shown = printable(text.encode("utf-8", "replace").decode(), _VALUE_MAX)
    return shown.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
