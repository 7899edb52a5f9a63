# SPDX-License-Identifier: Apache-2.0
"""pykexec status: is this Linux under live boot services, and whose."""

from __future__ import annotations

import argparse
import os

HELP = "say whether this Linux runs under live boot services, and whose (exit code 0 either way)"
EXAMPLES = """\
pykexec status
pykexec status --json
pykexec status --save-handoff /tmp/handoff.bin
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--save-handoff", metavar="FILE", help="write the handoff to FILE, for `pykexec inspect`"
    )


def main(args: argparse.Namespace) -> int:
    """Print the status; 0 on any machine, resident or not."""
    from pykexec.about import version
    from pykexec.cli.output import print_json
    from pykexec.errors import NotResidentError
    from pykexec.firmware.handoff import parse_handoff, read_handoff_bytes
    from pykexec.firmware.info import read_info
    from pykexec.firmware.mailbox import Mailbox

    kernel = os.uname().release
    try:
        with Mailbox() as mailbox:
            info, raw = read_info(mailbox), read_handoff_bytes(mailbox)
    except NotResidentError as error:
        if args.json:
            print_json(
                {
                    "resident": False,
                    "reason": error.strerror,
                    "pykexec": version(),
                    "kernel": kernel,
                }
            )
        else:
            print(f"not under live boot services: {error.strerror}")
            print(f"pykexec: {version()}")
        return 0
    handoff = parse_handoff(raw, "handoff")
    if args.save_handoff:
        with open(args.save_handoff, "wb") as file:
            file.write(raw)
    from pykexec.bridge.relation import ways
    from pykexec.bridge.state import records
    from pykexec.firmware import native
    from pykexec.kexec.native import takes_applications
    from pykexec.linux.lockdown import read_level

    devices, native_exec = ways(records(), native.devices()), takes_applications()
    if args.json:
        print_json(
            {
                "resident": True,
                "pykexec": version(),
                "kernel": kernel,
                "lockdown": read_level(),
                "firmware": info,
                "handoff": handoff,
                "devices": devices,
                "exec": "native" if native_exec else "resume image",
            }
        )
        return 0
    from pykexec.guest.summary import status_lines

    print("\n".join(status_lines(info, handoff, devices, native_exec)))
    return 0
