# SPDX-License-Identifier: Apache-2.0
"""Many things at once: `pykexec server import|export`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pykexec.cli._progress import Progress
from pykexec.cli._server import Actions, add_action, cell
from pykexec.errors import FormatError

if TYPE_CHECKING:
    from pykexec.server.adminclient import AdminClient

_KINDS = ("machine", "secret", "ek-hash", "policy")
_FORMATS = ("csv", "jsonl")
_SIZE_MAX = 16 << 20  # bytes


def configure(actions: Actions) -> None:
    """Declare the actions."""
    words = "bring in machines, secrets, EK hashes and policies: all lines of a file, or none"
    parser = add_action(actions, "import", words, _import)
    parser.add_argument("file", metavar="FILE", help=".csv or .jsonl; -: standard input")
    parser.add_argument("--format", choices=_FORMATS, help="where the name does not tell")
    parser.add_argument("--dry-run", action="store_true", help="only say what would change")
    words = "write all machines, secrets (without their values), EK hashes or policies"
    parser = add_action(actions, "export", words, _export)
    parser.add_argument("kind", choices=_KINDS)
    parser.add_argument("--format", choices=_FORMATS, default="jsonl")


def _import(client: AdminClient, args: argparse.Namespace) -> int:
    from pykexec.server.bulk.text import read

    lines = list(read(_text(args.file), args.format or _format_of(args.file)))
    progress, faults, end = Progress(), 0, None
    body = {"lines": lines, "dry_run": args.dry_run}
    for line in client.lines("import", method="POST", body=body):
        found = json.loads(line)
        if "progress" in found:
            step = found["progress"]
            progress(f"{step['done']} of {step['total']} {cell(step['step'])}")
        elif "change" in found:
            change = found["change"]
            where = f"line {change['line']}: {change['action']} {cell(change['subject'])}"
            print(f"{where} {cell(change['detail'])}")
        elif "fault" in found:
            fault = found["fault"]
            print(f"line {fault['line']}: {cell(fault['why'])}", file=sys.stderr)
            faults += 1
        else:
            end = found["done"]
    if end is None:
        raise FormatError(f"{client.url}: the answer has no end; look whether anything changed")
    if faults:
        raise FormatError(f"nothing was changed: {args.file} has faults")
    did = "were made" if end["written"] else "would be made; nothing was changed"
    print(f"{end['lines']} lines, {end['changes']} changes {did}")
    return 0


def _text(file: str) -> str:
    with sys.stdin.buffer if file == "-" else open(file, "rb") as source:
        data = source.read(_SIZE_MAX + 1)
    if len(data) > _SIZE_MAX:
        raise FormatError(f"{file}: more than {_SIZE_MAX} bytes; import it in parts")
    try:
        # Spreadsheets begin a file with the mark.
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FormatError(f"{file}: line {line}: not UTF-8") from None


def _format_of(file: str) -> str:
    return "csv" if Path(file).suffix.lower() == ".csv" else "jsonl"


def _export(client: AdminClient, args: argparse.Namespace) -> int:
    from pykexec.server.bulk.text import write

    rows = (json.loads(line) for line in client.lines("export", args.kind))
    for text in write(rows, args.format):
        sys.stdout.write(text)
    return 0
