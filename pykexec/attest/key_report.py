# SPDX-License-Identifier: Apache-2.0
"""What became of the keys of a release: the attester's last message, after it has tried them.

    attester                                     server
    POST /v1/keys          KeyReport         ->
                                             <-  {"version": 1}

Ticket and key came in the release (use "report"), so only who opened that can report, and nobody on
the way can make a key count as good that is not.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass

from pykexec.attest.fields import base64url, parse_object
from pykexec.attest.protocol import NAME_MAX, TOKEN_MAX, USES, VERSION

KEY_SIZE = 32
VERDICTS_MAX = 64
TEXT_MAX = 512
REPORT_MAX = 64 << 10
"""Bytes."""
RIGHTS_MAX = 64 << 10
_INFO = b"pykexec key report 1\0"


@dataclass(frozen=True, slots=True)
class KeyVerdict:
    """Whether the secret of that name and use opens its volume; None: that could not be told."""

    name: str
    use: str
    fits: bool | None
    text: str


@dataclass(frozen=True, slots=True)
class KeyReport:
    """All verdicts of a boot; said is their text as it is signed."""

    ticket: str
    said: bytes
    proof: bytes

    def encode(self) -> bytes:
        """The body of POST KEYS_PATH."""
        fields = {
            "version": VERSION,
            "ticket": self.ticket,
            "said": base64url(self.said),
            "proof": base64url(self.proof),
        }
        return json.dumps(fields, separators=(",", ":")).encode()


def report_of(ticket: str, key: bytes | memoryview, verdicts: Sequence[KeyVerdict]) -> KeyReport:
    """Sign what was found."""
    rows = [
        {
            "name": verdict.name,
            "use": verdict.use,
            **({} if verdict.fits is None else {"fits": verdict.fits}),
            "text": verdict.text[:TEXT_MAX],
        }
        for verdict in verdicts
    ]
    said = json.dumps({"verdicts": rows}, separators=(",", ":")).encode()
    return KeyReport(ticket, said, proof_of_report(key, ticket, said))


def proof_of_report(key: bytes | memoryview, ticket: str, said: bytes) -> bytes:
    """HMAC-SHA-256 over both."""
    digests = hashlib.sha256(ticket.encode()).digest() + hashlib.sha256(said).digest()
    return hmac.digest(key, _INFO + digests, "sha256")


def encode_rights(ticket: str, key: bytes, wanted: Sequence[tuple[str, str]]) -> bytes:
    """What a release brings of use "report": wanted are the secrets to try, by name and use."""
    rows = [{"name": name, "use": use} for name, use in wanted]
    return json.dumps({"ticket": ticket, "key": base64url(key), "wanted": rows}).encode()


def parse_rights(data: bytes) -> tuple[str, bytes, tuple[tuple[str, str], ...]]:
    """The opposite: ticket, key and what is wanted; ProtocolError."""
    fields = parse_object(data, "report", RIGHTS_MAX)
    ticket, key = fields.text("ticket", TOKEN_MAX), fields.data("key", KEY_SIZE)
    wanted = []
    for item in fields.objects("wanted", VERDICTS_MAX):
        wanted.append((item.text("name", NAME_MAX), item.text("use", 16)))
        item.end()
    fields.end()
    return ticket, key, tuple(wanted)


def parse_key_report(data: bytes) -> KeyReport:
    """Decode the message; ProtocolError names the field."""
    fields = parse_object(data, "key report", REPORT_MAX + 2 * TOKEN_MAX)
    if (version := fields.number("version")) != VERSION:
        raise fields.fault("version", f"{version} is not known, {VERSION} is")
    ticket, said = fields.text("ticket", TOKEN_MAX), fields.data("said", REPORT_MAX)
    report = KeyReport(ticket, said, fields.data("proof", 32))
    fields.end()
    return report


def parse_verdicts(data: bytes) -> tuple[KeyVerdict, ...]:
    """Decode what was signed."""
    fields = parse_object(data, "verdicts", REPORT_MAX)
    found = []
    for item in fields.objects("verdicts", VERDICTS_MAX):
        name, use = item.text("name", NAME_MAX), item.text("use", 16)
        if use not in USES:
            raise item.fault("use", f"{use!r} is not known")
        fits = item.flag("fits") if item.has("fits") else None
        found.append(KeyVerdict(name, use, fits, item.text("text", TEXT_MAX)))
        item.end()
    fields.end()
    return tuple(found)
