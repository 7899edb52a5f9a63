# SPDX-License-Identifier: Apache-2.0
"""A security key in software, and the browser that it is asked by (WebAuthn level 2)."""

from __future__ import annotations

import hashlib
import json
import secrets
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import unescape
from re import search
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from pykexec.attest.fields import base64url

ORIGIN = "https://keys.example"
_PRESENT, _ATTESTED = 0x01, 0x40


def options_of(page: str) -> dict[str, Any]:
    """What a page has the browser ask."""
    found = search(r'data-options="([^"]*)"', page)
    assert found, page
    options = json.loads(unescape(found[1]))
    assert isinstance(options, dict)
    return options


@dataclass
class Authenticator:
    """One key; counts makes it a kind that counts its signatures. It signs for whatever name and
    origin it is told to.
    """

    counter: int = 0
    counts: bool = True
    origin: str = ORIGIN
    name: str = ""
    credential: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def create(self, options: Mapping[str, Any], **client: object) -> str:
        """Be registered: the browser's answer (RegistrationResponseJSON)."""
        said = self._client("webauthn.create", options, client)
        attested = bytes(16) + struct.pack(">H", len(self.credential)) + self.credential
        data = self._data(options["rp"]["id"], _ATTESTED) + attested + self._public()
        # {"fmt": "none", "attStmt": {}, "authData": data}
        attestation = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData" + _bytes(data)
        return self._answer({"clientDataJSON": said, "attestationObject": attestation})

    def get(self, options: Mapping[str, Any], **client: object) -> str:
        """Sign: the browser's answer (AuthenticationResponseJSON)."""
        said = self._client("webauthn.get", options, client)
        data = self._data(self.name or options["rpId"], 0)
        signed = data + hashlib.sha256(said).digest()
        signature = self.key.sign(signed, ec.ECDSA(SHA256()))
        return self._answer(
            {"clientDataJSON": said, "authenticatorData": data, "signature": signature}
        )

    def _client(self, kind: str, options: Mapping[str, Any], client: Mapping[str, object]) -> bytes:
        values = {"type": kind, "challenge": options["challenge"], "origin": self.origin}
        return json.dumps({**values, "crossOrigin": False, **client}).encode()

    def _data(self, rp_id: str, flags: int) -> bytes:
        self.counter += self.counts
        head = hashlib.sha256(rp_id.encode()).digest()
        return head + struct.pack(">BI", flags | _PRESENT, self.counter)

    def _public(self) -> bytes:
        """COSE: {1: 2, 3: -7, -1: 1, -2: x, -3: y} (RFC 9053)."""
        numbers = self.key.public_key().public_numbers()
        x, y = numbers.x.to_bytes(32), numbers.y.to_bytes(32)
        return b"\xa5\x01\x02\x03\x26\x20\x01\x21" + _bytes(x) + b"\x22" + _bytes(y)

    def _answer(self, response: Mapping[str, bytes]) -> str:
        name = base64url(self.credential)
        texts = {key: base64url(value) for key, value in response.items()}
        return json.dumps({"id": name, "rawId": name, "type": "public-key", "response": texts})


def _bytes(data: bytes) -> bytes:
    """A byte string in CBOR (RFC 8949), of up to 65535 bytes."""
    return b"\x59" + struct.pack(">H", len(data)) + data
