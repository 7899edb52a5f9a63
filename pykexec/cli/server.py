# SPDX-License-Identifier: Apache-2.0
"""pykexec server: set up and administer an attestation server."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pykexec.cli import server_local, server_machines, server_settings
from pykexec.errors import UsageError

if TYPE_CHECKING:
    from pykexec.server.adminclient import AdminClient

HELP = "set up and administer an attestation server"
EPILOG = """\
init, migrate, rewrap and check-audit work on the database itself; all others ask a running server,
by --url and with the token in --token-file, or in $PYKEXEC_SERVER and $PYKEXEC_TOKEN_FILE or
$PYKEXEC_TOKEN. A MACHINE is named by its fingerprint, its first digits, or its name.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = EPILOG
    parser.add_argument("--url", metavar="URL", help="https://HOST:PORT of the server")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="the API token")
    parser.add_argument("--ca", type=Path, metavar="FILE", help="PEM: who vouches for the server")
    parser.set_defaults(client=_client)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    server_local.configure(actions)
    server_machines.configure(actions)
    server_settings.configure(actions)


def main(args: argparse.Namespace) -> int:
    """Run the action."""
    code: int = args.action(args)
    return code


def _client(args: argparse.Namespace) -> AdminClient:
    from pykexec.server.adminclient import AdminClient

    url = args.url or os.environ.get("PYKEXEC_SERVER")
    if not url:
        raise UsageError("which server? --url or $PYKEXEC_SERVER")
    file = args.token_file or os.environ.get("PYKEXEC_TOKEN_FILE")
    token = Path(file).read_text().strip() if file else os.environ.get("PYKEXEC_TOKEN", "")
    if not token:
        raise UsageError("by which right? --token-file, $PYKEXEC_TOKEN_FILE or $PYKEXEC_TOKEN")
    return AdminClient(url, token, args.ca)
