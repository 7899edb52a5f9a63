# SPDX-License-Identifier: Apache-2.0
"""What `pykexec server` asks of a running server about quarantine."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from pykexec.cli._server import Actions, add_action, add_group, find_machine, print_rows, rows_of
from pykexec.errors import UsageError

if TYPE_CHECKING:
    from pykexec.server.adminclient import AdminClient

_COLUMNS = ("target", "since", "created_by", "reason")


def configure(actions: Actions) -> None:
    """Declare the actions."""
    group = add_group(actions, "quarantine", "machines and tags that are given nothing for now")
    add_action(group, "list", "list them", _list)
    put = add_action(group, "put", "give a machine, or all that have a tag, nothing", _put)
    lift = add_action(group, "lift", "end that", _lift)
    for parser in (put, lift):
        parser.add_argument("machine", nargs="?", metavar="MACHINE")
        parser.add_argument("--tag", metavar="KEY=VALUE", help="all machines that have it")
        parser.add_argument("--reason", default="", metavar="TEXT")


def _list(client: AdminClient, args: argparse.Namespace) -> int:
    return print_rows(args, rows_of(client.get("quarantine"), "quarantine"), _COLUMNS)


def _put(client: AdminClient, args: argparse.Namespace) -> int:
    body = {"target": target_of(client, args), "reason": args.reason}
    row = client.send("POST", "quarantine", body=body)
    return print_rows(args, [row], _COLUMNS)


def _lift(client: AdminClient, args: argparse.Namespace) -> int:
    body = {"target": target_of(client, args), "reason": args.reason}
    client.send("POST", "quarantine", "lift", body=body)
    return 0


def target_of(client: AdminClient, args: argparse.Namespace) -> str:
    """machine:FINGERPRINT or tag:KEY=VALUE, of what stands on the command line."""
    if (args.machine is None) == (args.tag is None):
        raise UsageError("a MACHINE, or --tag KEY=VALUE")
    return f"tag:{args.tag}" if args.tag else f"machine:{find_machine(client, args.machine)}"
