# SPDX-License-Identifier: Apache-2.0
"""pykexec server audit: the audit trail, from a running server or as it was exported."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pykexec.cli._server import (
    Actions,
    add_action,
    add_group,
    cell,
    print_check,
    print_rows,
    rows_of,
)
from pykexec.errors import NetworkError, UsageError
from pykexec.log import describe

if TYPE_CHECKING:
    from pykexec.server.adminclient import AdminClient

_FOLLOW = "send each entry as syslog (RFC 5424), from where it was left"
_CHECK = "check an exported trail against signed heads, without any server"
_LOOK_S = 2.0
_PAUSE_MAX_S = 60.0


def configure(actions: Actions) -> None:
    """Declare the actions."""
    group = add_group(actions, "audit", "the audit trail")
    listing = add_action(group, "list", "newest first", _list)
    listing.add_argument("--limit", type=int, default=50, metavar="N")
    listing.add_argument("--before", type=int, metavar="SEQ")
    for name in ("subject", "actor"):
        listing.add_argument(f"--{name}", metavar="TEXT")
    listing.add_argument("--action", dest="what", metavar="TEXT")
    verify = add_action(group, "verify", "check every link of the chain", _verify)
    verify.add_argument("--seq", type=int, metavar="N", help="an entry noted earlier")
    verify.add_argument("--hash", metavar="HEX", help="and its hash then")
    verify.add_argument(
        "--anchor", type=Path, metavar="FILE", help="what `audit anchor` has written elsewhere"
    )
    _add_key(verify, "that of the server, which signs heads; default: what it says of itself")
    add_action(group, "export", "print all of it, a line of JSON for each entry", _export)
    anchor = add_action(group, "anchor", "the chain's end, signed, to be kept elsewhere", _anchor)
    anchor.add_argument("--append", type=Path, metavar="FILE", help="to it; default: print it")
    follow = add_action(group, "follow", _FOLLOW, _follow)
    follow.add_argument(
        "--to", required=True, metavar="TARGET",
        help="stdout, file:PATH, tcp://HOST:PORT (octet counting) or tls://HOST:PORT",
    )  # fmt: skip
    follow.add_argument(
        "--cursor", required=True, type=Path, metavar="FILE", help="where it is left"
    )
    follow.add_argument("--once", action="store_true", help="end when all is sent")
    follow.add_argument(
        "--enterprise", type=int, metavar="N", help="of the structured data (default: 32473)"
    )
    follow.add_argument("--to-ca", type=Path, metavar="FILE", help="who vouches for the collector")
    follow.add_argument("--to-cert", type=Path, metavar="FILE", help="what is shown to it")
    follow.add_argument("--to-key", type=Path, metavar="FILE", help="its private key")
    check = group.add_parser("check", help=_CHECK, description=_CHECK)
    check.add_argument("trail", type=Path, metavar="TRAIL", help="what `audit export` has written")
    check.add_argument("--anchor", type=Path, required=True, metavar="FILE", help="signed heads")
    _add_key(check, "that of the server, as it was noted", required=True)
    check.set_defaults(action=_check)


def _add_key(parser: argparse.ArgumentParser, text: str, required: bool = False) -> None:
    parser.add_argument("--key", required=required, metavar="KEY", help=text)


def _list(client: AdminClient, args: argparse.Namespace) -> int:
    answer = client.get(
        "audit", limit=args.limit, before=args.before, subject=args.subject,
        action=args.what, actor=args.actor,
    )  # fmt: skip
    columns = ("seq", "time", "actor", "action", "subject", "detail")
    return print_rows(args, rows_of(answer, "entries"), columns)


def _verify(client: AdminClient, args: argparse.Namespace) -> int:
    from pykexec.server.trail.anchors import read_anchors
    from pykexec.server.trail.follow import compare

    if (args.seq is None) != (args.hash is None):
        raise UsageError("--seq and --hash go together")
    anchors = None
    if args.anchor is not None:
        key = args.key or str(client.get("audit", "head")["key"])
        anchors = read_anchors(args.anchor.read_bytes(), key)
    check = client.get("audit", "verify", seq=args.seq, hash=args.hash)
    faults = [*rows_of(check, "faults"), *(compare(client, anchors) if anchors else ())]
    return print_check(check["entries"], check["hash"], faults)


def _export(client: AdminClient, args: argparse.Namespace) -> int:
    for line in client.lines("audit", "export"):
        print(line)
    return 0


def _anchor(client: AdminClient, args: argparse.Namespace) -> int:
    from pykexec.server.canonical import canonical

    line = canonical(client.get("audit", "head")) + "\n"
    if args.append is None:
        print(line, end="")
        return 0
    with args.append.open("a", encoding="utf-8") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    return 0


def _check(args: argparse.Namespace) -> int:
    from pykexec.server.trail.anchors import check_trail, read_anchors

    anchors = read_anchors(args.anchor.read_bytes(), args.key)
    with args.trail.open("rb") as file:
        found = check_trail(file, anchors)
    return print_check(found.entries, found.hash, found.faults)


def _follow(client: AdminClient, args: argparse.Namespace) -> int:
    from pykexec.server.trail.follow import step
    from pykexec.server.trail.syslog import ENTERPRISE
    from pykexec.server.trail.targets import Tls, open_target

    target = open_target(args.to, Tls(args.to_ca, args.to_cert, args.to_key))
    enterprise = ENTERPRISE if args.enterprise is None else args.enterprise
    pause_s = 1.0
    try:
        while True:
            try:
                more = step(client, target, args.cursor, enterprise)
            except (NetworkError, OSError) as error:
                if args.once:
                    raise
                print(f"{cell(describe(error))}; again in {pause_s:.0f} s", file=sys.stderr)
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, _PAUSE_MAX_S)
                continue
            pause_s = 1.0
            if not more:
                if args.once:
                    return 0
                time.sleep(_LOOK_S)
    finally:
        target.close()
