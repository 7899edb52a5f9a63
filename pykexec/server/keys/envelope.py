# SPDX-License-Identifier: Apache-2.0
"""Envelope encryption: a value by a key of its own, that key by the master key.

The wrapped plaintext is SHA-256(context) || data key, the sealed value nonce || ciphertext || tag
of AES-256-GCM with the context as associated data. So neither half can be moved to another machine,
another name or another kind, whichever service wraps.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from pykexec.server.errors import MasterKeyError, Tampered
from pykexec.server.keys.masterkey import KEY_SIZE, MasterKey

_NONCE_SIZE = 12
_TAG_SIZE = 16
_BLOCK_SIZE = 16


@dataclass(frozen=True, slots=True, repr=False)
class WrappedKey:
    """A key of 32 bytes by the master key of that id."""

    data: bytes
    key_id: str


class Keyring:
    """The master key and those before it."""

    def __init__(self, master: MasterKey, previous: Iterable[MasterKey] = ()) -> None:
        self.master = master
        self._keys = {key.key_id: key for key in (*previous, master)}

    def has(self, key_id: str) -> bool:
        """Whether what is wrapped by that master key can be opened."""
        return key_id in self._keys

    def wrap(self, key: bytes | bytearray, context: bytes) -> WrappedKey:
        """By the master key, for one context."""
        bound = bytearray(hashlib.sha256(context).digest()) + key
        try:
            return WrappedKey(self.master.wrap(bound), self.master.key_id)
        finally:
            wipe(bound)

    def unwrap(self, wrapped: WrappedKey, context: bytes) -> bytearray:
        """MasterKeyError without its master key, Tampered when it is another context's."""
        if (master := self._keys.get(wrapped.key_id)) is None:
            raise MasterKeyError(
                f"wrapped by the master key {wrapped.key_id}; given is {', '.join(self._keys)}"
            )
        bound = master.unwrap(wrapped.data)
        try:
            digest = hashlib.sha256(context).digest()
            if len(bound) != len(digest) + KEY_SIZE:
                raise Tampered("a wrapped key has a wrong size")
            if not hmac.compare_digest(memoryview(bound)[: len(digest)], digest):
                raise Tampered("a wrapped key is not of the place where it was found")
            return bound[len(digest) :]
        finally:
            wipe(bound)


def seal(
    keyring: Keyring, context: bytes, value: bytes | bytearray | memoryview
) -> tuple[WrappedKey, bytes]:
    """Encrypt a value; both parts are needed to open it."""
    key = bytearray(secrets.token_bytes(KEY_SIZE))
    try:
        nonce = secrets.token_bytes(_NONCE_SIZE)
        encryptor = Cipher(algorithms.AES(key), modes.GCM(nonce)).encryptor()
        encryptor.authenticate_additional_data(context)
        sealed = nonce + encryptor.update(value) + encryptor.finalize() + encryptor.tag
        return keyring.wrap(key, context), sealed
    finally:
        wipe(key)


def open_sealed(keyring: Keyring, context: bytes, wrapped: WrappedKey, sealed: bytes) -> bytearray:
    """The value, which the caller wipes; Tampered unless it was sealed for this context."""
    size = len(sealed) - _NONCE_SIZE - _TAG_SIZE
    if size < 0:
        raise Tampered("a sealed value is too short")
    nonce, tag = sealed[:_NONCE_SIZE], sealed[-_TAG_SIZE:]
    key = keyring.unwrap(wrapped, context)
    # What update_into() asks for; the value gets a buffer of its own size, nothing beyond.
    scratch = bytearray(size + _BLOCK_SIZE - 1)
    try:
        decryptor = Cipher(algorithms.AES(key), modes.GCM(nonce)).decryptor()
        decryptor.authenticate_additional_data(context)
        decryptor.update_into(sealed[_NONCE_SIZE:-_TAG_SIZE], scratch)
        decryptor.finalize_with_tag(tag)
        return bytearray(memoryview(scratch)[:size])
    except InvalidTag:
        raise Tampered("a sealed value is not what was stored") from None
    finally:
        wipe(key)
        wipe(scratch)


def wipe(buffer: bytearray) -> None:
    """Overwrite it; what the interpreter or a library copied is out of reach."""
    buffer[:] = bytes(len(buffer))
