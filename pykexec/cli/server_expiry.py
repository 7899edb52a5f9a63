# SPDX-License-Identifier: Apache-2.0
"""What `pykexec server` asks of a running server about what ends."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from pykexec.cli._server import Actions, add_action, print_rows, rows_of

if TYPE_CHECKING:
    from pykexec.server.adminclient import AdminClient

_DAYS = 30


def configure(actions: Actions) -> None:
    """Declare the action."""
    text = "certificates, tokens and allowances that end soon; exit code 1 if any does"
    parser = add_action(actions, "expiry", text, _expiry)
    parser.add_argument(
        "--days", type=int, default=_DAYS, metavar="N", help=f"within (default: {_DAYS})"
    )


def _expiry(client: AdminClient, args: argparse.Namespace) -> int:
    rows = rows_of(client.get("expiry", days=args.days), "endings")
    print_rows(args, rows, ("ends", "days", "kind", "name", "text"))
    return 1 if rows else 0
