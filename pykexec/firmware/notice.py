# SPDX-License-Identifier: Apache-2.0
"""Time for the firmware to see what came and went on its own.

Its USB drivers look at the ports by a timer event, once in a second of the firmware's time, which
passes only while it is asked for something.
"""

from __future__ import annotations

from pykexec.firmware.handles import list_handles
from pykexec.firmware.mailbox import Mailbox
from pykexec.firmware.self_test import self_test

USB_HOST = "usb2_hc"
_TICK_US, _STEP_US, _ENOUGH_US, _STEPS = 10_000, 40_000, 1_300_000, 100


def let_firmware_notice(mailbox: Mailbox) -> None:
    """Have more than a second of the firmware's time pass, in pieces that Linux hardly feels.

    What is typed on a serial port meanwhile may be the firmware's: only when somebody asks, or
    when something is wrong.
    """
    nr_ticks = 0
    for _ in range(_STEPS):
        nr_ticks += self_test(mailbox, _TICK_US, _STEP_US).nr_ticks
        if nr_ticks * _TICK_US >= _ENOUGH_US:
            break


def look_at_ports(mailbox: Mailbox) -> None:
    """The same, where there are USB ports."""
    if list_handles(mailbox, USB_HOST):
        let_firmware_notice(mailbox)
