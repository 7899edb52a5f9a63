# SPDX-License-Identifier: Apache-2.0
"""pykexec bridge: the firmware's disks, network and TPM as Linux devices."""

from __future__ import annotations

import argparse

from pykexec.config.bridges import KINDS

HELP = "start, stop or list the bridges that make the firmware's devices Linux' own"
EXAMPLES = """\
pykexec bridge status
pykexec bridge start block tpm
pykexec bridge stop net
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("do", choices=("start", "stop", "status"), help="what to do")
    parser.add_argument("kind", nargs="*", metavar="KIND", help="block, net, tpm (default: all)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def main(args: argparse.Namespace) -> int:
    """Do it and list the bridges; 8 when one of those that were meant has failed to do it."""
    from pykexec.bridge import FAILED, NATIVE, supervisor
    from pykexec.cli.output import print_json
    from pykexec.errors import UsageError
    from pykexec.firmware.mailbox import Mailbox
    from pykexec.firmware.notice import look_at_ports

    unknown = set(args.kind) - set(KINDS)
    if unknown:
        raise UsageError(f"{', '.join(sorted(unknown))}: not one of {', '.join(KINDS)}")
    if args.do == "start":
        with Mailbox() as mailbox:  # Says why this machine has no such devices.
            look_at_ports(mailbox)
        rows = supervisor.ensure(*args.kind)
    elif args.do == "stop":
        rows = supervisor.stop(*args.kind)
    else:
        rows = supervisor.status()
    if args.json:
        print_json(rows)
    else:
        for row in rows:
            what = row["fault"] if row["state"] == FAILED else row.get("node", "")
            what += f" native, by {row['driver']}" if row.get("by") == NATIVE else ""
            print(f"{row['name']:20} {row['state']:9} handle {row['handle']:<4} {what}")
        if args.do == "start":
            print("\n".join(supervisor.missing(rows, args.kind or KINDS)))
    meant = [row for row in rows if row["kind"] in (args.kind or KINDS)]
    failed = args.do != "status" and any(row["state"] == FAILED for row in meant)
    return 8 if failed else 0
