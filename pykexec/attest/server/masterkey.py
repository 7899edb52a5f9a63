# SPDX-License-Identifier: Apache-2.0
"""The master key: what wraps every other key, and where it is kept."""

from __future__ import annotations

from typing import Protocol


class MasterKey(Protocol):
    """Wraps keys of 32 bytes; never gives itself away."""

    @property
    def key_id(self) -> str:
        """Names the key, so that a wrapped one says by which it was."""

    def wrap(self, plain: bytes | bytearray) -> bytes:
        """Encrypt and authenticate; MasterKeyError when it cannot."""

    def unwrap(self, wrapped: bytes) -> bytearray:
        """The opposite; MasterKeyError for what this key did not wrap. The caller wipes it."""

    def check(self) -> None:
        """MasterKeyError when the key cannot be used at present."""


def open_master_key(spec: str) -> MasterKey:
    """The master key by "file:PATH", "env:NAME" or "vault:MOUNT/NAME"; MasterKeyError."""
    raise NotImplementedError
