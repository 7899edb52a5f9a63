# SPDX-License-Identifier: Apache-2.0
"""pykexec server approval: what persons have approved, checked without a server."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from pykexec.cli._server import Actions, add_group, cell
from pykexec.cli.output import print_json
from pykexec.errors import DeniedError, FormatError

_VERIFY = "check approvals of an exported audit trail offline; exit code 6 if one is not proven"


def configure(actions: Actions) -> None:
    """Declare the actions."""
    group = add_group(actions, "approval", "what persons have approved")
    verify = group.add_parser("verify", help=_VERIFY, description=_VERIFY)
    verify.add_argument("trail", type=Path, metavar="TRAIL", help="what `audit export` has written")
    verify.add_argument(
        "--policy", type=Path, action="append", required=True, metavar="FILE",
        help="a policy's text of then (`policy show --version`); may be repeated",
    )  # fmt: skip
    verify.add_argument(
        "--key-set", type=Path, metavar="FILE",
        help="the provider's of that day (JSON), kept elsewhere, not that of the trail",
    )  # fmt: skip
    verify.add_argument("--issuer", default="", metavar="URL", help="whose tokens they must be")
    verify.add_argument("--client-id", default="", metavar="ID", help="and for which client")
    verify.add_argument("--groups-claim", default="groups", metavar="NAME", help="default: groups")
    verify.add_argument("--json", action="store_true", help="print JSON")
    verify.set_defaults(action=_verify)


def _verify(args: argparse.Namespace) -> int:
    from pykexec.server.kept_approvals import Proof, check_approvals

    proof = Proof(
        policies=[path.read_bytes() for path in args.policy],
        key_set=_key_set(args.key_set) if args.key_set else None,
        issuer=args.issuer,
        client_id=args.client_id,
        groups_claim=args.groups_claim,
    )
    with open(args.trail, "rb") as file:
        boots = check_approvals(file, proof)
    if args.json:
        rows = [{**asdict(boot), "good": boot.good} for boot in boots]
        print_json([{**row, "statement": bytes(row["statement"]).decode()} for row in rows])
    else:
        for boot in boots:
            print(f"{'good' if boot.good else 'BAD '} {boot.reference} {cell(boot.machine)}")
            for each in boot.decisions:
                word = each.action.removeprefix("approval.")
                fault = f": {each.fault}" if each.fault else f", by {each.issuer}"
                print(f"     entry {each.seq}: {cell(each.subject)} {word}{cell(fault)}")
            for fault in boot.faults:
                print(f"     {cell(fault)}")
    if bad := sum(not boot.good for boot in boots):
        raise DeniedError(f"{args.trail}: {bad} of {len(boots)} are not proven")
    return 0


def _key_set(path: Path) -> dict[str, object]:
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise FormatError(f"{path}: no JSON: {error}") from None
    if not isinstance(found, dict):
        raise FormatError(f"{path}: no key set")
    return found
