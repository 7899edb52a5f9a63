# SPDX-License-Identifier: Apache-2.0
"""What the server says with its signature, so that anybody can check it who has noted its key.

Keys (Ed25519) follow from the store's own, another for each purpose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pykexec.attest.fields import Fields, base64url, from_base64url, parse_object
from pykexec.errors import FormatError
from pykexec.server.canonical import canonical
from pykexec.server.keys.keys import Keys

SIZE_MAX = 16 << 10
"""Bytes of a signed statement."""


@dataclass(frozen=True, slots=True)
class Signing:
    """For one purpose; prefix is signed before each statement, what is how errors call one."""

    purpose: str
    prefix: bytes
    what: str

    def public_key(self, keys: Keys) -> str:
        """The server's, in base64url; the same on every server of a store."""
        public = self._private(keys).public_key()
        return base64url(public.public_bytes(Encoding.Raw, PublicFormat.Raw))

    def sign(self, keys: Keys, said: Mapping[str, object]) -> dict[str, str]:
        """statement, signature and key."""
        text = canonical(said)
        signature = self._private(keys).sign(self.prefix + text.encode())
        return {
            "statement": text,
            "signature": base64url(signature),
            "key": self.public_key(keys),
        }

    def check(self, data: bytes, key: str) -> Fields:
        """What the JSON of sign() says; FormatError unless the holder of key, in base64url, has
        said it.
        """
        what = self.what
        fields = parse_object(data, what, SIZE_MAX)
        text, signature = fields.text("statement", SIZE_MAX), fields.data("signature", 64)
        if fields.text("key", 64) != key:
            raise FormatError(f"{what}: it is signed by another key than the one that was noted")
        try:
            public = Ed25519PublicKey.from_public_bytes(from_base64url(key, "key"))
            public.verify(signature, self.prefix + text.encode())
        except (InvalidSignature, ValueError):
            raise FormatError(f"{what}: its signature is wrong") from None
        fields.end()
        return parse_object(text.encode(), "statement", SIZE_MAX)

    def _private(self, keys: Keys) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(keys.derive(self.purpose))
