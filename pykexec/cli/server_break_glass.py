# SPDX-License-Identifier: Apache-2.0
"""What `pykexec server` asks of a running server about machines without a network."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from pykexec.cli._server import Actions, add_action, add_group, cell, find_machine, rows_of
from pykexec.cli.output import print_json

if TYPE_CHECKING:
    from pykexec.server.adminclient import AdminClient

_MISSING = 3


def configure(actions: Actions) -> None:
    """Declare the actions."""

    def rehearse(client: AdminClient, args: argparse.Namespace) -> int:
        fingerprint = find_machine(client, args.machine)
        answer = client.send("POST", "machines", fingerprint, "break-glass", "rehearse")
        if args.json:
            print_json(answer)
        else:
            for row in rows_of(answer, "checks"):
                print(f"{'ok     ' if row['ok'] else 'missing'}  {cell(row['text'])}")
        return 0 if answer["ok"] else _MISSING

    group = add_group(actions, "break-glass", "machines without a network")
    text = "find out whether it would work today, short of releasing; exit code 3 if not"
    add_action(group, "rehearse", text, rehearse).add_argument("machine", metavar="MACHINE")
