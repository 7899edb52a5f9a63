# SPDX-License-Identifier: Apache-2.0
"""TOML tables of a configuration and the keys that they may have; a fault names source and key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pykexec.errors import ConfigError

SECONDS_MAX = 7 * 24 * 3600
"""Nobody waits longer than a week, and no clock is asked to."""

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Kind(Generic[T_co]):
    """What values may be: in words, and as a function that gives None for what is none."""

    name: str
    read: Callable[[object], T_co | None]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _texts(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        return None
    return tuple(value)


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _seconds(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= SECONDS_MAX:
        return None
    return value


TEXT = Kind("a string", _text)
TEXTS = Kind("a list of strings", _texts)
FLAG = Kind("true or false", _flag)
SECONDS = Kind(f"a number from 0 to {SECONDS_MAX}", _seconds)


@dataclass(frozen=True, slots=True)
class Key(Generic[T_co]):
    """A key, for the parser and for who documents it.

    default counts where the key is missing; unset says in words what does where that depends on
    other keys. choices are all that a string, or each of a list, may be.
    """

    name: str
    kind: Kind[T_co]
    default: T_co
    what: str
    unset: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A table: its name ("" is the document itself), what it is for, its keys; repeated: there may
    be any number of it, `[[name]]`.
    """

    name: str
    what: str
    keys: tuple[Key[object], ...]
    repeated: bool = False


class Table:
    """A TOML table whose keys are taken one by one; what is left over is unknown."""

    def __init__(
        self,
        source: str,
        prefix: str,
        values: dict[str, object],
        place: Callable[[str], str] = lambda name: "",
    ) -> None:
        self.source = source
        self.prefix = prefix
        self.values = dict(values)
        self.place = place
        """What stands in errors before a key's full name: the line where it is, say."""

    def fault(self, key: str, fault: str) -> ConfigError:
        """The error for a key, which somebody else may have written."""
        shown = key if key.isprintable() else repr(key)
        place = self.place(f"{self.prefix}{key}")
        return ConfigError(f"{self.source}: {place}{self.prefix}{shown}: {fault}")

    def has(self, section: Section) -> bool:
        """Is there such a table, though it may be empty?"""
        return section.name in self.values

    def table(self, section: Section) -> Table:
        """A table; an empty one where there is none."""
        value = self.values.pop(section.name, {})
        if not isinstance(value, dict):
            raise self.fault(section.name, "must be a table")
        return Table(self.source, f"{self.prefix}{section.name}.", value, self.place)

    def tables(self, section: Section) -> list[Table]:
        """The tables of a repeated one, numbered from 0 in faults; none where there is none."""
        values = self.values.pop(section.name, [])
        if not isinstance(values, list) or not all(isinstance(each, dict) for each in values):
            raise self.fault(section.name, f"must be tables, [[{section.name}]]")
        return [
            Table(self.source, f"{self.prefix}{section.name}[{number}].", each, self.place)
            for number, each in enumerate(values)
        ]

    def take(self, key: Key[T], unset: T | None = None) -> T:
        """The key's value; where it is missing, or an empty string, unset or else its default."""
        found = None
        if (value := self.values.pop(key.name, None)) is not None:
            if (found := key.kind.read(value)) is None:
                raise self.fault(key.name, f"must be {key.kind.name}")
            self._check_choice(key, found)
        if found is None or found == "":
            return key.default if unset is None else unset
        return found

    def _check_choice(self, key: Key[T], found: T) -> None:
        words = found if isinstance(found, tuple) else (found,) if found else ()
        for word in words if key.choices else ():
            if word not in key.choices:
                raise self.fault(key.name, f"{word!r} is not one of {', '.join(key.choices)}")

    def refuse_rest(self) -> None:
        """ConfigError for a key that was not taken."""
        for key in self.values:
            raise self.fault(key, "unknown key")
