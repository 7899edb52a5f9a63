# SPDX-License-Identifier: Apache-2.0
"""What `pykexec server` asks of a running server about machines and their secrets."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pykexec.cli._server import (
    Action,
    Actions,
    add_action,
    add_group,
    cell,
    find_machine,
    pairs_of,
    print_rows,
    read_secret,
    rows_of,
)
from pykexec.cli.output import print_json
from pykexec.errors import UsageError

if TYPE_CHECKING:
    from pykexec.server.adminclient import AdminClient


def configure(actions: Actions) -> None:
    """Declare the actions."""
    _machines(actions)
    _machine_changes(actions)
    _secrets(actions)


def _machine(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("machine", metavar="MACHINE")
    return parser


def _machines(actions: Actions) -> None:
    def machines(client: AdminClient, args: argparse.Namespace) -> int:
        answer = client.get(
            "machines", state=args.state, search=args.search or "", limit=1000, offset=args.offset
        )
        rows = rows_of(answer, "machines")
        if not args.json:
            for row in rows:
                row |= {"fingerprint": str(row["fingerprint"])[:16], "verdict": _verdict(row)}
        columns = ("fingerprint", "name", "state", "policy", "tags", "last_seen", "verdict")
        return print_rows(args, rows, columns)

    def show(client: AdminClient, args: argparse.Namespace) -> int:
        print_json(client.get("machines", find_machine(client, args.machine)))
        return 0

    def attestations(client: AdminClient, args: argparse.Namespace) -> int:
        answer = client.get(
            "machines", find_machine(client, args.machine), "attestations", limit=50
        )
        rows = rows_of(answer, "attestations")
        if args.json:
            print_json(rows)
            return 0
        for row in rows:
            verdict = "accepted" if row["accepted"] else "refused"
            print(f"{row['id']}  {row['time']}  {verdict}  from {cell(row['peer'])}")
            for finding in rows_of(row, "findings"):
                print(f"    {cell(finding['code'])}: {cell(finding['text'])}")
        return 0

    def evidence(client: AdminClient, args: argparse.Namespace) -> int:
        print_json(client.get("attestations", str(args.attestation), "evidence"))
        return 0

    parser = add_action(actions, "machines", "list machines", machines)
    parser.add_argument("--state", choices=("pending", "enrolled", "refused", "retired"))
    parser.add_argument("--search", metavar="TEXT", help="in name, fingerprint and tags")
    parser.add_argument("--offset", type=int, default=0, metavar="N")
    _machine(add_action(actions, "show", "show a machine", show))
    _machine(
        add_action(actions, "attestations", "its last attestations and findings", attestations)
    )
    parser = add_action(actions, "evidence", "print the evidence of an attestation", evidence)
    parser.add_argument("attestation", type=int, metavar="ID")


def _verdict(row: dict[str, object]) -> str:
    last = row["last"]
    assert isinstance(last, dict)
    if last["accepted"] is None:
        return "never attested"
    return "accepted" if last["accepted"] else "refused"


def _machine_changes(actions: Actions) -> None:
    def change(
        path: str, body: Callable[[argparse.Namespace], object], method: str = "POST"
    ) -> Action:
        def run(client: AdminClient, args: argparse.Namespace) -> int:
            found = find_machine(client, args.machine)
            row = client.send(method, "machines", found, path, body=body(args))
            print(f"{str(row['fingerprint'])[:16]} {cell(row['name'])}: {row['state']}")
            return 0

        return run

    def add(client: AdminClient, args: argparse.Namespace) -> int:
        from pykexec.attest.fields import base64url

        public = base64url(args.ek_public.read_bytes())
        body = {"ek_public": public, "name": args.name, "policy": args.policy}
        print(client.send("POST", "machines", body=body)["fingerprint"])
        return 0

    def retire(client: AdminClient, args: argparse.Namespace) -> int:
        if not args.for_good:
            raise UsageError("its secrets are destroyed, after a while for good: --for-good")
        return change("retire", lambda args: {"reason": args.reason})(client, args)

    text = "enrol a machine by its EK's TPMT_PUBLIC before its first boot"
    parser = add_action(actions, "add", text, add)
    parser.add_argument("ek_public", type=Path, metavar="FILE")
    parser.add_argument("--name", default="")
    parser.add_argument("--policy")
    approve = change("approve", lambda args: {"policy": args.policy} if args.policy else {})
    parser = _machine(add_action(actions, "approve", "enrol a machine that waits", approve))
    parser.add_argument("--policy", metavar="NAME")
    refuse = change("refuse", lambda args: {"reason": args.reason})
    parser = _machine(add_action(actions, "refuse", "give it nothing until it is approved", refuse))
    parser.add_argument("--reason", default="")
    parser = _machine(add_action(actions, "retire", "give it nothing any more, for good", retire))
    parser.add_argument("--reason", default="")
    parser.add_argument("--for-good", action="store_true", help="yes, its secrets, too")
    tags = change("tags", lambda args: {"tags": pairs_of(args.tags)}, "PUT")
    parser = _machine(add_action(actions, "tags", "replace its tags", tags))
    parser.add_argument("tags", nargs="*", metavar="KEY=VALUE")
    name = change("name", lambda args: {"name": args.name}, "PUT")
    _machine(add_action(actions, "name", "give it a name", name)).add_argument(
        "name", metavar="NAME"
    )
    policy = change("policy", lambda args: {"policy": args.policy}, "PUT")
    parser = _machine(add_action(actions, "set-policy", "choose its policy", policy))
    parser.add_argument("policy", nargs="?", metavar="NAME", help="none without it")
    forget = change("forget-boots", lambda args: {"reason": args.reason})
    reinstate = change("reinstate", lambda args: {"reason": args.reason})
    text = "take a retirement back, while its secrets are kept: it is refused then"
    parser = _machine(add_action(actions, "reinstate", text, reinstate))
    parser.add_argument("--reason", default="")
    text = "forget its counters, because its TPM was cleared on purpose"
    parser = _machine(add_action(actions, "forget-boots", text, forget))
    parser.add_argument("--reason", default="")


def _secrets(actions: Actions) -> None:
    def listed(client: AdminClient, args: argparse.Namespace) -> int:
        history = "true" if args.history else None
        answer = client.get(
            "machines", find_machine(client, args.machine), "secrets", history=history
        )
        columns = ("name", "kind", "parameters", "version", "created", "created_by")
        more = ("revoked", "kept_until") if args.history else ()
        return print_rows(args, rows_of(answer, "secrets"), (*columns, *more))

    def put(client: AdminClient, args: argparse.Namespace) -> int:
        from pykexec.attest.fields import base64url

        value = read_secret(args.file, "secret")
        body = {
            "kind": args.kind,
            "value": base64url(bytes(value)),
            "parameters": pairs_of(args.parameter),
        }
        value[:] = bytes(len(value))
        machine = find_machine(client, args.machine)
        stored = client.send("PUT", "machines", machine, "secrets", args.name, body=body)
        print(f"{stored['name']}: {stored['kind']}, version {stored['version']}")
        return 0

    def revoke(client: AdminClient, args: argparse.Namespace) -> int:
        machine = find_machine(client, args.machine)
        client.send("DELETE", "machines", machine, "secrets", args.name)
        print(f"{args.name}: revoked")
        return 0

    def restore(client: AdminClient, args: argparse.Namespace) -> int:
        machine, body = find_machine(client, args.machine), {"version": args.version}
        client.send("POST", "machines", machine, "secrets", args.name, "restore", body=body)
        print(f"{args.name}: version {args.version} again")
        return 0

    from pykexec.attest.protocol import SECRET_KINDS

    group = add_group(actions, "secret", "secrets of a machine; their values are never told")
    parser = _machine(add_action(group, "list", "list them", listed))
    parser.add_argument("--history", action="store_true", help="and those replaced or revoked")
    parser = _machine(add_action(group, "put", "store one, in place of the one of that name", put))
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--kind", required=True, choices=tuple(SECRET_KINDS))
    parser.add_argument(
        "--parameter", action="append", default=[], metavar="KEY=VALUE",
        help="; ".join(f"{kind}: {', '.join(names)}" for kind, names in SECRET_KINDS.items()),
    )  # fmt: skip
    parser.add_argument("--file", required=True, metavar="FILE", help="the value; - is stdin")
    parser = _machine(add_action(group, "revoke", "withdraw one, which is destroyed later", revoke))
    parser.add_argument("name", metavar="NAME")
    text = "give a version that was replaced or revoked its value back, while that is kept"
    parser = _machine(add_action(group, "restore", text, restore))
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--version", type=int, required=True, metavar="N")
