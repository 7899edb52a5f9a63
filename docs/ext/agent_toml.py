# SPDX-License-Identifier: Apache-2.0
"""The reference of agent.toml and of a launch's manifest, from the tables that their parsers read
by.
"""

from __future__ import annotations

from collections.abc import Iterator

from pykexec.config import keys
from pykexec.config.table import Key, Section
from pykexec.launch import manifest


def reference(_words: str) -> str:
    """A part for each table: what it is for, then a row for each key."""
    return "\n".join(line for section in keys.SECTIONS for line in _section(section))


def launch_reference(_words: str) -> str:
    """The same of a manifest."""
    return "\n".join(line for section in manifest.SECTIONS for line in _section(section, "###"))


def _section(section: Section, level: str = "##") -> Iterator[str]:
    name = f"[[{section.name}]]" if section.repeated else f"[{section.name}]"
    yield f"\n{level} `{name}`\n" if section.name else f"\n{level} Above all tables\n"
    yield f"{section.what}\n"
    yield "| key | value | without it | what |"
    yield "|---|---|---|---|"
    for key in section.keys:
        yield f"| `{key.name}` | {_value(key)} | {key.unset or _word(key.default)} | {key.what} |"


def _value(key: Key[object]) -> str:
    kind = key.kind.name.removeprefix("a ")
    return f"{kind}: {', '.join(f'`{word}`' for word in key.choices)}" if key.choices else kind


def _word(value: object) -> str:
    """A default as TOML has it; nothing for an empty string."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"`{value}`" if value else ""
    return str(value)
