# SPDX-License-Identifier: Apache-2.0
"""pykexec devices: the firmware's disks, volumes, network devices, TPM and consoles."""

from __future__ import annotations

import argparse

HELP = "list the firmware's devices: which they are in Linux, their device paths"
EXAMPLES = """\
pykexec devices
pykexec devices --connect --all
pykexec devices --linux
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("--all", action="store_true", help="every handle with its protocols")
    parser.add_argument(
        "--connect",
        action="store_true",
        help="first let the firmware connect its drivers to everything; network devices need it",
    )
    parser.add_argument(
        "--linux",
        action="store_true",
        help="Linux' block devices, interfaces ... and their handles",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def main(args: argparse.Namespace) -> int:
    """Print devices by kind, or all handles, or Linux' devices."""
    from pykexec.bridge.relation import linux_names
    from pykexec.bridge.state import records
    from pykexec.cli.output import print_json, print_table
    from pykexec.firmware.devices import connect_all
    from pykexec.firmware.handles import list_handles
    from pykexec.firmware.mailbox import Mailbox
    from pykexec.guest.summary import describe_devices, device_rows, linux_rows

    with Mailbox() as mailbox:
        if args.connect:
            connect_all(mailbox)
        handles = list_handles(mailbox)
        details = describe_devices(mailbox, handles)
    names = linux_names(handles, records())
    if args.json:
        shown = handles if args.all else [handle for handle in handles if handle.kind]
        if args.linux:
            shown = [handle for handle in handles if handle.number in names]
        print_json(
            [
                {
                    "handle": handle.number,
                    "kind": handle.kind,
                    "details": details.get(handle.number, ""),
                    "path": handle.path,
                    "linux": names.get(handle.number, ()),
                    "protocols": handle.protocols,
                }
                for handle in shown
            ]
        )
    elif args.linux:
        print_table(linux_rows(handles, names))
    elif args.all:
        for handle in handles:
            print(f"{handle}\n    {', '.join(handle.protocols)}")
    else:
        print_table(device_rows(handles, details, names))
    return 0
