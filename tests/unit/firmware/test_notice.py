# SPDX-License-Identifier: Apache-2.0
"""The firmware is given time for its ports, as much as it takes and no more."""

from __future__ import annotations

import struct

import pytest

from pykexec.abi import Op, pack
from pykexec.firmware.mailbox import Mailbox, Request
from pykexec.firmware.notice import look_at_ports
from tests.unit.firmware.test_firmware import handle_entry


class Firmware(Mailbox):
    """A firmware whose timer ticks so often in each piece of time."""

    def __init__(self, protocols: list[str], nr_ticks: int) -> None:
        self.protocols, self.nr_ticks, self.nr_pieces = protocols, nr_ticks, 0

    def ask(self, request: Request) -> bytes:
        """Its only handle, or what became of a piece of time."""
        if request.op == Op.HANDLES:
            return struct.pack("<II", 1, 1) + handle_entry(3, self.protocols, "")
        assert request.op == Op.SELF_TEST
        self.nr_pieces += 1
        return pack("struct pk_self_test_reply", nr_ticks=self.nr_ticks)


@pytest.mark.parametrize(
    ("protocols", "nr_ticks", "nr_pieces"),
    [(["usb2_hc"], 4, 33), (["usb2_hc"], 1, 100), (["usb2_hc"], 0, 100), (["pci_io"], 4, 0)],
)
def test_ports_are_given_more_than_a_second(
    protocols: list[str], nr_ticks: int, nr_pieces: int
) -> None:
    mailbox = Firmware(protocols, nr_ticks)
    look_at_ports(mailbox)
    assert mailbox.nr_pieces == nr_pieces
