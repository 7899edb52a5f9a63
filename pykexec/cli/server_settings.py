# SPDX-License-Identifier: Apache-2.0
"""What `pykexec server` asks of a running server about policies and enrolment."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from pykexec.cli._server import (
    Actions,
    add_action,
    add_group,
    pairs_of,
    print_rows,
    rows_of,
)
from pykexec.cli.output import print_json

if TYPE_CHECKING:
    from pykexec.server.adminclient import AdminClient


def configure(actions: Actions) -> None:
    """Declare the actions."""
    add_action(actions, "status", "version, health and how many machines", _status)
    _policies(actions)
    _enrolment(actions)
    _hashes_and_roots(actions)


def _status(client: AdminClient, args: argparse.Namespace) -> int:
    print_json(client.get("status"))
    return 0


def _policies(actions: Actions) -> None:
    def listed(client: AdminClient, args: argparse.Namespace) -> int:
        rows = rows_of(client.get("policies"), "policies")
        return print_rows(args, rows, ("name", "version", "created", "created_by", "comment"))

    def show(client: AdminClient, args: argparse.Namespace) -> int:
        print(client.get("policies", args.name, version=args.version)["text"], end="")
        return 0

    def put(client: AdminClient, args: argparse.Namespace) -> int:
        body = {"text": args.file.read_text(), "comment": args.comment, "force": args.force}
        stored = client.send("PUT", "policies", args.name, body=body)
        print(f"{stored['name']}: version {stored['version']}")
        return 0

    group = add_group(actions, "policy", "policies on the server")
    add_action(group, "list", "list them", listed)
    parser = add_action(group, "show", "print one", show)
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--version", type=int, metavar="N")
    parser = add_action(group, "put", "add a version, which counts at once", put)
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--comment", default="")
    parser.add_argument(
        "--force", action="store_true", help="although a rule has no value on any kept evidence"
    )


def _enrolment(actions: Actions) -> None:
    def change(client: AdminClient, args: argparse.Namespace) -> int:
        body = {key: _value(text) for key, text in pairs_of(args.settings).items()}
        print_json(client.send("PUT", "enrolment", body=body) if body else client.get("enrolment"))
        return 0

    text = "show how machines become known, or change it"
    parser = add_action(actions, "enrolment", text, change)
    parser.add_argument(
        "settings", nargs="*", metavar="KEY=VALUE",
        help="certificate, hashes, first_use: true or false; default_policy, pending_max, "
        "keep_evidence, keep_days",
    )  # fmt: skip


def _value(text: str) -> object:
    """true, false, null and numbers as JSON has them; anything else is text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _hashes_and_roots(actions: Actions) -> None:
    def hashes(client: AdminClient, args: argparse.Namespace) -> int:
        rows = rows_of(client.get("enrolment", "hashes", limit=1000, offset=args.offset), "hashes")
        return print_rows(args, rows, ("sha256", "name", "tags", "policy"))

    def add_hashes(client: AdminClient, args: argparse.Namespace) -> int:
        words = [line.split("#")[0].split() for line in args.file.read_text().splitlines()]
        entries = [
            {"sha256": line[0].lower(), "name": " ".join(line[1:])} for line in words if line
        ]
        if args.policy:
            entries = [{**entry, "policy": args.policy} for entry in entries]
        count = client.send("POST", "enrolment", "hashes", body={"hashes": entries})["count"]
        print(f"{count} hashes")
        return 0

    def remove_hash(client: AdminClient, args: argparse.Namespace) -> int:
        client.send("DELETE", "enrolment", "hashes", args.sha256)
        return 0

    def roots(client: AdminClient, args: argparse.Namespace) -> int:
        rows = rows_of(client.get("enrolment", "roots"), "roots")
        return print_rows(args, rows, ("sha256", "subject"))

    def add_root(client: AdminClient, args: argparse.Namespace) -> int:
        body = {"certificate": args.file.read_text()}
        print(client.send("POST", "enrolment", "roots", body=body)["subject"])
        return 0

    def remove_root(client: AdminClient, args: argparse.Namespace) -> int:
        client.send("DELETE", "enrolment", "roots", args.sha256)
        return 0

    group = add_group(actions, "ek-hash", "EKs that may enrol themselves, by SHA-256")
    add_action(group, "list", "list them", hashes).add_argument("--offset", type=int, default=0)
    parser = add_action(group, "add", "add some: a line for each, HASH [NAME]", add_hashes)
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--policy", metavar="NAME", help="for all of them")
    add_action(group, "remove", "remove one", remove_hash).add_argument("sha256", metavar="HASH")
    group = add_group(actions, "ek-root", "authorities whose EK certificates are trusted")
    add_action(group, "list", "list them", roots)
    parser = add_action(group, "add", "trust one more", add_root)
    parser.add_argument("file", type=Path, metavar="FILE", help="PEM")
    add_action(group, "remove", "trust one no more", remove_root).add_argument(
        "sha256", metavar="HASH"
    )
