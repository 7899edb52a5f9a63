# SPDX-License-Identifier: Apache-2.0
"""pykexec memmap: physical memory as the firmware has it, or as Linux was given it."""

from __future__ import annotations

import argparse

HELP = "print the firmware's memory map, or with --linux what Linux was given of it"
EXAMPLES = """\
pykexec memmap
pykexec memmap --linux
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("--linux", action="store_true", help="the map that Linux was given")
    parser.add_argument("--json", action="store_true", help="print JSON")


def main(args: argparse.Namespace) -> int:
    """Print the map in address order."""
    from pykexec.cli.output import print_json, print_table
    from pykexec.firmware.info import read_memory_map
    from pykexec.firmware.mailbox import Mailbox
    from pykexec.memory import format_size

    with Mailbox() as mailbox:
        memory = read_memory_map(mailbox, "linux" if args.linux else "firmware")
    if args.json:
        print_json(
            [
                {
                    "start": row.range.start,
                    "end": row.range.end,
                    "type": row.type_name,
                    "attribute": row.attribute,
                }
                for row in memory
            ]
        )
        return 0
    print_table(
        (str(row.range), format_size(row.range.size), row.type_name, f"{row.attribute:#x}")
        for row in memory
    )
    return 0
