# SPDX-License-Identifier: Apache-2.0
"""pykexec verify-firmware: is the firmware's state what it was before Linux."""

from __future__ import annotations

import argparse

HELP = "compare the machine's state before, under and after Linux (exit code 8 if it differs)"
EXAMPLES = """\
pykexec verify-firmware
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def main(args: argparse.Namespace) -> int:
    """Print every item and every difference; 8 if there is one."""
    from pykexec.cli.output import print_json, print_table
    from pykexec.errors import FirmwareError
    from pykexec.firmware.mailbox import Mailbox
    from pykexec.firmware.snapshot import StateItem, verify_firmware

    def row(item: StateItem) -> tuple[str, ...]:
        left, after = (f"{value:#x}" if item.has_left else "-" for value in (item.left, item.after))
        flags = ("gate",) * item.gate + ("volatile",) * item.volatile + ("told",) * item.told
        return (item.name, f"{item.before:#x}", f"{item.during:#x}", left, after, " ".join(flags))

    with Mailbox() as mailbox:
        report = verify_firmware(mailbox)
    if args.json:
        print_json({"same": report.is_same, "report": report})
    else:
        print_table([("item", "before", "during", "left", "after", ""), *map(row, report.items)])
        print(f"handoff: {report.handoff_fault or 'sound'}")
        print(f"timer events: {report.self_test.nr_ticks} ticks of 50 ms in a second")
        for difference in report.told:
            print(f"changed, and stays so: {difference}")
        for difference in report.differences:
            print(f"DIFFERENT {difference}")
        print("the firmware is the same" if report.is_same else "the firmware differs")
    return 0 if report.is_same else FirmwareError.exit_code
