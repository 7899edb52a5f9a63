# SPDX-License-Identifier: Apache-2.0
"""pykexec load-driver: have the firmware load and start an EFI driver or application."""

from __future__ import annotations

import argparse

HELP = "load and start an EFI driver, or an application that returns, while Linux waits"
EPILOG = """\
A FILE that starts with a backslash is a file on the volume that the image came from, or on
--volume; any other is a file of Linux. The firmware verifies (Secure Boot) and measures it.

A driver stays resident; an application's output goes to the firmware's console. What does not
come back within five minutes is ended by the firmware's watchdog, with a reset. What leaves boot
services, such as the loader of an operating system, ends Linux: start that with `pykexec exec`.
Load drivers before `pykexec exec --load-only`, which has to be repeated otherwise.
"""
EXAMPLES = r"""
pykexec load-driver '\EFI\drivers\ext4_x64.efi'
pykexec load-driver /tmp/tool.efi --options=-v --no-connect
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = EPILOG
    parser.add_argument("file", metavar="FILE", help="the driver or application")
    parser.add_argument("--options", default="", metavar="TEXT", help="its load options")
    parser.add_argument(
        "--volume", metavar="NAME", help="GPT partition GUID, label or device path of FILE's volume"
    )
    parser.add_argument(
        "--no-connect",
        action="store_true",
        help="do not connect the firmware's drivers to its devices afterwards",
    )


def main(args: argparse.Namespace) -> int:
    """Start it and say what it returned."""
    from pykexec.firmware.mailbox import Mailbox
    from pykexec.firmware.status import status_name
    from pykexec.kexec.images import start_image

    with Mailbox() as mailbox:
        status = start_image(
            mailbox,
            args.file,
            volume=args.volume,
            options=args.options,
            connect=not args.no_connect,
        )
    print(f"{args.file}: returned {status_name(status)}")
    return 0
