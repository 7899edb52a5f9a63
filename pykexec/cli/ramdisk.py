# SPDX-License-Identifier: Apache-2.0
"""pykexec ramdisk: disks in the firmware's memory for what is started next."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from pykexec.firmware.mailbox import Mailbox
    from pykexec.kexec.ramdisk import Image

HELP = "add, list and remove RAM disks, which the firmware shows to payloads"
EPILOG = """\
A RAM disk outlives this Linux: payloads read and boot from it. It is gone, and its memory wiped,
when an operating system leaves boot services (unless it was added with --persist-to-os), when it
is removed, and when the image returns to the firmware for good.
"""
EXAMPLES = """\
pykexec ramdisk add rescue.img
pykexec ramdisk add installer.iso --type virtual-cd --persist-to-os
pykexec ramdisk add keys.img --shape block
pykexec ramdisk list
pykexec ramdisk remove 1
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = EPILOG
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True)
    adding = actions.add_parser("add", help="make a disk of an image file")
    adding.add_argument(
        "image",
        metavar="IMAGE",
        help="file or block device of Linux, - (standard input), or, with a leading backslash, "
        "a file on the volume that the image came from or on --volume",
    )
    adding.add_argument(
        "--volume", metavar="NAME", help="GPT partition GUID, label or device path of a volume"
    )
    adding.add_argument(
        "--type",
        default="virtual-disk",
        metavar="TYPE",
        help="virtual-disk (default), virtual-cd, persistent-virtual-disk, persistent-virtual-cd",
    )
    adding.add_argument(
        "--shape",
        default="ram-disk",
        metavar="SHAPE",
        help="ram-disk (default), as the firmware makes them, or block: a disk of our own, "
        "read-only, that looks like one on an ATA bus, as Windows' boot manager reads wimboot's",
    )
    adding.add_argument(
        "--removable", action="store_true", help="a block disk on a medium that can be taken out"
    )
    adding.add_argument(
        "--persist-to-os",
        action="store_true",
        help="in reserved memory, announced by an NFIT: the payload's operating system sees it",
    )
    listing = actions.add_parser("list", help="show the disks that are there")
    listing.add_argument("--json", action="store_true", help="print JSON")
    removing = actions.add_parser("remove", help="wipe a disk and give its memory back")
    removing.add_argument("number", type=int, metavar="N", help="its number, as list shows it")


def main(args: argparse.Namespace) -> int:
    """Do what the action says."""
    from pykexec.firmware.mailbox import Mailbox

    with Mailbox() as mailbox:
        return int(_ACTIONS[args.action](mailbox, args))


def _add(mailbox: Mailbox, args: argparse.Namespace) -> int:
    from contextlib import nullcontext

    from pykexec.errors import UsageError
    from pykexec.kexec.ramdisk import add, open_image, volume_image
    from pykexec.kexec.request import is_firmware_path

    opened: AbstractContextManager[Image]
    if is_firmware_path(args.image):
        opened = nullcontext(volume_image(mailbox, args.image, args.volume))
    elif args.volume:
        raise UsageError(f"{args.image}: a volume needs a path on it, such as \\images\\disk.img")
    else:
        opened = open_image(args.image)
    with opened as image:
        disk = add(
            mailbox,
            image,
            args.type,
            persist=args.persist_to_os,
            shape=args.shape,
            removable=args.removable,
        )
    print(f"{image.source}: RAM disk {disk.number}, handle {disk.handle}")
    return 0


def _list(mailbox: Mailbox, args: argparse.Namespace) -> int:
    from pykexec.cli.output import print_json, print_table
    from pykexec.kexec.ramdisk import list_ramdisks
    from pykexec.memory import format_size

    disks = list_ramdisks(mailbox)
    if args.json:
        print_json(disks)
    else:
        print_table(
            (
                str(disk.number),
                f"handle {disk.handle}" if disk.handle else "not registered",
                format_size(disk.size),
                disk.type if disk.shape == "ram-disk" else disk.shape,
                "persists" if disk.persist else "removable" if disk.removable else "",
            )
            for disk in disks
        )
    return 0


def _remove(mailbox: Mailbox, args: argparse.Namespace) -> int:
    from pykexec.kexec.ramdisk import remove

    remove(mailbox, args.number)
    return 0


_ACTIONS = {"add": _add, "list": _list, "remove": _remove}
