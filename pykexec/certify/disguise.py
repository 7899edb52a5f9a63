# SPDX-License-Identifier: Apache-2.0
"""Serial numbers, MAC addresses and UUIDs: the same always looks the same, and never as it is.

What identifies a machine is learned by value and replaced wherever it turns up, in bytes, hex,
UCS-2 or as a GUID's text, by something of the same size. It is made with a salt that never leaves
the machine, so that nobody tries all MAC addresses.
"""

from __future__ import annotations

import hashlib
import hmac

from pykexec.efi.guid import GUID_SIZE, Guid

SALT_SIZE = 16
_SIZE_MIN = 4
"""What is shorter is no identifier, but would turn up everywhere."""
_MAC_SIZE = 6
_PLACEHOLDERS = frozenset(
    ("", "0", "none", "default string", "not specified", "not available", "system serial number",
     "to be filled by o.e.m.", "not applicable", "chassis serial number",
     "base board serial number", "unknown", "invalid", "n/a")
)  # fmt: skip


class Disguise:
    """Hides what it has learned; one that is open hides nothing."""

    def __init__(self, salt: bytes, is_open: bool = False) -> None:
        self._salt, self._is_open = salt, is_open
        self._pairs: dict[bytes, bytes] = {}
        self._ordered: list[tuple[bytes, bytes]] = []

    def learn_bytes(self, value: bytes) -> None:
        """An identifier that is bytes: a MAC address, a GUID, a disk's EUI-64."""
        if len(value) < _SIZE_MIN or not any(value) or set(value) == {0xFF}:
            return
        made = self._made(value, len(value))
        self._pair(value, made)
        self._pair_text(value.hex(), made.hex())
        if len(value) == _MAC_SIZE:
            for between in ":-":
                self._pair_text(value.hex(between), made.hex(between))
        if len(value) == GUID_SIZE:
            self._pair_text(str(Guid(value)), str(Guid(made)))

    def learn_text(self, value: str) -> None:
        """An identifier that is text: a serial number; what nobody has filled in is none."""
        value = value.strip()
        if len(value) >= _SIZE_MIN and value.lower() not in _PLACEHOLDERS:
            digits = self._made(value.encode(), -(-len(value) // 2)).hex().upper()
            self._pair_text(value, digits[: len(value)])

    def hide_bytes(self, data: bytes) -> bytes:
        """data, as long as it is, with what was learned replaced."""
        for found, made in self._ordered:
            data = data.replace(found, made)
        return data

    def hide_text(self, text: str) -> str:
        """The same of a text."""
        return self.hide_bytes(text.encode()).decode()

    def word(self, value: bytes) -> str:
        """A few digits that stand for value: the same ones for the same, in this report."""
        return value.hex() if self._is_open else self._made(value, 6).hex()

    def _made(self, value: bytes, size: int) -> bytes:
        made = b""
        while len(made) < size:
            made += hmac.digest(self._salt, bytes([len(made) & 0xFF]) + value, "sha256")
        return made[:size]

    def _pair_text(self, value: str, made: str) -> None:
        for found, instead in {(value, made), (value.upper(), made.upper())}:
            self._pair(found.encode(), instead.encode())
            self._pair(found.encode("utf-16-le"), instead.encode("utf-16-le"))

    def _pair(self, found: bytes, made: bytes) -> None:
        if self._is_open or found in self._pairs:
            return
        self._pairs[found] = made
        # A longer one first: a shorter may be part of it.
        self._ordered = sorted(self._pairs.items(), key=lambda pair: -len(pair[0]))


def new_salt() -> bytes:
    """For one report."""
    import os

    return os.urandom(SALT_SIZE)


def digest(data: bytes) -> str:
    """What tells two machines' bytes apart, where they identify nobody."""
    return hashlib.sha256(data).hexdigest()
