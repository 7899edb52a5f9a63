# SPDX-License-Identifier: Apache-2.0
"""What LoadImage is going to refuse under Secure Boot, said while Linux is still there."""

from __future__ import annotations

import os
from collections.abc import Iterator

from pykexec.efi.secure_boot import read_trust, refusals
from pykexec.firmware.handles import list_handles
from pykexec.firmware.mailbox import Mailbox
from pykexec.kexec.request import Payload


def foreseen(mailbox: Mailbox, payload: Payload) -> Iterator[str]:
    """A line for each reason, none where nothing is amiss or Secure Boot is off.

    Nothing follows from it: the firmware decides, and some take more than the specification says.
    """
    by_shim = bool(list_handles(mailbox, "shim_image_loader"))
    trust = read_trust(by_shim)
    if trust is None:
        return
    data = os.pread(payload.fd, payload.size, 0)
    who = "shim" if by_shim else "the firmware"
    for line in refusals(data, payload.source, trust):
        yield f"{payload.source}: {who} is going to refuse it: {line}"
