# SPDX-License-Identifier: Apache-2.0
"""Challenges that the server need not remember: what it must know later, encrypted for itself.

Any server of the same store opens them. Who asks for a million challenges makes nobody store
anything; that a challenge is answered once only is what record_attestation() sees to.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pykexec.attest import protocol
from pykexec.attest.fields import ProtocolError, base64url, from_base64url, parse_object

_IV_SIZE = 12
_AAD = b"pykexec challenge token 1"


@dataclass(frozen=True, slots=True, repr=False)
class Pending:
    """A challenge that was given out; expires is in seconds since 1970."""

    nonce: bytes
    credential: bytes
    identity: bytes
    """Identity.digest"""
    bank: str
    pcrs: tuple[int, ...]
    expires: int


class Tokens:
    """Seals and opens; key has 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, pending: Pending) -> str:
        """The token of a challenge."""
        plain = json.dumps(
            {
                "nonce": base64url(pending.nonce),
                "credential": base64url(pending.credential),
                "identity": base64url(pending.identity),
                "bank": pending.bank,
                "pcrs": pending.pcrs,
                "expires": pending.expires,
            }
        )
        iv = os.urandom(_IV_SIZE)
        return base64url(iv + self._cipher.encrypt(iv, plain.encode(), _AAD))

    def open(self, token: str) -> Pending | None:
        """The challenge; None unless a server with this key has sealed it."""
        try:
            data = from_base64url(token, "token")
            plain = self._cipher.decrypt(data[:_IV_SIZE], data[_IV_SIZE:], _AAD)
        except (ProtocolError, InvalidTag, ValueError):
            return None
        fields = parse_object(plain, "token", protocol.TOKEN_MAX)
        return Pending(
            nonce=fields.data("nonce", protocol.NONCE_SIZE),
            credential=fields.data("credential", protocol.CREDENTIAL_SIZE),
            identity=fields.data("identity", 32),
            bank=fields.text("bank"),
            pcrs=tuple(number for number in fields.values("pcrs", 24) if isinstance(number, int)),
            expires=fields.number("expires"),
        )
