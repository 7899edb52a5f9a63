# SPDX-License-Identifier: Apache-2.0
"""TOML tables of a configuration, taken apart key by key; every fault names source and key."""

from __future__ import annotations

from pykexec.errors import ConfigError


class Table:
    """A TOML table whose keys are taken one by one; what is left over is unknown."""

    def __init__(self, source: str, prefix: str, values: dict[str, object]) -> None:
        self.source = source
        self.prefix = prefix
        self.values = dict(values)

    def fault(self, key: str, fault: str) -> ConfigError:
        """The error for a key."""
        return ConfigError(f"{self.source}: {self.prefix}{key}: {fault}")

    def table(self, key: str) -> Table | None:
        """A table; None where there is none."""
        value = self.values.pop(key, None)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.fault(key, "must be a table")
        return Table(self.source, f"{self.prefix}{key}.", value)

    def text(self, key: str) -> str | None:
        """A string; None where there is none, or an empty one."""
        value = self.values.pop(key, None)
        if value is not None and not isinstance(value, str):
            raise self.fault(key, "must be a string")
        return value or None

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings."""
        value = self.values.pop(key, [])
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            raise self.fault(key, "must be a list of strings")
        return tuple(value)

    def flag(self, key: str, default: bool) -> bool:
        """true or false."""
        value = self.values.pop(key, default)
        if not isinstance(value, bool):
            raise self.fault(key, "must be true or false")
        return value

    def number(self, key: str, default: int) -> int:
        """An integer, 0 or more."""
        value = self.values.pop(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self.fault(key, "must be a number, 0 or more")
        return value

    def refuse_rest(self) -> None:
        """ConfigError for a key that was not taken."""
        for key in self.values:
            raise self.fault(key, "unknown key")
