# SPDX-License-Identifier: Apache-2.0
"""pykexec exec: start an EFI application in place of Linux."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from pykexec.config.keys import ACTIONS, BCD, SDI
from pykexec.errors import NotResidentError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from pykexec.config.agent import NetworkConfig
    from pykexec.config.wim import WimConfig
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

With --wim, PATH is the boot manager of an installer or of WinPE, bootmgfw.efi. It is started from a
disk in the firmware's memory on which it finds boot.wim and what belongs to that. Files that are
not named lie beside PATH as boot.sdi and BCD, and a name without a slash does, too.
"""
EXAMPLES = r"""
pykexec exec '\EFI\debian\grubx64.efi'
pykexec exec --volume ESP '\EFI\Linux\rescue.efi' --options "quiet"
pykexec exec https://boot.example/os.efi --ca /tmp/ca.pem
pykexec exec https://boot.example/winpe/bootmgfw.efi --wim boot.wim --stl boot.stl
pykexec exec '\EFI\pykexec\xen.efi' --launch
pykexec exec /boot/efi/EFI/BOOT/BOOTX64.EFI --via boot-next  # on a machine booted normally
"""
_WIM_FILES = {
    "wim": "boot.wim: start PATH from a disk in memory with it",
    "sdi": f"the RAM disk that goes with it (default: {SDI.default})",
    "bcd": f"the boot configuration that names it (default: {BCD.default})",
    "stl": "boot.stl, which WinPE 24H2 and later want (default: none)",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = EPILOG
    parser.add_argument("path", metavar="PATH", help="the EFI application")
    parser.add_argument("--options", default="", metavar="STR", help="its load options")
    parser.add_argument(
        "--volume", metavar="NAME", help="GPT partition GUID, label or device path of PATH's volume"
    )
    parser.add_argument("--sha256", default="", metavar="HEX", help="what the file must have")
    parser.add_argument(
        "--launch",
        action="store_true",
        help="PATH is a verified launch: refuse anything but a unified xen.efi without options",
    )
    for name, words in _WIM_FILES.items():
        parser.add_argument(f"--{name}", default="", metavar="FILE", help=words)
        parser.add_argument(
            f"--{name}-sha256",
            default="",
            metavar="HEX",
            help=f"what the file of --{name} must have",
        )
    parser.add_argument("--ca", metavar="FILE", help="PEM: who may vouch for an HTTPS server")
    parser.add_argument("--device-path", metavar="TEXT", help="say this is where it came from")
    parser.add_argument(
        "--on-failure",
        choices=ACTIONS,
        default="agent",
        metavar="ACTION",
        help=f"when it is refused or returns: {', '.join(ACTIONS)} (default: agent). Where that "
        "starts no Linux again, the payload has Linux' memory, too",
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

    wim = _wim(args)
    if wim and args.launch:
        from pykexec.errors import UsageError

        raise UsageError("--launch: a launch is no boot manager of Windows', as --wim wants")
    with _mailbox(args.path) as mailbox, _place(mailbox, args, wim) as (path, volume):
        exec_payload(
            mailbox,
            path,
            volume=volume,
            options=args.options,
            device_path=args.device_path,
            failure_action=Action(enum_member(Action, args.on_failure)),
            via=args.via,
            load_only=args.load_only,
            sha256=args.sha256,
            network=_network(args.ca) if "://" in path else None,
            is_launch=args.launch,
            report=_report,
        )
    print(f"{args.path}: loaded; `kexec -e` or a reboot with kexec starts it")
    return 0


def _report(line: str) -> None:
    print(f"pykexec: {line}", file=sys.stderr, flush=True)


def _wim(args: argparse.Namespace) -> WimConfig | None:
    """The files that go with --wim, if it is there."""
    from pykexec.config.wim import WimConfig, WimPart
    from pykexec.errors import UsageError

    given = {name: str(getattr(args, name)) for name in _WIM_FILES}
    digests = {name: str(getattr(args, f"{name}_sha256")) for name in _WIM_FILES}
    if not args.wim:
        options = [*given.items(), *((f"{name}-sha256", text) for name, text in digests.items())]
        for name, text in options:
            if text:
                raise UsageError(f"--{name}: needs --wim")
        return None
    if args.device_path:
        raise UsageError("--device-path: with --wim the boot manager comes from its own disk")
    if digests["stl"] and not given["stl"]:
        raise UsageError("--stl-sha256: needs --stl")
    given["sdi"], given["bcd"] = given["sdi"] or SDI.default, given["bcd"] or BCD.default
    wim, sdi, bcd, stl = (WimPart(given[name], digests[name]) for name in _WIM_FILES)
    return WimConfig(wim, sdi, bcd, stl if stl.source else None)


def _place(
    mailbox: Mailbox, args: argparse.Namespace, wim: WimConfig | None
) -> AbstractContextManager[tuple[str, str | None]]:
    """Path and volume of what is to be started."""
    from contextlib import nullcontext

    if wim is None:
        return nullcontext((args.path, args.volume))
    from pykexec.windows.winpe import installer_disk

    return installer_disk(
        mailbox,
        args.path,
        wim,
        volume=args.volume,
        sha256=args.sha256,
        network=_network(args.ca),
        report=_report,
    )


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
    from pykexec.errors import UsageError
    from pykexec.kexec.boot_next import boot_next, reboot

    if args.launch:
        raise UsageError("--launch: --via boot-next is the firmware's start, without our image")
    if args.wim:
        raise UsageError("--wim: --via boot-next starts files of the ESP, and none in memory")
    if args.volume or args.device_path:
        raise UsageError("--via boot-next: the file's own place on the ESP is its device path")
    number = boot_next(args.path, args.options)
    print(f"{args.path}: Boot{number:04X} starts it at the next boot", flush=True)
    if not args.load_only:
        reboot()
    return 0
