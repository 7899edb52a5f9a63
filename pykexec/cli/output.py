# SPDX-License-Identifier: Apache-2.0
"""How verbs print values: JSON and tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass

from pykexec.efi.device_path import DevicePath
from pykexec.efi.guid import Guid


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    print(json.dumps(to_plain(value), indent=2))


def to_plain(value: object) -> object:
    """value as JSON knows it: dataclasses as objects, bytes as hex, paths and GUIDs as text."""
    if isinstance(value, DevicePath | Guid):
        return str(value)
    if is_dataclass(value):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    return value.hex() if isinstance(value, bytes) else value


def print_table(rows: Iterable[Sequence[str]]) -> None:
    """Rows in columns as wide as they need to be."""
    table = [tuple(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
