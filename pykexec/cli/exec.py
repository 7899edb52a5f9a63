# SPDX-License-Identifier: Apache-2.0
"""pykexec exec: start an EFI application in place of Linux."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from pykexec.config.keys import ACTIONS
from pykexec.errors import NotResidentError

if TYPE_CHECKING:
    from pykexec.config.agent import NetworkConfig
    from pykexec.firmware.mailbox import Mailbox

HELP = "start an EFI application: Linux ends, the firmware loads, verifies and runs it"
EPILOG = """\
A PATH that starts with a backslash is a file on the volume that the image came from, or on
--volume; http://, https:// and tftp:// lead to a server, over the firmware's NICs; any other is a
file of Linux. The application sees the device path of its file. HTTPS trusts the authority that the
image's configuration pins, or --ca, and nobody else.

Without --via, kexec is tried first; where the kernel refuses it (lockdown), the payload goes
through the mailbox instead, and a line says so. On a machine that was booted normally only
--via boot-next works: the file must lie on the ESP, and the machine reboots into it.
"""
EXAMPLES = r"""
pykexec exec '\EFI\debian\grubx64.efi'
pykexec exec --volume ESP '\EFI\Linux\rescue.efi' --options "quiet"
pykexec exec https://boot.example/os.efi --ca /tmp/ca.pem
pykexec exec /boot/efi/EFI/BOOT/BOOTX64.EFI --via boot-next  # on a machine booted normally
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = EPILOG
    parser.add_argument("path", metavar="PATH", help="the EFI application")
    parser.add_argument("--options", default="", metavar="STR", help="its load options")
    parser.add_argument(
        "--volume", metavar="NAME", help="GPT partition GUID, label or device path of PATH's volume"
    )
    parser.add_argument("--sha256", default="", metavar="HEX", help="what the file must have")
    parser.add_argument("--ca", metavar="FILE", help="PEM: who may vouch for an HTTPS server")
    parser.add_argument("--device-path", metavar="TEXT", help="say this is where it came from")
    parser.add_argument(
        "--on-failure",
        choices=ACTIONS,
        default="agent",
        metavar="ACTION",
        help=f"when it is refused or returns: {', '.join(ACTIONS)} (default: agent)",
    )
    parser.add_argument(
        "--via",
        choices=("kexec", "leave", "boot-next"),
        metavar="ROUTE",
        help="kexec, leave or boot-next, and no other",
    )
    parser.add_argument(
        "--load-only", action="store_true", help="stop before Linux ends (boot-next: no reboot)"
    )


def main(args: argparse.Namespace) -> int:
    """Start it; returns only with --load-only or when the machine is about to reboot."""
    if args.via == "boot-next":
        return _boot_next(args)
    if args.via == "leave" and args.load_only:
        from pykexec.errors import UsageError

        raise UsageError("--load-only: leaving has no load step of its own; use --via kexec")
    from pykexec.abi import Action
    from pykexec.firmware.wire import enum_member
    from pykexec.kexec.execute import exec_payload

    with _mailbox(args.path) as mailbox:
        exec_payload(
            mailbox,
            args.path,
            volume=args.volume,
            options=args.options,
            device_path=args.device_path,
            failure_action=Action(enum_member(Action, args.on_failure)),
            via=args.via,
            load_only=args.load_only,
            sha256=args.sha256,
            network=_network(args.ca) if "://" in args.path else None,
            report=lambda line: print(f"pykexec: {line}", file=sys.stderr, flush=True),
        )
    print(f"{args.path}: loaded; `kexec -e` or a reboot with kexec starts it")
    return 0


def _network(ca: str | None) -> NetworkConfig:
    """What the image's configuration says of the network, with the authority of --ca."""
    from dataclasses import replace

    from pykexec.config.agent import read_embedded, resolve_config

    network = resolve_config(read_embedded(), None).network
    if ca is None:
        return network
    with open(ca, encoding="ascii") as file:
        return replace(network, authorities=file.read())


def _mailbox(path: str) -> Mailbox:
    from pykexec.firmware.mailbox import Mailbox

    try:
        return Mailbox()
    except NotResidentError as error:
        fault = (
            f"cannot be started from here: {error.strerror}; "
            "`--via boot-next` starts it from the ESP with a reboot"
        )
        raise NotResidentError(error.errno or 0, fault, path) from None


def _boot_next(args: argparse.Namespace) -> int:
    import os
    import shutil

    from pykexec._native import lib
    from pykexec.errors import UsageError
    from pykexec.kexec.boot_next import boot_next
    from pykexec.run import run

    if args.volume or args.device_path:
        raise UsageError("--via boot-next: the file's own place on the ESP is its device path")
    number = boot_next(args.path, args.options)
    print(f"{args.path}: Boot{number:04X} starts it at the next boot", flush=True)
    if not args.load_only:
        if shutil.which("reboot"):
            run(["reboot"])
        else:  # An initramfs has no services to stop.
            os.sync()
            lib.pk_reboot(lib.LINUX_REBOOT_CMD_RESTART)
    return 0
