# SPDX-License-Identifier: Apache-2.0
"""What others carry for the server and only it can read: JSON in AES-256-GCM, as base64url."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pykexec.attest.fields import Fields, ProtocolError, base64url, from_base64url, parse_object

_IV_SIZE = 12


class SealedJson:
    """Seals and opens for one purpose; key has 32 bytes."""

    def __init__(self, key: bytes, purpose: bytes, size_max: int) -> None:
        self._cipher = AESGCM(key)
        self._purpose = purpose
        self._size_max = size_max

    def seal(self, values: Mapping[str, object]) -> str:
        """Another text each time."""
        iv = os.urandom(_IV_SIZE)
        return base64url(iv + self._cipher.encrypt(iv, json.dumps(values).encode(), self._purpose))

    def open(self, text: str) -> Fields | None:
        """What was sealed; None unless a server with this key has done it, for this purpose."""
        try:
            data = from_base64url(text, "sealed")
            plain = self._cipher.decrypt(data[:_IV_SIZE], data[_IV_SIZE:], self._purpose)
        except (ProtocolError, InvalidTag, ValueError):
            return None
        return parse_object(plain, "sealed", self._size_max)
