# SPDX-License-Identifier: Apache-2.0
"""What a person types from a machine's console, and the ticket by which that machine asks again.

A code has 8 consonants: no words, no digits to mistake, 34 bits (RFC 8628, 6.1). It follows from
the request's reference by a key of the store, so that nowhere is written what it is.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass

from pykexec.attest import protocol
from pykexec.attest.approval import ALPHABET, consonants
from pykexec.attest.fields import base64url
from pykexec.server.sealed_json import SealedJson

_PURPOSE = b"pykexec approval ticket 1"


@dataclass(frozen=True, slots=True, repr=False)
class Ticket:
    """An attestation that waits: which one, and what its machine can prove to know."""

    reference: str
    nonce: bytes
    credential: bytes


class Codes:
    """key has 32 bytes, the same on every server of a store."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._box = SealedJson(self._derive(b"ticket"), _PURPOSE, protocol.TOKEN_MAX)

    def code(self, reference: str) -> str:
        """As it is shown: ABCD-FGHJ."""
        digest = hmac.digest(self._derive(b"code"), reference.encode(), "sha256")
        return consonants(digest)

    def is_code(self, typed: str, digest: bytes) -> bool:
        """Whether this is the code of that digest(), however it is spaced and in whatever case."""
        return hmac.compare_digest(self.digest(typed), digest)

    def digest(self, typed: str) -> bytes:
        """By which a request is found, without its code being written anywhere."""
        return hmac.digest(self._derive(b"digest"), _letters(typed), "sha256")

    def seal(self, ticket: Ticket) -> str:
        """What the machine brings along when it asks again."""
        return self._box.seal(
            {
                "reference": ticket.reference,
                "nonce": base64url(ticket.nonce),
                "credential": base64url(ticket.credential),
            }
        )

    def open(self, text: str) -> Ticket | None:
        """The opposite; None unless a server with this key has sealed it."""
        if (fields := self._box.open(text)) is None:
            return None
        return Ticket(
            reference=fields.text("reference", 64),
            nonce=fields.data("nonce", protocol.NONCE_SIZE),
            credential=fields.data("credential", protocol.CREDENTIAL_SIZE),
        )

    def _derive(self, purpose: bytes) -> bytes:
        return hmac.digest(self._key, b"pykexec code 1\0" + purpose, "sha256")


def new_reference() -> str:
    """For one request; who does not have it from the console cannot guess it."""
    return secrets.token_urlsafe(16)


def _letters(typed: str) -> bytes:
    return "".join(char for char in typed.upper() if char in ALPHABET).encode()
