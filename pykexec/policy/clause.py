# SPDX-License-Identifier: Apache-2.0
"""How a clause of a policy is put together, and how it reads claims.

Claims are made from a stranger's bytes: whatever is missing or of another type is "nothing".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pykexec.attest.verdict import Finding
from pykexec.policy.model import Claims, Context, Policy

_SHOWN_MAX = 200  # characters
_LISTED_MAX = 8


@dataclass(frozen=True, slots=True)
class Clause:
    """One kind of demand.

    demands says in words what a policy wants, nothing if it leaves that open; found what the
    evidence has; check gives a finding for each demand that is not met.
    """

    title: str
    demands: Callable[[Policy], Iterable[str]]
    found: Callable[[Policy, Claims], Iterable[str]]
    check: Callable[[Policy, Claims, Context], Iterator[Finding]]


def at(claims: Claims, *keys: str) -> object:
    """The value at a path of keys, None where there is none."""
    value: object = claims
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def text_at(claims: Claims, *keys: str) -> str:
    """A string, "" where there is none."""
    value = at(claims, *keys)
    return value if isinstance(value, str) else ""


def mappings_at(claims: Claims, *keys: str) -> list[Mapping[str, object]]:
    """A list's objects."""
    value = at(claims, *keys)
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def texts_at(claims: Claims, *keys: str) -> list[str]:
    """A list's strings."""
    value = at(claims, *keys)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def matches(text: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns (*, ?, [...]) is the whole text."""
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def shown(text: object) -> str:
    """A stranger's text, printable and not too long."""
    clean = "".join(
        char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(text)
    )
    return clean if len(clean) <= _SHOWN_MAX else f"{clean[: _SHOWN_MAX - 3]}..."


def either(values: Iterable[str]) -> str:
    """a, b or c; only the first of many."""
    words = list(map(shown, values))
    if len(words) > _LISTED_MAX:
        words[_LISTED_MAX - 1 :] = [f"{len(words) - _LISTED_MAX + 1} others"]
    if len(words) < 2:
        return words[0] if words else "nothing"
    return f"{', '.join(words[:-1])} or {words[-1]}"
