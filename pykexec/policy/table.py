# SPDX-License-Identifier: Apache-2.0
"""TOML tables of a policy, taken apart key by key; every fault names source and key."""

from __future__ import annotations

import re

from pykexec.config.toml import parse_toml as parse_document
from pykexec.errors import FormatError
from pykexec.policy.model import (
    BANKS,
    LIST_MAX,
    NAME_MAX,
    PATTERN_MAX,
    POLICY_MAX,
    PolicyError,
)

_PARTS_MAX = 16
_TABLES_MAX = 4096
# The parser's memory grows with the square of a key's parts, and with every table. What looks like
# a key of more parts is refused wherever it stands, in a string too: to know what is one takes the
# parser itself. A quoted part that is longer makes up for it by taking more of the document.
_PART = r"""(?:[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.){0,256}+"|'[^'\n]{0,256}+')"""
_LONG_KEY = re.compile(rf"(?<![A-Za-z0-9_-])(?:{_PART}[ \t]*+\.[ \t]*+){{{_PARTS_MAX},}}")
_TABLE = re.compile(r"^[ \t]*+\[", re.MULTILINE)
_HEX = re.compile(r"[0-9a-f]+")
_HEX_SIZES = {"sha256": 64, "sha384": 96}


def parse_toml(data: bytes, source: str) -> Table:
    """The whole document; PolicyError if it is none or too large."""
    if len(data) > POLICY_MAX:
        raise PolicyError(f"{source}: {len(data)} bytes, at most {POLICY_MAX} are taken")
    text = data.decode(errors="replace")
    if found := _LONG_KEY.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise PolicyError(f"{source}: line {line}: a key of more than {_PARTS_MAX} parts")
    if len(_TABLE.findall(text)) > _TABLES_MAX:
        raise PolicyError(f"{source}: more than {_TABLES_MAX} tables")
    try:
        return Table(source, "", parse_document(data))
    except FormatError as error:
        raise PolicyError(f"{source}: {error}") from None


class Table:
    """A table whose keys are taken one by one; end() refuses what is left over."""

    def __init__(self, source: str, where: str, values: dict[str, object]) -> None:
        self._source, self._where = source, where
        self._values = dict(values)

    def fault(self, key: str, fault: str) -> PolicyError:
        """The error for a key."""
        name = ".".join(part for part in (self._where, key) if part)
        return PolicyError(f"{self._source}: {name[:NAME_MAX]}: {fault}")

    def keys(self) -> list[str]:
        """What was not taken yet."""
        return list(self._values)

    def has(self, key: str) -> bool:
        """Whether the key is there and was not taken."""
        return key in self._values

    def _take(self, key: str, kind: type, name: str) -> object:
        value = self._values.pop(key)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.fault(key, f"must be {name}")
        return value

    def flag(self, key: str) -> bool:
        """true or false; false where the key is missing."""
        return key in self._values and bool(self._take(key, bool, "true or false"))

    def number(self, key: str) -> int:
        """An integer, 0 or more; 0 where the key is missing."""
        value = self._take(key, int, "a number") if key in self._values else 0
        assert isinstance(value, int)
        if not 0 <= value < 1 << 31:
            raise self.fault(key, "must be a number from 0 to 2147483647")
        return value

    def text(self, key: str, size_max: int = PATTERN_MAX) -> str:
        """A string; "" where the key is missing."""
        if key not in self._values:
            return ""
        return self._checked(key, str(self._take(key, str, "a string")), size_max)

    def name(self, key: str = "name") -> str:
        """A string that has to be there, on one line."""
        text = self.text(key, NAME_MAX)
        if not text:
            raise self.fault(key, "missing" if key not in self._values else "must not be empty")
        if not text.isprintable():
            raise self.fault(key, "has characters that cannot be printed")
        return text

    def texts(self, key: str, size_max: int = PATTERN_MAX) -> tuple[str, ...]:
        """A list of strings, none of them empty; a list that is there has some."""
        if key not in self._values:
            return ()
        values = self._list(key)
        if not all(isinstance(value, str) for value in values):
            raise self.fault(key, "must be a list of strings")
        return tuple(self._checked(key, str(value), size_max) for value in values)

    def _checked(self, key: str, text: str, size_max: int) -> str:
        if not text:
            raise self.fault(key, "must not be empty")
        if len(text) > size_max:
            raise self.fault(key, f"{len(text)} characters, at most {size_max} are taken")
        return text

    def _list(self, key: str) -> list[object]:
        values = self._take(key, list, "a list")
        assert isinstance(values, list)
        if not values:
            # Somebody may take "nothing is demanded" for "nothing is allowed".
            raise self.fault(key, "must not be empty; leave it out to demand nothing")
        if len(values) > LIST_MAX:
            raise self.fault(key, f"{len(values)} entries, at most {LIST_MAX} are taken")
        return values

    def digests(self, key: str, *banks: str) -> tuple[str, ...]:
        """A digest in hex, or a list of them, each as long as one of banks (default: sha256)."""
        if isinstance(self._values.get(key), str):
            self._values[key] = [self._values[key]]
        found = tuple(text.lower() for text in self.texts(key))
        for text in found:
            self.check_digest(key, text, *banks)
        return found

    def check_digest(self, key: str, text: str, *banks: str) -> None:
        """PolicyError unless text is a digest of one of banks (default: sha256)."""
        sizes = [_HEX_SIZES[bank] for bank in banks or ("sha256",)]
        if len(text) not in sizes or not _HEX.fullmatch(text):
            wanted = " or ".join(map(str, sizes))
            raise self.fault(key, f"{text[:NAME_MAX]!r} is not {wanted} hexadecimal digits")

    def banked(self, key: str) -> dict[str, str]:
        """A table of one digest for each bank; banks that nobody quotes are left out."""
        if not (table := self.table(key)):
            return {}
        for bank in ("sha1", "sha512"):  # What `pykexec build` writes, too.
            table.text(bank)
        found = {}
        for bank in BANKS:
            if table.has(bank):
                found[bank] = table.text(bank).lower()
                table.check_digest(bank, found[bank], bank)
        table.end()
        return found

    def table(self, key: str) -> Table | None:
        """A table, None where the key is missing."""
        if key not in self._values:
            return None
        value = self._take(key, dict, "a table")
        assert isinstance(value, dict)
        return self._child(key, value)

    def tables(self, key: str) -> list[Table]:
        """An array of tables."""
        if key not in self._values:
            return []
        found = []
        for number, value in enumerate(self._list(key)):
            if not isinstance(value, dict):
                raise self.fault(f"{key}[{number}]", "must be a table")
            found.append(self._child(f"{key}[{number}]", value))
        return found

    def _child(self, key: str, values: dict[str, object]) -> Table:
        return Table(self._source, f"{self._where}.{key}" if self._where else key, values)

    def end(self) -> None:
        """Refuse what was not taken."""
        for key in self._values:
            raise self.fault(key, "unknown key")
