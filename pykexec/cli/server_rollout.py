# SPDX-License-Identifier: Apache-2.0
"""What `pykexec server` asks of a running server about roll-outs of policies."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pykexec.cli._server import Actions, Rows, add_action, add_group, cell, rows_of
from pykexec.cli.output import print_json
from pykexec.cli.server_quarantine import target_of
from pykexec.errors import UsageError

if TYPE_CHECKING:
    from pykexec.server.adminclient import AdminClient

_PAGE = 50
_WORDS = {"refused": "would refuse", "asks": "would ask persons for"}


def configure(actions: Actions) -> None:
    """Declare the actions."""
    group = add_group(actions, "rollout", "try a policy, and bring it to machines step by step")
    text = "what it would say by the evidence that was kept; exit code 1 if it refuses any anew"
    parser = _named(add_action(group, "try", text, _try))
    parser.add_argument("file", type=Path, nargs="?", metavar="FILE")
    parser.add_argument("--version", type=int, metavar="N", help="of those on the server")
    parser.add_argument("--time", metavar="T", help="as if it were 2026-12-24T23:00+01:00, say")
    parser.add_argument("--address", metavar="IP", help="as if all came from there")
    parser.add_argument(
        "--released", action="append", default=[], metavar="RATE=N",
        help="as if so many were released that a rate counts; may be repeated",
    )  # fmt: skip
    parser = _named(add_action(group, "draft", "add a version that counts for nobody", _draft))
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--comment", default="")
    parser.add_argument("--force", action="store_true", help="although a rule never has a value")
    _named(add_action(group, "show", "which version counts, and what the draft said", _show))
    text = "let the draft count for some: with a tag, and a share of all"
    parser = _named(add_action(group, "canary", text, _canary))
    parser.add_argument("--tag", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--share", type=int, default=0, metavar="PERCENT")
    parser = _named(add_action(group, "promote", "let the draft count for all", _promote))
    parser.add_argument("--reason", default="", metavar="TEXT")
    parser = _named(add_action(group, "back", "let the version before count again", _back))
    parser.add_argument("--to", type=int, metavar="N", help="or that one")
    parser.add_argument("--reason", default="", metavar="TEXT")
    _named(add_action(group, "abandon", "look at the draft no more", _abandon))
    text = "let a version count for a machine or tag whatever else is said"
    pin = _named(add_action(group, "pin", text, _pin))
    unpin = _named(add_action(group, "unpin", "end that", _pin))
    for parser in (pin, unpin):
        parser.add_argument("machine", nargs="?", metavar="MACHINE")
        parser.add_argument("--tag", metavar="KEY=VALUE", help="all machines that have it")
        parser.add_argument("--reason", default="", metavar="TEXT")
    pin.add_argument("--version", type=int, required=True, metavar="N")
    unpin.set_defaults(version=None)


def _named(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("name", metavar="NAME")
    return parser


def _try(client: AdminClient, args: argparse.Namespace) -> int:
    if (args.file is None) == (args.version is None):
        raise UsageError("a FILE, or --version N")
    body: dict[str, object] = {"limit": _PAGE}
    body |= {"text": args.file.read_text()} if args.file else {"version": args.version}
    body |= {key: getattr(args, key) for key in ("time", "address") if getattr(args, key)}
    if args.released:
        body["released"] = dict(map(_count, args.released))
    rows: Rows = []
    while True:
        sent = {**body, "offset": len(rows)}
        page = rows_of(client.send("POST", "policies", args.name, "trial", body=sent), "tried")
        rows += page
        if len(page) < _PAGE:
            break
    if args.json:
        print_json(rows)
    else:
        print_tried(rows)
    return 1 if any(row["outcome"] == "refused" and row["was_accepted"] for row in rows) else 0


def _count(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if not (name and number.isascii() and number.isdigit()):
        raise UsageError(f"{text}: not RATE=N")
    return name, int(number)


def print_tried(rows: Rows) -> None:
    """Numbers, then each machine that would not simply be accepted, with its reasons."""
    for outcome, words in _WORDS.items():
        found = [row for row in rows if row["outcome"] == outcome]
        print(f"{words} {len(found)} of {len(rows)}{':' if found else ''}")
        for row in found:
            was = "" if row["was_accepted"] else " (was refused then, too)"
            name = cell(row["name"] or str(row["fingerprint"])[:16])
            print(f"  {name}, by its attestation of {cell(row['time'])}{was}")
            for reason in rows_of(row, "reasons"):
                print(f"    {cell(reason['code'])}: {cell(reason['text'])}")
    if unknown := sum(row["outcome"] == "unknown" for row in rows):
        print(f"nothing is known of {unknown}: no evidence was kept (enrolment keep_evidence)")


def _draft(client: AdminClient, args: argparse.Namespace) -> int:
    body = {"text": args.file.read_text(), "comment": args.comment, "force": args.force}
    stored = client.send("PUT", "policies", args.name, "draft", body=body)
    print(f"{stored['name']}: version {stored['version']} is a draft")
    return 0


def _show(client: AdminClient, args: argparse.Namespace) -> int:
    answer = client.get("policies", args.name, "rollout")
    if args.json:
        print_json(answer)
        return 0
    rollout = answer["rollout"]
    assert isinstance(rollout, dict)
    _say(rollout)
    if rollout["draft"]:
        print_tried(rows_of(answer, "decided"))
    return 0


def _say(rollout: dict[str, object]) -> None:
    pins, tags = rollout["pins"], rollout["tags"]
    assert isinstance(pins, dict) and isinstance(tags, list)
    print(f"{cell(rollout['name'])}: version {rollout['live']} counts")
    if rollout["draft"]:
        some = [*map(cell, tags), *([f"{rollout['share']} %"] if rollout["share"] else [])]
        whom = f"counts for {', '.join(some)}" if some else "counts for nobody"
        print(f"version {rollout['draft']} is a draft, and {whom}")
    for target, version in pins.items():
        print(f"version {version} is pinned for {cell(target)}")


def _canary(client: AdminClient, args: argparse.Namespace) -> int:
    body = {"tags": args.tag, "share": args.share}
    _say(client.send("PUT", "policies", args.name, "canary", body=body))
    return 0


def _promote(client: AdminClient, args: argparse.Namespace) -> int:
    rollout = client.get("policies", args.name, "rollout")["rollout"]
    assert isinstance(rollout, dict)
    if rollout["draft"] is None:
        raise UsageError(f"{args.name} has no draft")
    return _activate(client, args, rollout["draft"])


def _back(client: AdminClient, args: argparse.Namespace) -> int:
    return _activate(client, args, args.to)


def _activate(client: AdminClient, args: argparse.Namespace, version: int | None) -> int:
    body: dict[str, object] = {"reason": args.reason}
    if version is not None:
        body["version"] = version
    _say(client.send("POST", "policies", args.name, "activate", body=body))
    return 0


def _abandon(client: AdminClient, args: argparse.Namespace) -> int:
    _say(client.send("DELETE", "policies", args.name, "draft"))
    return 0


def _pin(client: AdminClient, args: argparse.Namespace) -> int:
    target = target_of(client, args)
    body = {"target": target, "version": args.version, "reason": args.reason}
    _say(client.send("POST", "policies", args.name, "pins", body=body))
    return 0
