# SPDX-License-Identifier: Apache-2.0
"""Say so, be in the firmware for eight seconds, and print as JSON how often its timer ticked."""

import json

from pykexec.firmware.mailbox import Mailbox
from pykexec.firmware.self_test import self_test
from pykexec.log import drain_console

with Mailbox() as mailbox:
    print("in the firmware now", flush=True)
    drain_console()  # Linux polls the port, and does not in the firmware's turn.
    print(json.dumps({"ticks": self_test(mailbox, duration_us=8_000_000).nr_ticks}))
