# SPDX-License-Identifier: Apache-2.0
"""Where in a TOML document a key stands, for the errors of who reads it parsed."""

from __future__ import annotations

import re
from collections import Counter

_HEADER = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_.-]+)\s*\]")
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+)\s*=")


def places(text: str) -> dict[str, int]:
    """Full names of tables and keys ("domain[1].kernel"), and the line that each is on.

    Such names as people write: quoted and dotted keys are not found.
    """
    found: dict[str, int] = {}
    counts: Counter[str] = Counter()
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            name = header[2]
            if header[1] == "[[":
                table = f"{name}[{counts[name]}]"
                counts[name] += 1
            else:
                table = name
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            found.setdefault(f"{table}.{key[1]}" if table else key[1], number)
    return found


def place(found: dict[str, int], name: str) -> str:
    """ "line 12: " for a key, or else the table that it should be in; "" where neither is found."""
    while name:
        if name in found:
            return f"line {found[name]}: "
        name = name.rpartition(".")[0]
    return ""
