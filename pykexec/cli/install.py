# SPDX-License-Identifier: Apache-2.0
"""pykexec install: put our own image onto the EFI system partition, update it, take it back."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from pykexec.errors import FormatError, UsageError

if TYPE_CHECKING:
    from pykexec.install.change import Machine
    from pykexec.install.image import Identity

HELP = "put our own image onto the EFI system partition, with two slots and a way back"
EPILOG = """\
An image is looked at before anything is written: whole, ours, signed by --cert where that is given
and under Secure Boot by whom the firmware trusts; an update must not be older than what is in use
(pykexec, Linux, SBAT generations). It goes into the slot that is not in use, and BootNext names it
once. It is promoted when its payload is about to start, attested if so configured; whatever else
happens, the next start is the one before, and --status and the server are told why.
"""
EXAMPLES = """\
pykexec install pykexec.efi
pykexec install pykexec.efi --order last --fallback --esp /boot/efi
pykexec install --update pykexec-2.efi --cert db.pem --reboot
pykexec install --status --json
pykexec install --rollback
pykexec install --promote  # an image on trial that has no payload
pykexec install --remove
"""
_ACTIONS = {
    "update": "put IMAGE into the other slot, to be tried once",
    "status": "say what is installed, on trial, given up",
    "rollback": "boot the image before from now on, or call a trial off",
    "promote": "have the image that is on trial boot from now on",
    "remove": "take files, boot options and the rest away",
}
_IMAGE_MAX = 1 << 30


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = EPILOG
    parser.add_argument("image", nargs="?", metavar="IMAGE", help="what `pykexec build` has made")
    actions = parser.add_mutually_exclusive_group()
    for name, words in _ACTIONS.items():
        actions.add_argument(f"--{name}", action="store_true", help=words)
    parser.add_argument(
        "--esp", metavar="DIR", help="where the EFI system partition is mounted (default: found)"
    )
    parser.add_argument(
        "--order",
        choices=("first", "last", "trial", "none"),
        help="of a first installation in BootOrder (default: first); trial: tried once, and first "
        "if that goes well",
    )
    parser.add_argument(
        "--fallback", action="store_true", help=r"a copy as \EFI\BOOT\BOOTX64.EFI, if that is free"
    )
    parser.add_argument("--cert", metavar="FILE", help="PEM or DER: one of these has signed IMAGE")
    parser.add_argument("--sha256", default="", metavar="HEX", help="what IMAGE must have")
    parser.add_argument(
        "--force", action="store_true", help="an older image; another's fallback; the last one"
    )
    parser.add_argument("--reboot", action="store_true", help="reboot into the trial now")
    parser.add_argument("--json", action="store_true", help="of --status: for machines")


def main(args: argparse.Namespace) -> int:
    """Do it; nothing is changed where it is refused."""
    from pykexec.install import change
    from pykexec.install.machine import find_machine
    from pykexec.install.trial import promote

    _check(args)
    data, identity = _read(args) if args.image else (b"", None)
    machine = find_machine(args.esp, print)
    if args.status:
        _status(machine, args.json)
    elif args.rollback:
        change.rollback(machine)
    elif args.remove:
        change.remove(machine, force=args.force)
    elif args.promote:
        slots = machine.known()
        if slots.trial is None:
            raise UsageError("--promote: nothing is on trial")
        promote(machine.nvram, slots, slots.trial)
        print(f"{slots.trial}: boots from now on")
    else:
        assert identity is not None
        if args.update:
            change.update(machine, data, identity, force=args.force)
        else:
            place = args.order or "first"
            change.install(machine, data, identity, place, fallback=args.fallback, force=args.force)
        if args.reboot:
            from pykexec.kexec.boot_next import reboot

            reboot()
    return 0


def _check(args: argparse.Namespace) -> None:
    acts = next(
        (name for name in ("status", "rollback", "promote", "remove") if vars(args)[name]), ""
    )
    if acts and args.image is not None:
        raise UsageError(f"--{acts}: takes no IMAGE")
    if not acts and args.image is None:
        raise UsageError("IMAGE: missing")
    for name in ("order", "fallback"):
        if getattr(args, name) and (acts or args.update):
            raise UsageError(f"--{name}: is for a first installation")
    for name in ("cert", "sha256", "reboot"):
        if getattr(args, name) and acts:
            raise UsageError(f"--{name}: needs an IMAGE")
    if args.json and not args.status:
        raise UsageError("--json: needs --status")


def _read(args: argparse.Namespace) -> tuple[bytes, Identity]:
    """The image, looked at; FormatError names what is amiss."""
    from pykexec.efi.secure_boot import read_trust
    from pykexec.install.image import check_signatures, identify, read_certificates
    from pykexec.kexec.request import linux_chunks

    data = b"".join(linux_chunks(args.image, _IMAGE_MAX))
    identity = identify(data, args.image)
    if args.sha256 and args.sha256.lower() != identity.sha256:
        raise FormatError(f"{args.image}: its SHA-256 is {identity.sha256}, not {args.sha256}")
    certificates: tuple[bytes, ...] = ()
    if args.cert:
        certificates = read_certificates(b"".join(linux_chunks(args.cert, 1 << 20)), args.cert)
    if not check_signatures(data, args.image, certificates, read_trust(by_shim=False)):
        print(f"{args.image}: nobody vouches for it: Secure Boot is off, and there is no --cert")
    return data, identity


def _status(machine: Machine, as_json: bool) -> None:
    from pykexec.install.status import status_lines, status_values

    if as_json:
        from pykexec.cli.output import print_json

        print_json(status_values(machine))
    else:
        print("\n".join(status_lines(machine)))
