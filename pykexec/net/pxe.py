# SPDX-License-Identifier: Apache-2.0
"""What the firmware's PXE boot left behind: flags and the packets of its DHCP exchange."""

from __future__ import annotations

import errno

from pykexec.abi import Op, Struct
from pykexec.errors import FirmwareError
from pykexec.firmware.devices import handle_request
from pykexec.firmware.mailbox import Mailbox
from pykexec.firmware.wire import unpack


def read_pxe(mailbox: Mailbox, handle: int) -> Struct | None:
    """What PXE left on the NIC with that handle (struct pk_net_pxe); None if nothing."""
    what = f"PXE of network device {handle}"
    try:
        return unpack("pk_net_pxe", mailbox.ask(handle_request(Op.NET_PXE, what, handle)), 0, what)
    except FirmwareError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
