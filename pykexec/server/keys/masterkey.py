# SPDX-License-Identifier: Apache-2.0
"""The master key: what wraps every other key, and where it is kept."""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import secrets
import stat
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pykexec.errors import UsageError
from pykexec.server.errors import MasterKeyError
from pykexec.server.keys.environment import take_from_environment
from pykexec.whole import create

KEY_SIZE = 32
_NONCE_SIZE = 12
_FILE_MAX = 4096


class MasterKey(Protocol):
    """Wraps keys; never gives itself away."""

    @property
    def key_id(self) -> str:
        """Names the key, so that a wrapped one says by which it was."""

    def wrap(self, plain: bytes | bytearray) -> bytes:
        """Encrypt and authenticate; MasterKeyError when it cannot."""

    def unwrap(self, wrapped: bytes) -> bytearray:
        """The opposite; MasterKeyError for what this key did not wrap. The caller wipes it."""

    def check(self) -> None:
        """MasterKeyError when the key cannot be used at present."""


class LocalMasterKey:
    """A master key in this process's memory: AES-256-GCM by a key derived from 32 bytes."""

    def __init__(self, key: bytes | bytearray) -> None:
        if len(key) != KEY_SIZE:
            raise MasterKeyError(f"a master key has {KEY_SIZE} bytes, not {len(key)}")
        self._cipher = AESGCM(hmac.digest(key, b"pykexec master key 1 wrap", "sha256"))
        self._id = hmac.digest(key, b"pykexec master key 1 id", "sha256")[:8].hex()

    def __repr__(self) -> str:
        return "<secret>"

    @property
    def key_id(self) -> str:
        """Tells nothing about the key."""
        return f"local:{self._id}"

    def wrap(self, plain: bytes | bytearray) -> bytes:
        """Nonce, ciphertext, tag."""
        nonce = secrets.token_bytes(_NONCE_SIZE)
        return nonce + self._cipher.encrypt(nonce, plain, None)

    def unwrap(self, wrapped: bytes) -> bytearray:
        """MasterKeyError for what this key did not wrap."""
        try:
            plain = self._cipher.decrypt(wrapped[:_NONCE_SIZE], wrapped[_NONCE_SIZE:], None)
        except (InvalidTag, ValueError):
            raise MasterKeyError(f"not wrapped by the master key {self.key_id}") from None
        return bytearray(plain)

    def check(self) -> None:
        """It is always there."""


def open_master_key(spec: str) -> MasterKey:
    """The master key by "file:PATH", "env:NAME" or "vault:MOUNT/NAME"; MasterKeyError.

    File and variable hold 32 bytes in hex or base64, a file may have them bare. The variable is
    taken out of the environment. Vault is found by what its own tools use (VAULT_ADDR, VAULT_TOKEN,
    VAULT_CACERT, VAULT_NAMESPACE).
    """
    scheme, _, rest = spec.partition(":")
    if scheme == "file" and rest:
        return LocalMasterKey(_key_of(read_protected(Path(rest)), rest))
    if scheme == "env" and rest:
        if (value := take_from_environment(rest)) is None:
            raise MasterKeyError(f"master key: the environment has no {rest}")
        return LocalMasterKey(_key_of(value.encode(), f"${rest}"))
    if scheme == "vault" and rest:
        # hvac is not needed by whoever has no Vault.
        from pykexec.server.keys.vault import open_vault_key

        return open_vault_key(rest)
    raise UsageError("a master key is file:PATH, env:NAME or vault:MOUNT/NAME")


def create_master_key(path: Path) -> None:
    """Write a new one to a file that must not exist, readable by its owner alone."""
    create(path, secrets.token_hex(KEY_SIZE).encode() + b"\n")


def read_protected(path: Path) -> bytes:
    """A small regular file that nobody but its owner, who is this user or root, can read."""
    try:
        # A FIFO would block for ever, and is refused below.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise MasterKeyError(f"master key: {path}: {error.strerror}") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise MasterKeyError(f"master key: {path} is not a regular file")
        if status.st_uid not in (0, os.geteuid()):
            raise MasterKeyError(f"master key: {path} belongs to user {status.st_uid}")
        if status.st_mode & 0o077:
            mode = stat.S_IMODE(status.st_mode)
            raise MasterKeyError(f"master key: {path} has mode {mode:04o}; chmod 600")
        return os.read(descriptor, _FILE_MAX)
    finally:
        os.close(descriptor)


def _key_of(data: bytes, where: str) -> bytes:
    if len(data) == KEY_SIZE:
        return data
    text = data.strip()
    for decode in (binascii.unhexlify, lambda text: base64.b64decode(text, validate=True)):
        try:
            key = decode(text)
        except ValueError:
            continue
        if len(key) == KEY_SIZE:
            return key
    raise MasterKeyError(f"master key: {where} does not hold {KEY_SIZE} bytes in hex or base64")
