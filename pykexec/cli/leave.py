# SPDX-License-Identifier: Apache-2.0
"""pykexec leave: give the machine back to the firmware."""

from __future__ import annotations

import argparse

from pykexec.config.keys import ACTIONS

HELP = "end Linux and return to the firmware, without kexec"
EXAMPLES = """\
pykexec leave
pykexec leave --action boot-next
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "--action",
        choices=ACTIONS,
        default="firmware",
        metavar="ACTION",
        help="agent (start Linux again), firmware (its menu), boot-next (its next boot entry), "
        "reset, shell (Linux again, into its shell); default: firmware",
    )


def main(args: argparse.Namespace) -> int:
    """Leave; does not return unless the firmware refuses."""
    from pykexec.abi import Action
    from pykexec.firmware.mailbox import Mailbox
    from pykexec.firmware.wire import enum_member
    from pykexec.kexec.leave import leave

    with Mailbox() as mailbox:
        leave(mailbox, Action(enum_member(Action, args.action)))
