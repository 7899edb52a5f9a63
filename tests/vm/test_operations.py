# SPDX-License-Identifier: Apache-2.0
"""What the table of operations refuses, the stub refuses, by mailbox and by window."""

from __future__ import annotations

from pathlib import Path

from pykexec.abi import Op
from pykexec.abi_operations import OPERATIONS, Carrier
from pykexec.vm.ovmf import firmware
from tests.vm.boot import Boot
from tests.vm.guest import HELLO_PATH, Guest, machine_with
from tests.vm.images import image

NOT_BROUGHT = {
    carrier: {op.name for op in Op}
    - {line.op.name for line in OPERATIONS if carrier in line.carriers}
    for carrier in Carrier
}


def test_every_line_is_kept_to_by_mailbox_and_window(boot: Boot, tmp_path: Path) -> None:
    guest = Guest(boot(machine_with(tmp_path, firmware(), image()))).ready()
    found = guest.script("operations", within=120)
    assert found["is_window"]

    with_body = {
        line.op.name for line in OPERATIONS if Carrier.MAILBOX in line.carriers and line.smallest
    }
    assert {name.partition(" ")[0] for name in found["too_short"]} == with_body
    assert set(found["too_short"].values()) == {"INVALID_PARAMETER"}

    for carrier in (Carrier.MAILBOX, Carrier.WINDOW, Carrier.TRANSFER):
        statuses = found["forbidden"][str(carrier.name).lower()]
        assert NOT_BROUGHT[carrier] <= statuses.keys()
        assert len(statuses) > len(NOT_BROUGHT[carrier])
        assert set(statuses.values()) == {"UNSUPPORTED"}, statuses

    # Nobody left, nothing was written, and what is allowed still is.
    assert "the firmware is the same" in guest.ok("pykexec verify-firmware")
    guest.send(f"pykexec exec '{HELLO_PATH}' --options refused")
    guest.payload_ran("refused")
