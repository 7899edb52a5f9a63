# SPDX-License-Identifier: Apache-2.0
"""What the actions of `pykexec server` share."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from pykexec.cli.output import print_json, print_table
from pykexec.errors import UsageError
from pykexec.log import printable
from pykexec.whole import create

if TYPE_CHECKING:
    from pykexec.server.adminclient import AdminClient
    from pykexec.server.store.store import Store

Rows = list[dict[str, object]]
Action = Callable[["AdminClient", argparse.Namespace], int]
Actions: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

_SECRET_MAX = 1 << 20  # bytes


def add_connection(parser: argparse._ActionsContainer) -> None:
    """Which server is asked, and by which right: see connect()."""
    parser.add_argument("--url", metavar="URL", help="https://HOST:PORT of the server")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="the API token")
    parser.add_argument("--ca", type=Path, metavar="FILE", help="PEM: who vouches for the server")


def connect(args: argparse.Namespace) -> AdminClient:
    """A client of that server, or of the one that the environment names."""
    from pykexec.server.adminclient import AdminClient

    url = args.url or os.environ.get("PYKEXEC_SERVER")
    if not url:
        raise UsageError("which server? --url or $PYKEXEC_SERVER")
    file = args.token_file or os.environ.get("PYKEXEC_TOKEN_FILE")
    token = Path(file).read_text().strip() if file else os.environ.get("PYKEXEC_TOKEN", "")
    if not token:
        raise UsageError("by which right? --token-file, $PYKEXEC_TOKEN_FILE or $PYKEXEC_TOKEN")
    return AdminClient(url, token, args.ca)


def add_action(actions: Actions, name: str, text: str, action: Action) -> argparse.ArgumentParser:
    """An action that asks a server."""
    parser: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(action=lambda args: action(args.client(args), args))
    return parser


def add_store(
    actions: Actions, name: str, text: str, action: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    """An action on a server's database itself."""
    parser: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text)
    parser.add_argument("--database", required=True, metavar="URL")
    parser.add_argument("--master-key", required=True, metavar="SPEC")
    parser.set_defaults(action=action)
    return parser


def open_store(args: argparse.Namespace, migrate: bool = False) -> Store:
    """What add_store() asks for."""
    from pykexec.server.keys.masterkey import open_master_key
    from pykexec.server.store.store import Store

    return Store.open(args.database, open_master_key(args.master_key), migrate)


def add_group(actions: Actions, name: str, text: str) -> Actions:
    """Actions under one word."""
    parser = actions.add_parser(name, help=text, description=text)
    found: Actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    return found


def find_machine(client: AdminClient, text: str) -> str:
    """The fingerprint of the one machine that is meant."""
    if re.fullmatch("[0-9a-f]{64}", text):
        return text
    rows = rows_of(client.get("machines", search=text, limit=1000), "machines")
    found = [row for row in rows if row["name"] == text or str(row["fingerprint"]).startswith(text)]
    if len(found) != 1:
        raise UsageError(f"{text}: {len(found) or 'no'} machines are named so")
    return str(found[0]["fingerprint"])


def rows_of(answer: dict[str, object], key: str) -> Rows:
    """A list of objects within an answer."""
    found = answer[key]
    assert isinstance(found, list)
    return found


def print_rows(args: argparse.Namespace, rows: Rows, columns: tuple[str, ...]) -> int:
    """As a table, or as JSON when that was asked for."""
    if args.json:
        print_json(rows)
    elif rows:
        table = [[cell(row.get(name)) for name in columns] for row in rows]
        print_table([[name.upper().replace("_", " ") for name in columns], *table])
    return 0


def cell(value: object) -> str:
    """A value for people; what a stranger named must not steer the terminal."""
    if value is None:
        return "-"
    if isinstance(value, list):
        return " ".join(map(cell, value)) or "-"
    if isinstance(value, dict):
        return " ".join(f"{cell(key)}={cell(item)}" for key, item in value.items()) or "-"
    return printable(str(value))


def pairs_of(words: list[str]) -> dict[str, str]:
    """KEY=VALUE words."""
    pairs = [word.partition("=") for word in words]
    if wrong := [
        word for word, pair in zip(words, pairs, strict=True) if not (pair[0] and pair[1])
    ]:
        raise UsageError(f"{wrong[0]}: not KEY=VALUE")
    return {key: value for key, _, value in pairs}


def read_secret(source: str, what: str) -> bytearray:
    """A secret from a file or, with -, from standard input; never from an argument."""
    with sys.stdin.buffer if source == "-" else open(source, "rb") as file:
        value = bytearray(file.read(_SECRET_MAX + 1))
    if not 0 < len(value) <= _SECRET_MAX:
        raise UsageError(f"{what}: from 1 to {_SECRET_MAX} bytes are taken")
    return value


def read_password(source: str | None, name: str) -> str:
    """A password from a file, standard input, or the terminal, which is asked twice."""
    if source is not None:
        return read_secret(source, "password").decode().rstrip("\r\n")
    import getpass

    if not sys.stdin.isatty():
        raise UsageError("no terminal to ask at: --password-file FILE, or - for standard input")
    password = getpass.getpass(f"Password for {name}: ")
    if getpass.getpass("Once more: ") != password:
        raise UsageError("the two differ")
    return password


def write_private(path: Path, text: str) -> None:
    """A new file that its owner alone can read, whole or not at all."""
    create(path, f"{text}\n".encode())


def check_new(path: Path) -> None:
    """UsageError if write_private() is bound to fail, before anything is changed."""
    if os.path.lexists(path):
        raise UsageError(f"{path}: is there already")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise UsageError(f"{path.parent}: no directory that can be written to")


def print_check(entries: object, digest: object, faults: object) -> int:
    """What a check of the audit chain found; 3 when it is broken."""
    assert isinstance(faults, list | tuple)
    for fault in faults:
        print(cell(fault))
    print(f"{entries} entries, the last one's hash is {digest}")
    print("the chain is broken" if faults else "the chain is whole")
    return 3 if faults else 0
