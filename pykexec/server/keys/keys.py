# SPDX-License-Identifier: Apache-2.0
"""The store's own key: seals rows, heads the audit chain, recognises tokens.

It is random, made with the store and kept in it, wrapped by the master key: so it outlives every
change of the master key, and Vault is asked for it once, not for every row.
"""

from __future__ import annotations

import hmac

from pykexec.server.canonical import canonical
from pykexec.server.errors import StoreError, Tampered
from pykexec.server.keys.envelope import wipe

RESTORED = "restore"
"""The subject of what the audit chain says about restored backups."""


class Keys:
    """Everything that the store's key is good for.

    restored is the number of the last entry about RESTORED: what was given out before it (a
    challenge, a login that has begun) the server must not know any more, since it has forgotten
    whether that was used.
    """

    def __init__(self, store_key: bytearray, restored: int = 0) -> None:
        self._store_key = store_key
        self._restored = restored
        self._seal = bytearray(self.derive("pykexec row seal"))

    def __repr__(self) -> str:
        return "<secret>"

    def derive(self, purpose: str) -> bytes:
        """32 bytes for one purpose."""
        if not any(self._store_key):
            raise StoreError("the store is closed")
        return hmac.digest(self._store_key, b"pykexec store 1\0" + purpose.encode(), "sha256")

    def derive_anew(self, purpose: str) -> bytes:
        """The same, but another one after each restore."""
        return self.derive(f"{purpose} since {self._restored}" if self._restored else purpose)

    def seal(self, table: str, *fields: object) -> bytes:
        """A MAC over what a row says: who can only write the database cannot make one."""
        return hmac.digest(self._seal, canonical([table, *fields]).encode(), "sha256")

    def check(self, mac: bytes, table: str, *fields: object) -> None:
        """Tampered unless it is the row's."""
        if not hmac.compare_digest(mac, self.seal(table, *fields)):
            raise Tampered(f"{table}: row {fields[0]!r} is not as this server wrote it")

    def wipe(self) -> None:
        """No use after that."""
        wipe(self._store_key)
        wipe(self._seal)
