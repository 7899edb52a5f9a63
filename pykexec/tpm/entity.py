# SPDX-License-Identifier: Apache-2.0
"""What commands are about, as the TPM and its sessions name it (Part 1, 16)."""

from __future__ import annotations

import struct
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entity:
    """What a command is about: a handle, and the Name that sessions sign with it."""

    handle: int
    name: bytes

    @classmethod
    def of(cls, handle: int) -> Entity:
        """A PCR, session or hierarchy: its handle is its Name (Part 1, 16)."""
        return cls(handle, struct.pack(">I", handle))
