# SPDX-License-Identifier: Apache-2.0
"""What somebody may do (role) and with which machines (scope).

A scope is a set of tags, KEY=VALUE: a machine belongs to it that has any of them. The empty one is
the whole server: all machines, and all that is no machine's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from pykexec.errors import UsageError

ROLES = ("viewer", "operator", "admin")
"""Each allows what those before it do."""
SCOPE_MAX = 16
"""Tags."""
SCOPE_TAG = r"[A-Za-z0-9][A-Za-z0-9._/-]{0,63}=[ -~]{0,256}"
"""One of them, as a regular expression."""

Scope = tuple[str, ...]


class Reach(StrEnum):
    """How far a request reaches.

    PUBLIC asks nobody who he is: health, the login, files of pages. MACHINE: a machine's system, by
    what it was given in this boot. PERSON: those who approve, by a login of their own for one boot.
    OWN: one's own account, whatever scope. SCOPED: machines and what is theirs, by the caller's
    scope, and what is everybody's. WHOLE: all else, for those alone who have the whole server.
    """

    PUBLIC = "public"
    MACHINE = "machine"
    PERSON = "person"
    OWN = "own"
    SCOPED = "scoped"
    WHOLE = "whole"


def reach_of(path: str, said: Reach | None = None) -> Reach:
    """Of a route of that path, of which this is said, if anything: whose path names a machine or an
    attestation is SCOPED, all else is WHOLE.
    """
    if said is not None:
        return said
    return Reach.SCOPED if "{machine}" in path or "{attestation}" in path else Reach.WHOLE


@dataclass(frozen=True, slots=True)
class Grant:
    """A role, for the machines of a scope."""

    role: str
    scope: Scope = ()


def allows(role: str, needed: str) -> bool:
    """Whether a role may do what another may."""
    return ROLES.index(role) >= ROLES.index(needed)


def check_role(role: str) -> None:
    """UsageError for what is none."""
    if role not in ROLES:
        raise UsageError(f"{role!r} is not one of {', '.join(ROLES)}")


def make_scope(tags: Iterable[str]) -> Scope:
    """The set of these; UsageError for what is no tag."""
    found = tuple(sorted(set(tags)))
    if len(found) > SCOPE_MAX:
        raise UsageError(f"a scope has at most {SCOPE_MAX} tags")
    for tag in found:
        if not re.fullmatch(SCOPE_TAG, tag):
            raise UsageError(f"{tag[:64]!r}: a scope's tags are KEY=VALUE")
    return found


def pairs(scope: Scope) -> list[tuple[str, str]]:
    """Keys and values."""
    return [(key, value) for key, _, value in (tag.partition("=") for tag in scope)]


def covers(scope: Scope, tags: Mapping[str, str]) -> bool:
    """Whether a machine with these tags belongs to it."""
    return not scope or any(tags.get(key) == value for key, value in pairs(scope))


def includes(scope: Scope, other: Scope) -> bool:
    """Whether all of another scope's machines belong to it."""
    return not scope or (bool(other) and set(other) <= set(scope))


def strongest(grants: Iterable[Grant]) -> Grant | None:
    """What several grants come to: the highest role, for the machines of all those that give it."""
    found = list(grants)
    if not found:
        return None
    role = max((grant.role for grant in found), key=ROLES.index)
    scopes = [grant.scope for grant in found if grant.role == role]
    united = () if () in scopes else make_scope(tag for scope in scopes for tag in scope)
    return Grant(role, united)
