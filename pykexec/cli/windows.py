# SPDX-License-Identifier: Apache-2.0
"""pykexec windows check: what will happen when Windows on these disks is started."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from pykexec.secret import Secret
    from pykexec.windows.disks import Disk
    from pykexec.windows.machine import Machine

T = TypeVar("T")

HELP = "look at disks with Windows: boot manager, BitLocker's protectors, and what will happen"
CHECK_HELP = "say whether Windows on these disks starts without asking anybody; nothing is written"
EPILOG = """\
Without a DISK every disk of the firmware is looked at, by its event log, too. db and dbx are this
machine's unless files are named: what a disk will do elsewhere depends on those of that machine.
Exit code 1 says that Windows will not start, or ask somebody.
"""
EXAMPLES = """\
pykexec windows check
pykexec windows check disk.img --bek 4381F759-C4F8-4DE0-BB61-FC33A831BDA5.BEK
pykexec windows check /dev/nvme0n1 --event-log /sys/kernel/security/tpm0/binary_bios_measurements
pykexec windows check disk.img --db db.esl --dbx dbx.esl --json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    check = actions.add_parser("check", help=CHECK_HELP, description=CHECK_HELP, epilog=EPILOG)
    check.formatter_class = argparse.RawDescriptionHelpFormatter
    check.add_argument("disks", nargs="*", metavar="DISK", help="a disk of Linux', or an image")
    check.add_argument(
        "--bek",
        action="append",
        default=[],
        metavar="FILE",
        help="a startup key; those in the roots of FAT volumes are found",
    )
    check.add_argument(
        "--recovery-password",
        action="append",
        default=[],
        metavar="FILE",
        help="say whose recovery password it is",
    )
    check.add_argument("--db", metavar="FILE", help="signature lists in place of this machine's db")
    check.add_argument("--dbx", metavar="FILE", help="and in place of its dbx")
    check.add_argument("--event-log", metavar="FILE", help="the TCG log of a boot on this machine")
    check.add_argument("--json", action="store_true", help="print JSON")


def main(args: argparse.Namespace) -> int:
    """Print what was found; 1 if Windows will not start unattended."""
    from pykexec.cli.output import print_json, to_plain
    from pykexec.windows.check import check
    from pykexec.windows.findings import lines
    from pykexec.windows.keys import read_bek, read_recovery_password

    with ExitStack() as stack:
        keys = _secrets(stack, read_bek, args.bek)
        passwords = _secrets(stack, read_recovery_password, args.recovery_password)
        disks, log = _disks(stack, args.disks)
        report = check(disks, _machine(args, log), keys, passwords)
    if args.json:
        starts = {"starts": not report.faults, "summary": report.summary}
        plain = to_plain(report)
        assert isinstance(plain, dict)
        print_json({**starts, **plain})
    else:
        for line in lines(report.findings):
            print(line)
        print(report.summary)
    return 1 if report.faults else 0


def _secrets(
    stack: ExitStack, read: Callable[[str], tuple[Secret, T]], paths: Sequence[str]
) -> list[T]:
    """What is read of each path, kept until the stack ends."""
    found = []
    for path in paths:
        secret, value = read(path)
        stack.enter_context(secret)
        found.append(value)
    return found


def _disks(stack: ExitStack, paths: Sequence[str]) -> tuple[list[Disk], bytes | None]:
    """The disks, and of the firmware's the log beside them."""
    from pykexec.windows.disks import firmware_disks, open_disk

    if paths:
        return [stack.enter_context(open_disk(path)) for path in paths], None
    from pykexec.firmware.mailbox import Mailbox
    from pykexec.guest.windows import event_log

    mailbox = stack.enter_context(Mailbox())
    return list(firmware_disks(mailbox)), event_log(mailbox)


def _machine(args: argparse.Namespace, log: bytes | None) -> Machine:
    from dataclasses import replace

    from pykexec.windows.machine import database, read_machine

    if args.event_log:
        log = _read(args.event_log)
    machine = read_machine(log=log)
    if args.db:
        machine = replace(machine, db=database(_read(args.db), args.db))
    if args.dbx:
        machine = replace(machine, dbx=database(_read(args.dbx), args.dbx))
    return machine


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
