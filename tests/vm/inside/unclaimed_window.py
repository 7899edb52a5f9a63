# SPDX-License-Identifier: Apache-2.0
"""What is left of a window that PID 1 has said to be memory, and what root can say of it."""

import json

from pykexec.abi import Op, pack
from pykexec.abi_devices import WindowUse
from pykexec.bridge.window import find_window, open_port
from pykexec.firmware.mailbox import Mailbox, Request
from pykexec.firmware.status import status_name


def tell(mailbox: Mailbox, use: WindowUse) -> str:
    """The status that saying so is answered with."""
    body = pack("struct pk_window_request", cookie=1, use=use)
    (reply,) = mailbox.call([Request(Op.WINDOW, "window", body)])
    return status_name(reply.status)


with Mailbox() as mailbox, open_port(4096) as port:
    print(
        json.dumps(
            {
                "device": find_window(),
                "by": "window" if port.is_window else "mailbox",
                "claimed": tell(mailbox, WindowUse.SET_ASIDE),
                "said again": tell(mailbox, WindowUse.IS_MEMORY),
            }
        )
    )
