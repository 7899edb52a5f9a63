# SPDX-License-Identifier: Apache-2.0
"""Tokens that operators make for programs of their own: never more than they may do themselves."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from pykexec.errors import UsageError
from pykexec.server.canonical import now
from pykexec.server.errors import Conflict, NotFound
from pykexec.server.roles import Grant, allows, check_role, includes
from pykexec.server.store import tokens
from pykexec.server.store.records import Token
from pykexec.server.store.sessions import Who
from pykexec.server.store.view import Reading

if TYPE_CHECKING:
    from pykexec.server.keys.keys import Keys
    from pykexec.server.store.database import Database

DAYS_MAX = 365
TOKENS_MAX = 16
"""Of one operator."""
# It stands in paths of URLs.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class OwnTokens:
    """Of a store's database."""

    def __init__(self, database: Database, keys: Keys) -> None:
        self._database, self._keys = database, keys

    def of(self, actor: str) -> tuple[Token, ...]:
        """Those that somebody has made and that were not revoked."""
        found = self._database.read(lambda one: tokens.every(Reading(one, self._keys)))
        return tuple(t for t in found if t.created_by == actor and t.revoked is None)

    def create(self, maker: Who, name: str, grant: Grant, days: int) -> str:
        """A new one's text. UsageError for more than the maker may do, and for longer than he
        should; Conflict when the name is in use.
        """
        check_role(grant.role)
        if not allows(maker.role, grant.role):
            raise UsageError(f"your role is {maker.role}: a token of yours has no higher one")
        if not includes(maker.scope, grant.scope):
            raise UsageError(f"your scope is {' '.join(maker.scope)}: a token has some of it")
        if not 1 <= days <= DAYS_MAX:
            raise UsageError(f"a token counts for 1 to {DAYS_MAX} days")
        if not _NAME.fullmatch(name):
            raise UsageError("a token's name has up to 64 letters, digits, dots, dashes")
        if len(self.of(maker.actor)) >= TOKENS_MAX:
            raise Conflict(f"you have {TOKENS_MAX} tokens already: revoke one first")
        expires = now() + timedelta(days=days)
        with self._database.writing(self._keys) as tx:
            _, text = tokens.create(tx, name, grant.role, maker.actor, expires, grant.scope)
        return text

    def revoke(self, actor: str, name: str) -> None:
        """NotFound unless that somebody has made it."""
        if not any(token.name == name for token in self.of(actor)):
            raise NotFound(f"you have made no token {name!r}")
        with self._database.writing(self._keys) as tx:
            tokens.revoke(tx, name, actor)
