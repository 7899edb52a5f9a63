# SPDX-License-Identifier: Apache-2.0
"""Sessions: keys that only this process and the TPM know (Part 1, 17 to 19).

The salt of a session is encrypted for a key in the TPM, so that whoever listens on the bus learns
neither the session's keys nor, of a parameter that it encrypts, anything but the length. What the
TPM answers is signed with them.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from dataclasses import dataclass

from pykexec.errors import TpmError
from pykexec.tpm.constants import (
    SessionAttribute,
)
from pykexec.tpm.entity import Entity
from pykexec.tpm.kdf import kdfa
from pykexec.tpm.wire import Buffer, sized

AES_BITS = 128  # Every TPM of a PC has it (PC Client Platform TPM Profile 1.05, 4.1).
_AES_KEY_SIZE, _AES_IV_SIZE = AES_BITS // 8, 16


class Session:
    """A session that is open in the TPM.

    Its keys are Python bytes, for Python's HMAC takes nothing else: they die with the session, and
    serve nobody who has not recorded the bus meanwhile.
    """

    __slots__ = ("_key", "_nonce_caller", "handle", "hash_name", "nonce_tpm")

    def __init__(
        self, handle: int, hash_name: str, key: bytes, nonce_caller: bytes, nonce_tpm: bytes
    ) -> None:
        self.handle = handle
        self.hash_name = hash_name
        self.nonce_tpm = nonce_tpm
        self._key = key
        self._nonce_caller = nonce_caller

    @property
    def entity(self) -> Entity:
        """As commands name it."""
        return Entity.of(self.handle)

    @property
    def nonce_caller(self) -> bytes:
        """Ours, new for each command."""
        return self._nonce_caller

    def renew(self) -> None:
        """Choose a nonce for the next command."""
        self._nonce_caller = os.urandom(len(self._nonce_caller))

    def hmac(self, auth_value: Buffer, data: bytes) -> bytes:
        """By the session's key and the authorisation value of what it authorises."""
        return hmac.digest(self._key + auth_value, data, self.hash_name)

    def cipher(self, auth_value: Buffer, newer: bytes, older: bytes) -> tuple[bytes, bytes]:
        """AES key and IV for one parameter (Part 1, 19.3)."""
        bits = AES_BITS + _AES_IV_SIZE * 8
        derived = kdfa(self.hash_name, self._key + auth_value, b"CFB", newer, older, bits)
        return derived[:_AES_KEY_SIZE], derived[_AES_KEY_SIZE:]


@dataclass(frozen=True, slots=True)
class Use:
    """A session in one command; auth_value is that of the handle that it authorises, if any."""

    session: Session
    attributes: SessionAttribute
    auth_value: Buffer = b""

    def sign(self, signed: bytes, other_nonces: bytes) -> bytes:
        """TPMS_AUTH_COMMAND for a command of these Names and parameters."""
        session = self.session
        flags = struct.pack(">B", self.attributes)
        digest = hashlib.new(session.hash_name, signed).digest()
        text = digest + session.nonce_caller + session.nonce_tpm + other_nonces + flags
        proof = session.hmac(_trimmed(self.auth_value), text)
        handle = struct.pack(">I", session.handle)
        return handle + sized(session.nonce_caller) + flags + sized(proof)

    def check(self, nonce: bytes, attributes: int, proof: bytes, signed: bytes) -> None:
        """Take over the TPM's new nonce; TpmError if its signature of the response is wrong."""
        session = self.session
        digest = hashlib.new(session.hash_name, signed).digest()
        text = digest + nonce + session.nonce_caller + struct.pack(">B", attributes)
        expected = session.hmac(_trimmed(self.auth_value), text)
        if not hmac.compare_digest(proof, expected):
            raise TpmError("TPM: response was altered on its way")
        session.nonce_tpm = nonce

    def encrypt(self, data: Buffer) -> bytes:
        """A command's first parameter."""
        from pykexec.crypto import aes_cfb

        session = self.session
        newer, older = session.nonce_caller, session.nonce_tpm
        key, iv = session.cipher(_trimmed(self.auth_value), newer, older)
        return aes_cfb(key, iv, data, True)

    def decrypt(self, data: bytes, out: memoryview) -> None:
        """A response's first parameter, once check() has passed."""
        from pykexec.crypto import aes_cfb_into

        session = self.session
        newer, older = session.nonce_tpm, session.nonce_caller
        key, iv = session.cipher(_trimmed(self.auth_value), newer, older)
        aes_cfb_into(key, iv, data, False, out)


def _trimmed(auth_value: Buffer) -> bytes:
    """Zeros at the end do not count (Part 1, 17.6.4.3)."""
    return bytes(auth_value).rstrip(b"\0")
