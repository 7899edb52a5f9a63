# SPDX-License-Identifier: Apache-2.0
"""Prints as JSON: ticks of firmware timer events in a second, and of Linux' own clock."""

import json
import time

from pykexec.firmware.mailbox import Mailbox
from pykexec.firmware.self_test import self_test


def local_timer_interrupts() -> int:
    """How often the local APIC's timer has interrupted Linux."""
    with open("/proc/interrupts", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.lstrip().startswith("LOC:"))


with Mailbox() as mailbox:
    test = self_test(mailbox)
before = local_timer_interrupts()
started = time.monotonic()
while time.monotonic() - started < 0.5:
    pass  # Idle, the kernel would stop its tick.
answer = {
    "firmware_ticks": test.nr_ticks,
    "nr_switches": test.nr_switches,
    "nr_drained": test.nr_drained,
    "linux_ticks": local_timer_interrupts() - before,
}
print(json.dumps(answer))
