# SPDX-License-Identifier: Apache-2.0
"""Does the firmware's timer still run while Linux does? Measured through the gate."""

from __future__ import annotations

from dataclasses import dataclass

from pykexec.abi import Op
from pykexec.firmware.mailbox import Mailbox, Request
from pykexec.firmware.wire import pack, unpack


@dataclass(frozen=True, slots=True)
class SelfTest:
    """Firmware timer ticks during a Stall, and what the gate counted meanwhile."""

    nr_ticks: int
    nr_switches: int
    nr_stale_eois: int
    nr_drained: int


def self_test(mailbox: Mailbox, period_us: int = 50_000, duration_us: int = 1_000_000) -> SelfTest:
    """Count the ticks of a firmware timer event during a Stall."""
    body = pack("pk_self_test_request", period_us=period_us, duration_us=duration_us)
    answer = mailbox.ask(Request(Op.SELF_TEST, "self-test", body))
    raw = unpack("pk_self_test_reply", answer, 0, "self-test")
    return SelfTest(raw.nr_ticks, raw.nr_switches, raw.nr_stale_eois, raw.nr_drained)
