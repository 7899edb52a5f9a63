# SPDX-License-Identifier: Apache-2.0
"""What `pykexec server` does to the database itself: the server need not run."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pykexec.cli._server import (
    Actions,
    add_store,
    check_new,
    open_store,
    print_check,
    read_password,
    write_private,
)
from pykexec.errors import UsageError

if TYPE_CHECKING:
    from pykexec.server.store.store import Store

_INIT = "make database and first administrator (and the master key's file, if it is missing)"


_CHECK = "check the audit chain without a server"
_TOKEN = "make an API token without one: for who has database and master key"
_ADMIN = "make an administrator, or recover one: another password, no security keys"


def configure(actions: Actions) -> None:
    """Declare the actions."""
    init = add_store(actions, "init", _INIT, _init)
    init.add_argument("--operator", default="admin", metavar="NAME", help="default: admin")
    init.add_argument(
        "--password-file", metavar="FILE", help="their password; - is standard input; else: asked"
    )
    init.add_argument(
        "--token-file", dest="new_token", type=Path, metavar="FILE",
        help="also make an API token for the administrator and write it here",
    )  # fmt: skip
    token = add_store(actions, "local-token", _TOKEN, _token)
    token.add_argument("name", metavar="NAME")
    token.add_argument("--role", required=True, choices=("viewer", "operator", "admin"))
    token.add_argument("--output", required=True, type=Path, metavar="FILE", help="a new file")
    admin = add_store(actions, "local-admin", _ADMIN, _admin)
    admin.add_argument("name", metavar="NAME")
    admin.add_argument("--password-file", metavar="FILE", help="- is standard input; else: asked")
    add_store(actions, "migrate", "bring the database's schema up to date", _migrate)
    rewrap = add_store(actions, "rewrap", "change the master key", _rewrap)
    rewrap.add_argument("--new-key", required=True, metavar="SPEC", help="the new master key")
    rewrap.add_argument(
        "--finish", action="store_true",
        help="all servers have the new key: what the old one wraps is forgotten",
    )  # fmt: skip
    check = add_store(
        actions, "check-audit", "check the audit chain without a server", _check_audit
    )
    check.add_argument("--seq", type=int, metavar="N", help="an entry noted earlier")
    check.add_argument("--hash", metavar="HEX", help="and its hash then")
    check.add_argument("--anchor", type=Path, metavar="FILE", help="of `audit anchor`")


def _init(args: argparse.Namespace) -> int:
    from pykexec.server.store.accounts import FIRST, Accounts
    from pykexec.server.store.passwords import check_strength

    password = read_password(args.password_file, args.operator)
    check_strength(password)
    if args.new_token:
        check_new(args.new_token)
    with _new_key(args.master_key) as made:
        opened = open_store(args, migrate=True)
    if made:
        print(f"{made}: new master key; without it nobody can read the secrets, keep a copy")
    with opened as store:
        accounts = Accounts(store.database, store.keys)
        if accounts.operators():
            raise UsageError(
                "the database has operators already; nothing was changed (an API token: "
                "pykexec server local-token)"
            )
        accounts.create(args.operator, "admin", password, FIRST)
        print(f"operator {args.operator} can log in")
        if args.new_token:
            _write_token(store, args.operator, "admin", "init", args.new_token)
    return 0


def _token(args: argparse.Namespace) -> int:
    check_new(args.output)
    with open_store(args) as store:
        _write_token(store, args.name, args.role, "local", args.output)
    return 0


def _admin(args: argparse.Namespace) -> int:
    from pykexec.server.store.accounts import Accounts

    password = read_password(args.password_file, args.name)
    with open_store(args) as store:
        Accounts(store.database, store.keys).recover(args.name, password, "local")
    print(f"operator {args.name} can log in, as an administrator without security keys")
    return 0


def _write_token(store: Store, name: str, role: str, actor: str, output: Path) -> None:
    token, text = store.create_token(name, role, actor)
    try:
        write_private(output, text)
    except OSError:
        # Nobody has it, so nobody shall wonder whose it is.
        store.revoke_token(token.name, actor)
        raise
    print(f"{output}: API token {token.name}, role {token.role}")


@contextmanager
def _new_key(spec: str) -> Iterator[Path | None]:
    """Make the file of a master key if it is missing, and where; it goes again if the block fails,
    which must wrap nothing by it unless it succeeds.
    """
    from pykexec.server.keys.masterkey import create_master_key

    scheme, _, place = spec.partition(":")
    if scheme != "file" or not place or Path(place).exists():
        yield None
        return
    create_master_key(Path(place))
    try:
        yield Path(place)
    except Exception:
        Path(place).unlink()
        raise


def _migrate(args: argparse.Namespace) -> int:
    with open_store(args, migrate=True) as store:
        print(f"schema {store.health().schema}")
    return 0


def _rewrap(args: argparse.Namespace) -> int:
    from pykexec.server.keys.masterkey import open_master_key
    from pykexec.server.store.store import Store

    old = open_master_key(args.master_key)
    with _new_key(args.new_key) as made:
        new = open_master_key(args.new_key)
        opened = Store.open(args.database, new, False, (old,))
    if made:
        print(f"{made}: new master key")
    with opened as store:
        print(f"{store.rewrap('rewrap', args.finish)} keys are wrapped by {new.key_id} now")
        if not args.finish:
            print(f"{old.key_id} still opens them: give all servers the new key, then --finish")
    return 0


def _check_audit(args: argparse.Namespace) -> int:
    from pykexec.server.store import audit
    from pykexec.server.trail.anchors import faults_in, read_anchors

    if (args.seq is None) != (args.hash is None):
        raise UsageError("--seq and --hash go together")
    with open_store(args) as store:
        key = audit.HEADS.public_key(store.keys)
        anchors = read_anchors(args.anchor.read_bytes(), key) if args.anchor else ()
        check = store.verify_audit((args.seq, args.hash) if args.hash else None)
        faults = (*check.faults, *faults_in(store, anchors))
    return print_check(check.entries, check.hash, faults)
