# SPDX-License-Identifier: Apache-2.0
"""pykexec net: the firmware's network devices, and Linux on line through them."""

from __future__ import annotations

import argparse

HELP = "show the firmware's network devices, or with up and down configure them"
EXAMPLES = """\
pykexec net
pykexec net up
pykexec net up efi0 --dhcp
pykexec net down
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("action", nargs="?", choices=("show", "up", "down"), default="show")
    parser.add_argument(
        "nic",
        nargs="?",
        default="",
        help="an interface (efi0), a MAC address, or a handle; without one: the NIC that the image"
        " came from or else any (up), or all (down, show)",
    )
    parser.add_argument(
        "--dhcp",
        action="store_true",
        help="up: ask the network even where the firmware has a lease of its own",
    )
    parser.add_argument(
        "--timeout", type=int, default=30, metavar="SECONDS", help="up: how long (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def main(args: argparse.Namespace) -> int:
    """Do what action says and print what is then so."""
    from pykexec.cli.output import print_json
    from pykexec.firmware.mailbox import Mailbox
    from pykexec.net.summary import describe, nic_lines

    if args.action == "down":
        from pykexec.net.configure import take_down

        for name in take_down(args.nic):
            print(f"{name} is down")
        return 0
    with Mailbox() as mailbox:
        nic = args.nic
        if args.action == "up":
            from pykexec.net.configure import bring_up

            nic = bring_up(mailbox, nic, dhcp=args.dhcp, timeout_s=args.timeout).interface
        nics = describe(mailbox, nic)
    if args.json:
        print_json(nics)
        return 0
    for entry in nics:
        print("\n".join(nic_lines(entry)))
    return 0
