# SPDX-License-Identifier: Apache-2.0
"""Challenges that the server need not remember: what it must know later, encrypted for itself.

Any server of the same store opens them. Who asks for a million challenges makes nobody store
anything; that a challenge is answered once only is what record_attestation() sees to.
"""

from __future__ import annotations

from dataclasses import dataclass

from pykexec.attest import protocol
from pykexec.attest.fields import base64url
from pykexec.server.sealed_json import SealedJson

_PURPOSE = b"pykexec challenge token 1"


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
        self._box = SealedJson(key, _PURPOSE, protocol.TOKEN_MAX)

    def seal(self, pending: Pending) -> str:
        """The token of a challenge."""
        return self._box.seal(
            {
                "nonce": base64url(pending.nonce),
                "credential": base64url(pending.credential),
                "identity": base64url(pending.identity),
                "bank": pending.bank,
                "pcrs": pending.pcrs,
                "expires": pending.expires,
            }
        )

    def open(self, token: str) -> Pending | None:
        """The challenge; None unless a server with this key has sealed it."""
        if (fields := self._box.open(token)) is None:
            return None
        return Pending(
            nonce=fields.data("nonce", protocol.NONCE_SIZE),
            credential=fields.data("credential", protocol.CREDENTIAL_SIZE),
            identity=fields.data("identity", 32),
            bank=fields.text("bank"),
            pcrs=tuple(number for number in fields.values("pcrs", 24) if isinstance(number, int)),
            expires=fields.number("expires"),
        )
