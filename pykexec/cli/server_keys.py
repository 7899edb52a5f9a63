# SPDX-License-Identifier: Apache-2.0
"""What `pykexec server` asks of a running server about keys that machines hand in."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pykexec.cli._server import (
    Actions,
    add_action,
    add_group,
    cell,
    find_machine,
    pairs_of,
    rows_of,
)
from pykexec.cli.output import print_json

if TYPE_CHECKING:
    from pykexec.server.adminclient import AdminClient


def configure(actions: Actions) -> None:
    """Declare the actions."""
    group = add_group(actions, "key", "keys that a machine's system makes and hands in")
    _looks(group)
    _changes(group)
    _rebinds(actions)
    _destroyed(actions)


def _key(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("machine", metavar="MACHINE")
    parser.add_argument("name", metavar="NAME")
    return parser


def _looks(group: Actions) -> None:
    def listed(client: AdminClient, args: argparse.Namespace) -> int:
        answer = client.get("machines", find_machine(client, args.machine), "keys")
        if args.json:
            print_json(answer)
            return 0
        for key in rows_of(answer, "keys"):
            rotation = key["rotation"]
            why = f"  to be replaced: {rotation['reason']}" if isinstance(rotation, dict) else ""
            print(f"{cell(key['name'])}{cell(why)}")
            for each in rows_of(key, "generations"):
                proven = "opens the volume" if each["proven"] else "not proven"
                words = f"{each['version']}  {each['stage']}  {each['created']}  {proven}"
                print(f"    {words}  {cell(each['verdict'])}")
        for seen in rows_of(answer, "seen"):
            words = f"{seen['name']} version {seen['version']} by {seen['actor']}"
            print(f"seen {seen['time']}: {cell(words)} for {cell(seen['person'])}:", end=" ")
            print(cell(seen["reason"]))
        return 0

    def reveal(client: AdminClient, args: argparse.Namespace) -> int:
        body: dict[str, object] = {"person": args.person, "reason": args.reason}
        if args.version is not None:
            body["version"] = args.version
        machine = find_machine(client, args.machine)
        answer = client.send("POST", "machines", machine, "keys", args.name, "reveal", body=body)
        print(answer["text"])
        return 0

    parser = add_action(group, "list", "their generations, and who has seen them", listed)
    parser.add_argument("machine", metavar="MACHINE")
    text = "show one to a person; its system replaces it then"
    parser = _key(add_action(group, "reveal", text, reveal))
    parser.add_argument("--person", required=True, help="who needs it")
    parser.add_argument("--reason", required=True)
    parser.add_argument("--version", type=int, metavar="N", help="default: the one in use")


def _changes(group: Actions) -> None:
    def plan(client: AdminClient, args: argparse.Namespace) -> int:
        body = {
            "kind": args.kind,
            "parameters": pairs_of(args.parameter),
            "rotate_days": args.rotate_days,
        }
        machine = find_machine(client, args.machine)
        client.send("PUT", "machines", machine, "keys", args.name, body=body)
        print(f"{args.name}: its system may hand it in")
        return 0

    def unplan(client: AdminClient, args: argparse.Namespace) -> int:
        client.send("DELETE", "machines", find_machine(client, args.machine), "keys", args.name)
        print(f"{args.name}: nothing more is taken")
        return 0

    def rotate(client: AdminClient, args: argparse.Namespace) -> int:
        body, machine = {"reason": args.reason}, find_machine(client, args.machine)
        client.send("POST", "machines", machine, "keys", args.name, "rotate", body=body)
        print(f"{args.name}: its system makes another when it runs next")
        return 0

    from pykexec.attest.protocol import SECRET_KINDS

    kinds = tuple(kind for kind in SECRET_KINDS if kind != "file")
    parser = _key(add_action(group, "plan", "let its system hand in a key", plan))
    parser.add_argument("--kind", required=True, choices=kinds)
    parser.add_argument("--parameter", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument(
        "--rotate-days", type=int, default=0, metavar="N",
        help="have it replaced after so many days; 0: once somebody has seen it",
    )  # fmt: skip
    _key(add_action(group, "unplan", "take nothing more of that name", unplan))
    parser = _key(add_action(group, "rotate", "have its system make another", rotate))
    parser.add_argument("--reason", required=True)


def _rebinds(actions: Actions) -> None:
    def rebind(client: AdminClient, args: argparse.Namespace) -> int:
        old, new = (find_machine(client, each) for each in (args.machine, args.to))
        if args.agree:
            row = client.send("POST", "machines", old, "rebind", "agree", body={"to": new})
            print(f"{new[:16]} {cell(row['name'])}: has the keys now; {old[:16]} is retired")
            return 0
        body = {"to": new, "reason": args.reason}
        client.send("POST", "machines", old, "rebind", body=body)
        print(f"asked for; another person agrees within a day: rebind {args.machine} {args.to}"
              " --agree")  # fmt: skip
        return 0

    text = "have a machine's keys go to another EK, as its mainboard was swapped"
    parser = add_action(actions, "rebind", text, rebind)
    parser.add_argument("machine", metavar="MACHINE")
    parser.add_argument("to", metavar="NEW")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--reason", help="ask for it")
    how.add_argument("--agree", action="store_true", help="agree to what somebody has asked for")


def _destroyed(actions: Actions) -> None:
    def destroyed(client: AdminClient, args: argparse.Namespace) -> int:
        answer = client.get("machines", find_machine(client, args.machine), "destroyed")
        print(f"signed by {cell(answer['key'])}")
        certificates = answer["certificates"]
        assert isinstance(certificates, list)
        for certificate in certificates:
            print(certificate)
        return 0

    text = "certificates of its values that are gone"
    add_action(actions, "destroyed", text, destroyed).add_argument("machine", metavar="MACHINE")


def configure_local(actions: Actions) -> None:
    """Declare what needs no server."""
    text = "check a certificate of destruction, without any server"
    parser: argparse.ArgumentParser = actions.add_parser(
        "check-certificate", help=text, description=text
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--key", required=True, help="the server's, as it was noted")
    parser.set_defaults(action=_check)


def _check(args: argparse.Namespace) -> int:
    from pykexec.server.keys.destruction import check

    print_json(check(args.file.read_bytes(), args.key))
    return 0
