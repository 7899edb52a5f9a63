# SPDX-License-Identifier: Apache-2.0
"""What the table of operations refuses, the stub refuses, by mailbox and by window."""

from __future__ import annotations

from pykexec.abi import Op
from pykexec.abi_operations import OPERATIONS, Carrier
from pykexec.vm.ovmf import firmware
from tests.vm.guest import HELLO_PATH
from tests.vm.images import image
from tests.vm.snapshots import AgentReady

NOT_BROUGHT = {
    carrier: {op.name for op in Op}
    - {line.op.name for line in OPERATIONS if carrier in line.carriers}
    for carrier in Carrier
}


def test_every_line_is_kept_to_by_mailbox_and_window(agent_ready: AgentReady) -> None:
    guest = agent_ready(image(), firmware())
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
    assert guest.firmware_is_the_same()
    guest.send(f"pykexec exec '{HELLO_PATH}' --options refused")
    guest.payload_ran("refused")
