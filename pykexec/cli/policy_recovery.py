# SPDX-License-Identifier: Apache-2.0
"""pykexec policy predict --machines: who will ask for BitLocker's recovery password."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pykexec.cli._server import add_connection, connect
from pykexec.cli.output import print_json, print_table
from pykexec.errors import UsageError

if TYPE_CHECKING:
    from pykexec.policy.learn import Reference
    from pykexec.policy.predict import Changes
    from pykexec.policy.recovery import Change, Outlook

_ONLY_HERE = ("with_policy", "report", "url", "token_file", "ca", "json")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    group = parser.add_argument_group(
        "machines of a server",
        "say which will ask for BitLocker's recovery password after the change, in place of a "
        "policy: by the evidence of their last boot, and by what their tag bitlocker-pcrs, or a "
        "report, says that their protector is sealed to",
    )
    group.add_argument("--machines", action="store_true", help="all that are enrolled")
    group.add_argument("--with-policy", metavar="NAME", help="those alone that have this policy")
    group.add_argument(
        "--report", action="append", default=[], metavar="MACHINE=FILE",
        help="what `pykexec windows check --json` said on it; may be repeated",
    )  # fmt: skip
    add_connection(group)
    group.add_argument("--json", action="store_true", help="print JSON")


def refuse_options(args: argparse.Namespace) -> None:
    """UsageError for what goes with --machines alone."""
    for name in _ONLY_HERE:
        if getattr(args, name):
            raise UsageError(f"--{name.replace('_', '-')}: goes with --machines alone")


def main(args: argparse.Namespace, changes: Changes, image: Reference | None) -> int:
    """Print who asks, of whom it is not known, and how many are not affected."""
    from pykexec.policy.recovery import Verdict, outlook, reported
    from pykexec.server.fleet import read_fleet

    if args.evidence or args.name or args.policy or args.output:
        raise UsageError("--machines: makes no policy of evidence")
    parts = list(_parts(changes, image, str(args.image)))
    if not parts:
        raise UsageError("--machines: what changes?")
    reports = {}
    for word in args.report:
        machine, _, path = word.partition("=")
        if not (machine and path):
            raise UsageError(f"{word}: not MACHINE=FILE")
        reports[machine] = reported(Path(path).read_bytes(), path)
    found = [outlook(each, parts) for each in read_fleet(connect(args), reports, args.with_policy)]
    by_verdict = {v: [each for each in found if each.verdict is v] for v in Verdict}
    if args.json:
        told = {str(v): each for v, each in by_verdict.items() if v is not Verdict.UNAFFECTED}
        nr_others = len(by_verdict[Verdict.UNAFFECTED])
        print_json({"changes": [each.words for each in parts], **told, "unaffected": nr_others})
    else:
        _print([*by_verdict[Verdict.ASKS], *by_verdict[Verdict.UNKNOWN]])
        asks, unknown, others = (len(by_verdict[v]) for v in Verdict)
        print(f"ask for the recovery password: {asks}; unknown: {unknown}; not affected: {others}")
    return 0


def _parts(changes: Changes, image: Reference | None, source: str) -> Iterator[Change]:
    """The changes one by one, since each machine is told which of them it is."""
    from pykexec.policy.predict import Changes
    from pykexec.policy.recovery import Change
    from pykexec.verify.signatures import parse_signatures

    for content in (*changes.written.values(), *changes.appended.values()):
        parse_signatures(content)  # Of all machines or of none.
    for name, content in changes.written.items():
        yield Change(name, Changes(written={name: content}))
    for name, content in changes.appended.items():
        yield Change(name, Changes(appended={name: content}))
    if changes.version:
        yield Change(f"firmware {changes.version}", Changes(version=changes.version))
    if image:
        yield Change(f"image {source}", image=image)
    for driver in changes.drivers:
        words = f"driver {driver['sha256'].hex()[:16]}..."
        yield Change(words, Changes(drivers=(driver,)))
    for old, new in changes.digests.items():
        yield Change(f"digest {old.hex()[:16]}...", Changes(digests={old: new}))
    for pcr, value in changes.pcrs.items():
        yield Change(f"PCR {pcr} as given", Changes(pcrs={pcr: value}))


def _print(found: Sequence[Outlook]) -> None:
    if not found:
        return
    rows = [("MACHINE", "FINGERPRINT", "OUTLOOK", "PCR", "WHY")]
    for each in found:
        pcrs = ", ".join(map(str, each.pcrs)) or "-"
        rows.append((each.machine or "-", each.fingerprint[:16], each.verdict, pcrs, each.why[0]))
        rows += [("", "", "", "", why) for why in each.why[1:]]
    print_table(rows)
