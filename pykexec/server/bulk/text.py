# SPDX-License-Identifier: Apache-2.0
"""Lines of an import as people write them: CSV, or JSON lines. Both say the same.

In CSV the first row names the columns; tag:KEY and parameter:KEY are those of one key. An empty
cell says nothing, but for a machine's tag, which it takes away. plain is a value as text.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator

from pykexec.attest.fields import base64url, parse_object
from pykexec.errors import FormatError
from pykexec.server.canonical import canonical

Row = dict[str, object]
FORMATS = ("csv", "jsonl")
_LINE_MAX = 1 << 20  # characters: a policy has up to a quarter of it
_GROUPS = {"tag:": "tags", "parameter:": "parameters"}


def read(text: str, form: str) -> Iterator[Row]:
    """The lines, each with the number where it begins as "line"; FormatError names that line."""
    rows = _read_csv(text) if form == "csv" else _read_jsonl(text)
    for line, row in rows:
        if "line" in row:
            raise FormatError(f"line {line}: a key or column must not be called line")
        plain = row.pop("plain", None)
        if plain is not None:
            if not isinstance(plain, str) or "value" in row:
                raise FormatError(f"line {line}: plain is a text, instead of value")
            row["value"] = base64url(plain.encode("utf-8", "replace"))
        yield {"line": line, **row}


def write(rows: Iterable[Row], form: str) -> Iterator[str]:
    """The opposite, line by line; CSV needs all rows before it has a first line."""
    if form == "jsonl":
        yield from (canonical(row) + "\n" for row in rows)
        return
    flat: list[dict[str, str]] = [_flat(row) for row in rows]
    columns = list(dict.fromkeys(("kind", *sorted({key for row in flat for key in row}))))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for row in flat:
        yield out.getvalue()
        out.seek(0)
        out.truncate()
        writer.writerow(row)
    yield out.getvalue()


def _read_jsonl(text: str) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            data = line.encode("utf-8", "replace")
            yield number, parse_object(data, f"line {number}", _LINE_MAX).rest()


def _read_csv(text: str) -> Iterator[tuple[int, Row]]:
    first = text.partition("\n")[0]
    # As spreadsheets write it where a comma is part of a number.
    delimiter = ";" if ";" in first and "," not in first else ","
    csv.field_size_limit(_LINE_MAX)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    begins = 1
    try:
        columns = next(reader, [])
        if len(set(columns)) != len(columns) or "kind" not in columns:
            raise FormatError("line 1: names the columns, each once, and one is kind")
        begins = reader.line_num + 1
        for cells in reader:
            if cells:
                if len(cells) != len(columns):
                    fault = f"{len(cells)} cells, where there are {len(columns)} columns"
                    raise FormatError(f"line {begins}: {fault}")
                yield begins, _row(columns, cells)
            begins = reader.line_num + 1
    except csv.Error as error:
        raise FormatError(f"line {begins}: {error}") from None


def _row(columns: list[str], cells: list[str]) -> Row:
    row: Row = {}
    groups: dict[str, dict[str, object]] = {}
    named = dict(zip(columns, cells, strict=True))
    for column, cell in named.items():
        group = next((name for start, name in _GROUPS.items() if column.startswith(start)), None)
        if group is None:
            if cell:
                row[column] = cell
        elif cell or (group == "tags" and named["kind"] == "machine"):
            groups.setdefault(group, {})[column.partition(":")[2]] = cell or None
    return {**row, **groups}


def _flat(row: Row) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in row.items():
        start = next((start for start, name in _GROUPS.items() if name == key), None)
        if start and isinstance(value, dict):
            found.update({f"{start}{name}": str(item) for name, item in value.items()})
        elif value is not None:
            found[key] = value if isinstance(value, str) else json.dumps(value)
    return found
