# SPDX-License-Identifier: Apache-2.0
"""What `pykexec server` asks of a running server about who is let in."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pykexec.cli._server import (
    Actions,
    add_action,
    add_group,
    check_new,
    print_rows,
    read_password,
    rows_of,
    write_private,
)

if TYPE_CHECKING:
    from pykexec.server.adminclient import AdminClient

_ROLES = ("viewer", "operator", "admin")
_TOKEN_COLUMNS = ("name", "role", "scope", "created_by", "expires", "revoked", "last_used")


def configure(actions: Actions) -> None:
    """Declare the actions."""
    _tokens(actions)
    _operators(actions)
    _sessions(actions)
    _security_keys(actions)


def _add_scope(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scope", action="append", default=[], metavar="KEY=VALUE",
        help="machines that have this tag alone; may be repeated (default: the whole server)",
    )  # fmt: skip


def _tokens(actions: Actions) -> None:
    def listed(client: AdminClient, args: argparse.Namespace) -> int:
        rows = rows_of(client.get("tokens"), "tokens")
        return print_rows(args, rows, _TOKEN_COLUMNS)

    def create(client: AdminClient, args: argparse.Namespace) -> int:
        body: dict[str, object] = {"name": args.name, "role": args.role, "scope": args.scope}
        if args.days:
            body["expires_days"] = args.days
        if args.output:
            check_new(args.output)
        made = client.send("POST", "tokens", body=body)
        if not args.output:
            print(made["token"])
            return 0
        try:
            write_private(args.output, str(made["token"]))
        except OSError:
            client.send("DELETE", "tokens", args.name)  # Nobody has it.
            raise
        return 0

    def revoke(client: AdminClient, args: argparse.Namespace) -> int:
        client.send("DELETE", "tokens", args.name)
        return 0

    group = add_group(actions, "token", "API tokens")
    add_action(group, "list", "list them", listed)
    parser = add_action(group, "create", "make one; it is shown once", create)
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--role", required=True, choices=_ROLES)
    _add_scope(parser)
    parser.add_argument("--days", type=int, metavar="N", help="how long it counts (default: ever)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write it there instead")
    add_action(group, "revoke", "let one count no more", revoke).add_argument(
        "name", metavar="NAME"
    )


def _operators(actions: Actions) -> None:
    def listed(client: AdminClient, args: argparse.Namespace) -> int:
        rows = rows_of(client.get("operators"), "operators")
        return print_rows(args, rows, ("name", "role", "scope", "created", "created_by"))

    def create(client: AdminClient, args: argparse.Namespace) -> int:
        password = read_password(args.password_file, args.name)
        body = {
            "name": args.name, "role": args.role, "password": password, "scope": args.scope,
        }  # fmt: skip
        client.send("POST", "operators", body=body)
        return 0

    def grant(client: AdminClient, args: argparse.Namespace) -> int:
        body = {"role": args.role, "scope": args.scope}
        client.send("PUT", "operators", args.name, "grant", body=body)
        return 0

    def password(client: AdminClient, args: argparse.Namespace) -> int:
        body = {"password": read_password(args.password_file, args.name)}
        client.send("PUT", "operators", args.name, "password", body=body)
        return 0

    def remove(client: AdminClient, args: argparse.Namespace) -> int:
        client.send("DELETE", "operators", args.name)
        return 0

    group = add_group(actions, "operator", "who logs in to the operator page by a password")
    add_action(group, "list", "list them", listed)
    for parser in (
        add_action(group, "create", "let one more log in", create),
        add_action(group, "password", "give one another password", password),
    ):
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--password-file", metavar="FILE", help="- is standard input")
        if parser.prog.endswith("create"):
            parser.add_argument("--role", required=True, choices=_ROLES)
            _add_scope(parser)
    parser = add_action(group, "grant", "give one another role and scope", grant)
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--role", required=True, choices=_ROLES)
    _add_scope(parser)
    add_action(group, "remove", "let one in no more", remove).add_argument("name", metavar="NAME")


def _sessions(actions: Actions) -> None:
    def listed(client: AdminClient, args: argparse.Namespace) -> int:
        rows = rows_of(client.get("sessions"), "sessions")
        columns = ("session", "actor", "name", "role", "scope", "how", "started", "used", "peer")
        return print_rows(args, rows, columns)

    def end(client: AdminClient, args: argparse.Namespace) -> int:
        client.send("DELETE", "sessions", args.session)
        return 0

    group = add_group(actions, "session", "who is logged in to the operator page")
    add_action(group, "list", "list them", listed)
    add_action(group, "end", "log somebody out", end).add_argument("session", metavar="SESSION")


def _security_keys(actions: Actions) -> None:
    def listed(client: AdminClient, args: argparse.Namespace) -> int:
        rows = rows_of(client.get("security-keys"), "keys")
        return print_rows(args, rows, ("key", "actor", "name", "created", "last_used"))

    def remove(client: AdminClient, args: argparse.Namespace) -> int:
        client.send("DELETE", "security-keys", args.key)
        return 0

    def reset(client: AdminClient, args: argparse.Namespace) -> int:
        body = {"actor": args.actor}
        print(f"{client.send('POST', 'security-keys', 'reset', body=body)['count']} keys removed")
        return 0

    group = add_group(actions, "security-key", "operators' second factors (WebAuthn)")
    add_action(group, "list", "list them", listed)
    add_action(group, "remove", "forget one", remove).add_argument("key", metavar="KEY")
    parser = add_action(group, "reset", "forget all of somebody who has lost them", reset)
    parser.add_argument("actor", metavar="ACTOR", help="operator:NAME or person:SUBJECT")
