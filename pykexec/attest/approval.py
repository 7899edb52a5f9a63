# SPDX-License-Identifier: Apache-2.0
"""Asking again while a person decides: the attester's third message.

    attester                                     server
    POST /v1/approvals     PollRequest       ->
                                             <-  AttestReply, as to the attestation

The ticket is the server's, opaque, and comes back unchanged. Whoever asks proves to have opened the
credential of the attestation; what is released in the end opens with that credential alone.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass

from pykexec.attest.fields import base64url
from pykexec.attest.protocol import VERSION, derive_key

ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
"""Of the code that persons type: no words, no digits to mistake (RFC 8628, 6.1)."""
CODE_LENGTH = 8
_GROUP = 4
_POLL_INFO = b"pykexec poll 1"
_NONCE_PREFIX = b"pykexec approval 1\0"


@dataclass(frozen=True, slots=True)
class PollRequest:
    """Whether the persons have decided; proof is poll_proof()."""

    ticket: str
    proof: bytes

    def encode(self) -> bytes:
        """The body of POST APPROVALS_PATH."""
        fields = {"version": VERSION, "ticket": self.ticket, "proof": base64url(self.proof)}
        return json.dumps(fields, separators=(",", ":")).encode()

    @property
    def digest(self) -> bytes:
        """SHA-256 over all of it: the same request has the same."""
        return hashlib.sha256(self.proof + self.ticket.encode()).digest()


def poll_proof(credential: bytes | memoryview, nonce: bytes, ticket: str) -> bytes:
    """HMAC-SHA-256 by a key derived from the credential; nonce is the challenge's."""
    digest = hashlib.sha256(ticket.encode()).digest()
    return hmac.digest(derive_key(credential, nonce, _POLL_INFO), digest, "sha256")


def login_nonce(statement: bytes, policy: bytes) -> str:
    """The nonce of a person's login, so that the ID token names this boot and this policy.

    statement and policy are as they stand; the ID token has the nonce as text: base64url.
    """
    digests = hashlib.sha256(statement).digest() + hashlib.sha256(policy).digest()
    return base64url(hashlib.sha256(_NONCE_PREFIX + digests).digest())


def consonants(digest: bytes) -> str:
    """A code of 34 bits that follows from a digest: ABCD-FGHJ."""
    number, letters = int.from_bytes(digest), ""
    for _ in range(CODE_LENGTH):
        number, index = divmod(number, len(ALPHABET))
        letters += ALPHABET[index]
    return f"{letters[:_GROUP]}-{letters[_GROUP:]}"
