# SPDX-License-Identifier: Apache-2.0
"""pykexec certify: a stick that finds out what a machine is like; and what its reports say."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pykexec.certify.settings import ROUND_TRIPS

if TYPE_CHECKING:
    from pykexec.certify.report import Report

HELP = "make a stick that tries pykexec on any machine, step by step; explain its reports"
EPILOG = """\
Write the stick's image to a USB stick (`dd`, or any tool for that), and boot a machine from it. It
asks nothing and only reads, names each step on the stick before it begins, and goes on behind a
step that hung when it is booted again. Reports lie in its directory certify: report.html for
people, report.json for `show` and `replay`; where a machine hung for good, journal.txt for both.

With --efi the image is written by itself, to be booted over the network: its report is shown on the
screen, and kept nowhere.
"""
EXAMPLES = """\
pykexec certify --kernel /boot/vmlinuz-6.12.0-1-amd64 --output stick.img
pykexec certify --kernel vmlinuz --sign-key db.key --sign-cert db.pem --output stick.img
pykexec certify --kernel vmlinuz --write-scratch --identifiers --round-trips 5 --output stick.img
pykexec certify --kernel vmlinuz --efi certify.efi
pykexec certify show report.json
pykexec certify show journal.txt --output report.json
pykexec certify replay journal.txt
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = EPILOG
    parser.add_argument("--kernel", type=Path, metavar="FILE", help="Linux, a bzImage")
    parser.add_argument("--modules", type=Path, metavar="DIR", help="its modules")
    parser.add_argument("--cmdline", metavar="WORDS", help="kernel parameters")
    parser.add_argument("--arena", type=int, metavar="MIB", help="memory for Linux in MiB")
    parser.add_argument("--sign-key", type=Path, metavar="KEY", help="private key (PEM)")
    parser.add_argument("--sign-cert", type=Path, metavar="CERT", help="its certificate (PEM)")
    parser.add_argument(
        "--round-trips",
        type=int,
        default=ROUND_TRIPS,
        metavar="N",
        help="how often Linux ends for an application and comes back (default: %(default)s)",
    )
    parser.add_argument(
        "--identifiers",
        action="store_true",
        help="have serial numbers, MAC addresses and UUIDs in the report as they are",
    )
    parser.add_argument(
        "--write-scratch", action="store_true", help="write a file of the stick, and read it back"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="the stick's image")
    parser.add_argument("--efi", type=Path, metavar="FILE", help="the EFI application by itself")
    parser.set_defaults(action="build")
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    for name, words in (
        ("show", "explain a report, or the journal of one that was cut off"),
        ("replay", "feed what a machine told to our parsers (exit code 3 if one fails)"),
    ):
        action = actions.add_parser(name, help=words, description=words)
        action.add_argument("report", type=Path, metavar="REPORT", help="report.json, journal.txt")
        action.set_defaults(action=name)
        if name == "show":
            action.add_argument(
                "--output",
                type=Path,
                dest="json",
                metavar="FILE",
                help="write it, too: of a journal the report, which tells nobody the salt",
            )


def main(args: argparse.Namespace) -> int:
    """Do what was asked for; 1 for a machine that has a fault, 3 for one that we do not read."""
    if args.action == "show":
        return _show(_read(args.report), args.json)
    if args.action == "replay":
        return _replay(_read(args.report))
    return _build(args)


def _read(path: Path) -> Report:
    from pykexec.certify.report import read_report

    return read_report(path.read_bytes(), str(path))


def _show(report: Report, output: Path | None) -> int:
    from pykexec.certify.report import encode_report
    from pykexec.certify.show import report_lines
    from pykexec.image.files import check_writable, write_atomically

    if output:
        check_writable(output)
        write_atomically(output, encode_report(report))
    for line in report_lines(report):
        print(line)
    return 1 if report.faults else 0


def _replay(report: Report) -> int:
    from pykexec.certify.replay import check_lines, replay
    from pykexec.errors import FormatError

    checks = replay(report)
    if not checks:
        raise FormatError("the report has nothing to replay")
    for line in check_lines(checks):
        print(line)
    return FormatError.exit_code if any(check.fault for check in checks) else 0


def _build(args: argparse.Namespace) -> int:
    from pykexec.certify.settings import Settings, encode_settings, parse_settings
    from pykexec.errors import UsageError
    from pykexec.image import Recipe, SigningKey
    from pykexec.image.files import check_writable, write_atomically
    from pykexec.image.recipe import DEFAULT_ARENA_MIB, DEFAULT_CMDLINE
    from pykexec.image.stick import certify_image, write_stick

    if args.kernel is None or not (args.output or args.efi):
        raise UsageError("certify: --kernel and --output (or --efi) are needed, or show, or replay")
    if (args.sign_key is None) != (args.sign_cert is None):
        raise UsageError("--sign-key and --sign-cert go together")
    settings = Settings(args.round_trips, args.identifiers, args.write_scratch)
    parse_settings(encode_settings(settings), "certify")
    for target in filter(None, (args.output, args.efi)):
        check_writable(target)
    recipe = Recipe(
        kernel=args.kernel,
        modules=args.modules,
        cmdline=DEFAULT_CMDLINE if args.cmdline is None else args.cmdline,
        arena_mib=DEFAULT_ARENA_MIB if args.arena is None else args.arena,
        signing=SigningKey(args.sign_key, args.sign_cert) if args.sign_key else None,
    )
    built, application = certify_image(recipe, settings)
    if args.efi:
        write_atomically(args.efi, built.data)
        print(f"{args.efi}: {len(built.data)} bytes, kernel {built.kernel.version}")
    if args.output:
        size = write_stick(args.output, built.data, application)
        print(f"{args.output}: {size >> 20} MiB, kernel {built.kernel.version}")
    return 0
