# SPDX-License-Identifier: Apache-2.0
"""pykexec policy: appraisal policies, tried and made offline."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pykexec.cli import policy_recovery
from pykexec.errors import DeniedError, UsageError

if TYPE_CHECKING:
    from pykexec.attest.verdict import Finding, Verdict
    from pykexec.policy import Claims, Context, Policy
    from pykexec.policy.learn import Reference
    from pykexec.policy.predict import Changes

HELP = "appraisal policies: check evidence against one, explain it, learn it, predict updates"
EPILOG = """\
EVIDENCE is what `pykexec attest --save` writes. A policy that is learnt allows the boot that it was
learnt from: be sure that this was a good one.
"""
EXAMPLES = """\
pykexec policy learn evidence.json --image image.json -o policy.toml
pykexec policy check evidence.json policy.toml --ek-root tpm-vendor.pem
pykexec policy check evidence.json policy.toml --time 2026-12-24T23:00+01:00 --address 10.1.2.3
pykexec policy check evidence.json policy.toml --label rack=7 --released rack=20
pykexec policy lint policy.toml
pykexec policy explain policy.toml
pykexec policy explain policy.toml evidence.json
pykexec policy predict evidence.json --name "dbx 2026-11" --append dbx=update.bin --policy old.toml
pykexec policy predict evidence.json --image new-image.json --name "image 2" -o added.toml
pykexec policy predict evidence.json --driver ext4_x64.efi --name ext4 --policy old.toml
pykexec policy predict --machines --append dbx=update.bin --url https://keys.example:8443
"""
_SIGNATURES = "signature lists, or an update file with authentication"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = EPILOG
    verbs = parser.add_subparsers(title="what to do", metavar="VERB", required=True, dest="what")
    check = verbs.add_parser("check", help="judge evidence; exit code 6 if it is refused")
    _positional(check, "evidence", "policy")
    _add_context(check)
    check.add_argument("--json", action="store_true", help="print JSON")
    check.set_defaults(run=_check)
    explain = verbs.add_parser("explain", help="say what a policy demands, and what evidence has")
    _positional(explain, "policy")
    explain.add_argument("evidence", type=Path, nargs="?", metavar="EVIDENCE")
    _add_context(explain)
    explain.set_defaults(run=_explain)
    lint = verbs.add_parser("lint", help="what of a policy may be a mistake; exit code 1 if any is")
    _positional(lint, "policy")
    lint.set_defaults(run=_lint)
    _configure_learn(verbs.add_parser("learn", help="make a policy from a known-good boot"))
    _configure_predict(verbs.add_parser("predict", help="allow an update before it is there"))


def _positional(parser: argparse.ArgumentParser, *names: str) -> None:
    for name in names:
        parser.add_argument(name, type=Path, metavar=name.upper())


def _add_context(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ek-root", type=Path, action="append", default=[], metavar="FILE",
        help="certificate that vouches for EKs; may be repeated (default: any EK will do)",
    )  # fmt: skip
    parser.add_argument(
        "--time", type=_time, metavar="T", help="as if it were T, 2026-11-22T12:00+00:00 say"
    )
    parser.add_argument("--address", default="", metavar="IP", help="the machine's address")
    parser.add_argument("--machine", default="", metavar="NAME", help="the machine's name")
    parser.add_argument("--tag", action="append", default=[], help="may be repeated")
    parser.add_argument(
        "--label", type=_pair, action="append", default=[], metavar="KEY=VALUE",
        help="may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--released", type=_count, action="append", default=[], metavar="RATE=N",
        help="as if so many were released that a rate counts (default: none); may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--quarantined", action="append", default=[], metavar="TEXT",
        help="as if that were in quarantine, of [quarantine]; may be repeated",
    )  # fmt: skip


def _configure_learn(parser: argparse.ArgumentParser) -> None:
    _positional(parser, "evidence")
    parser.add_argument("--name", default="learnt", help="of the policy (default: learnt)")
    parser.add_argument(
        "--image", type=Path, action="append", default=[], metavar="FILE",
        help="allow this image, or these reference values, in all banks; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--pcr", type=int, action="append", metavar="N",
        help="demand the value of this register; may be repeated (default: 0 and 2)",
    )  # fmt: skip
    parser.add_argument("--any-payload", action="store_true", help="do not demand the payload")
    _add_output(parser)
    parser.set_defaults(run=_learn)


def _configure_predict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("evidence", type=Path, nargs="?", metavar="EVIDENCE")
    parser.add_argument("--name", help="of the update, in the policy")
    parser.add_argument(
        "--policy", type=Path, metavar="POLICY",
        help="print this policy with what it lacks, not only what may be added to any",
    )  # fmt: skip
    for option, what in (("--set", "new content"), ("--append", "what is added to the content")):
        parser.add_argument(
            option, type=_pair, action="append", default=[], metavar="VARIABLE=FILE",
            help=f"{what} of db, dbx, KEK or PK: {_SIGNATURES}",
        )  # fmt: skip
    parser.add_argument("--firmware-version", default="", metavar="TEXT")
    parser.add_argument(
        "--image", type=Path, metavar="FILE", help="another image of ours, or its reference values"
    )
    parser.add_argument(
        "--driver", type=Path, action="append", default=[], metavar="FILE",
        help="an EFI driver that a new agent.toml adds to the firmware; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--digest", type=_pair, action="append", default=[], metavar="OLD=NEW",
        help="digest of an event, of a firmware blob, a driver or shim say, in the evidence's bank",
    )  # fmt: skip
    parser.add_argument(
        "--pcr", type=_pair, action="append", default=[], metavar="N=DIGEST",
        help="a register's value that is known from elsewhere",
    )  # fmt: skip
    _add_output(parser)
    policy_recovery.configure(parser)
    parser.set_defaults(run=_predict)


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="write it there, not to standard output"
    )


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals and value):
        raise ValueError(text)
    return key, value


def _count(text: str) -> tuple[str, int]:
    name, number = _pair(text)
    return name, int(number)


def main(args: argparse.Namespace) -> int:
    """Do what was asked for."""
    try:
        code: int = args.run(args)
    except ModuleNotFoundError as error:
        raise UsageError(f"policy: {error.name} is missing: install pykexec[server]") from None
    return code


def _read(path: Path) -> tuple[bytes, str]:
    """Contents and name."""
    try:
        return path.read_bytes(), str(path)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


def _context(args: argparse.Namespace) -> Context:
    from pykexec.policy import Context

    return Context(
        time=args.time or datetime.now(UTC),
        address=args.address,
        machine=args.machine,
        tags=tuple(args.tag),
        labels=dict(args.label),
        releases=dict(args.released),
        quarantined=tuple(args.quarantined),
    )


def _policy(path: Path) -> Policy:
    from pykexec.policy import parse_policy

    return parse_policy(*_read(path))


def _verdict(args: argparse.Namespace, policy: Policy) -> tuple[Verdict, Claims]:
    from pykexec.policy import offline
    from pykexec.verify.certificates import parse_bundle

    evidence = offline.parse_evidence(*_read(args.evidence))
    roots = [der for path in args.ek_root for der in parse_bundle(*_read(path))]
    return offline.check(evidence, policy, _context(args), tuple(roots))


def _check(args: argparse.Namespace) -> int:
    policy = _policy(args.policy)
    verdict, claims = _verdict(args, policy)
    if args.json:
        from pykexec.cli.output import print_json

        print_json(
            {
                "policy": policy.name,
                "accepted": verdict.accepted,
                "findings": verdict.findings,
                "claims": claims,
            }
        )
    else:
        _print_findings(verdict.findings)
    if not verdict.accepted:
        count = len(verdict.reasons)
        reasons = f"{count} reason{'s' if count > 1 else ''}"
        raise DeniedError(f"{args.evidence}: refused by policy {policy.name!r}, {reasons}")
    if not args.json:
        print(f"accepted by policy {policy.name!r}")
    return 0


def _print_findings(findings: Iterable[Finding]) -> None:
    for finding in findings:
        print(f"{'refused' if finding.refuses else 'note   '} {finding}")


def _explain(args: argparse.Namespace) -> int:
    from pykexec.policy import explain

    policy = _policy(args.policy)
    if args.evidence is None:
        print(explain(policy))
        return 0
    verdict, claims = _verdict(args, policy)
    # The policy's own are told beside its demands.
    _print_findings(f for f in verdict.findings if not f.code.startswith("policy."))
    print(explain(policy, claims, _context(args)))
    return 0


def _lint(args: argparse.Namespace) -> int:
    from pykexec.policy.lint import doubts

    found = list(doubts(_policy(args.policy), datetime.now(UTC)))
    for text in found:
        print(text)
    return 1 if found else 0


def _learn(args: argparse.Namespace) -> int:
    from pykexec.policy import offline, parse_policy
    from pykexec.policy.learn import DEFAULT_PCRS, LearnOptions, learn

    evidence = offline.parse_evidence(*_read(args.evidence))
    options = LearnOptions(
        name=args.name,
        pcrs=DEFAULT_PCRS if args.pcr is None else tuple(sorted(set(args.pcr))),
        references=tuple(offline.parse_reference(*_read(path)) for path in args.image),
        payload=not args.any_payload,
    )
    text = learn(offline.genuine_claims(evidence, str(args.evidence)), options)
    parse_policy(text.encode(), "the policy learnt")
    return _write(args.output, text)


def _predict(args: argparse.Namespace) -> int:
    from pykexec.policy import offline

    if args.machines:
        return policy_recovery.main(args, _changes(args), _reference(args))
    policy_recovery.refuse_options(args)
    if args.evidence is None or not args.name:
        raise UsageError("predict: EVIDENCE and --name, or --machines")
    evidence = offline.parse_evidence(*_read(args.evidence))
    text = offline.updated_policy(
        evidence,
        str(args.evidence),
        _changes(args),
        args.name,
        image=_reference(args),
        policy=_read(args.policy) if args.policy else None,
    )
    if not text:
        print("the policy allows that as it is")
        return 0
    return _write(args.output, text)


def _reference(args: argparse.Namespace) -> Reference | None:
    from pykexec.policy import offline

    return offline.parse_reference(*_read(args.image)) if args.image else None


def _changes(args: argparse.Namespace) -> Changes:
    from pykexec.efi.signature_list import without_authentication
    from pykexec.policy.predict import Changes

    def contents(pairs: list[tuple[str, str]]) -> dict[str, bytes]:
        return {name: without_authentication(_read(Path(file))[0]) for name, file in pairs}

    return Changes(
        written=contents(args.set),
        appended=contents(args.append),
        version=args.firmware_version,
        digests={_hex(old): _hex(new) for old, new in args.digest},
        pcrs={_number(number): _hex(value) for number, value in args.pcr},
        drivers=tuple(map(_driver, args.driver)),
    )


def _driver(path: Path) -> dict[str, bytes]:
    """Its Authenticode digest by bank."""
    from pykexec.efi.pe import authenticode_digest, check_driver
    from pykexec.policy.model import BANKS

    data, source = _read(path)
    image = check_driver(data, source)
    return {bank: authenticode_digest(data, image, bank) for bank in BANKS}


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise UsageError(f"{text[:128]!r} is not hexadecimal") from None


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 3):
        raise UsageError(f"{text[:128]!r} is no PCR")
    return int(text)


def _write(output: Path | None, text: str) -> int:
    if output is None:
        print(text, end="")
        return 0
    from pykexec.image.files import write_atomically

    write_atomically(output, text.encode())
    return 0
