# SPDX-License-Identifier: Apache-2.0
"""What `pykexec server` asks of a running server about webhooks."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pykexec.cli._server import (
    Actions,
    add_action,
    add_group,
    cell,
    check_new,
    print_rows,
    read_secret,
    rows_of,
    write_private,
)

if TYPE_CHECKING:
    from pykexec.server.adminclient import AdminClient

_COLUMNS = ("name", "origin", "events", "state", "seq", "attempts", "next", "last")
_EVENT = "refusal, release, quarantine, break-glass, enrolment, expiry; default: all of them"


def configure(actions: Actions) -> None:
    """Declare the actions."""
    group = add_group(actions, "webhook", "who is told of what happens (Standard Webhooks)")
    add_action(group, "list", "list them, and how it goes", _list)
    add = add_action(group, "add", "tell one more, from now on", _add)
    add.add_argument("name", metavar="NAME")
    add.add_argument("--event", action="append", metavar="EVENT", help=f"may be repeated: {_EVENT}")
    add.add_argument(
        "--address-file", required=True, metavar="FILE",
        help="has https://HOST/PATH, which may be a secret; - is standard input",
    )  # fmt: skip
    add.add_argument(
        "--secret-file", required=True, type=Path, metavar="FILE",
        help="a new file for the secret by which the receiver knows what is ours",
    )  # fmt: skip
    test = add_action(group, "test", "send a message; exit code 1 if it is not taken", _test)
    resume = add_action(group, "resume", "try again now, from where it was", _resume)
    resume.add_argument("--skip", action="store_true", help="but leave out what was before")
    remove = add_action(group, "remove", "tell it no more", _remove)
    for parser in (test, resume, remove):
        parser.add_argument("name", metavar="NAME")


def _list(client: AdminClient, args: argparse.Namespace) -> int:
    return print_rows(args, rows_of(client.get("webhooks"), "webhooks"), _COLUMNS)


def _add(client: AdminClient, args: argparse.Namespace) -> int:
    check_new(args.secret_file)
    address = read_secret(args.address_file, "address").decode(errors="replace").strip()
    body = {"name": args.name, "address": address}
    made = client.send(
        "POST", "webhooks", body={**body, "events": args.event} if args.event else body
    )
    try:
        write_private(args.secret_file, str(made.pop("secret")))
    except OSError:
        # Nobody has it, and it is not told again.
        client.send("DELETE", "webhooks", args.name)
        raise
    return print_rows(args, [made], _COLUMNS)


def _test(client: AdminClient, args: argparse.Namespace) -> int:
    found = client.send("POST", "webhooks", args.name, "test")
    print(f"{'taken' if found['taken'] else 'not taken'}: {cell(found['answer'])}")
    return 0 if found["taken"] else 1


def _resume(client: AdminClient, args: argparse.Namespace) -> int:
    row = client.send("POST", "webhooks", args.name, "resume", body={"skip": args.skip})
    return print_rows(args, [row], _COLUMNS)


def _remove(client: AdminClient, args: argparse.Namespace) -> int:
    client.send("DELETE", "webhooks", args.name)
    return 0
