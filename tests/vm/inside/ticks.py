# SPDX-License-Identifier: Apache-2.0
"""Print what the gate's self-test finds: does the firmware's timer tick, what was drained."""

import json

from pykexec.firmware.mailbox import Mailbox
from pykexec.firmware.self_test import self_test

with Mailbox() as mailbox:
    found = self_test(mailbox)
print(json.dumps({"ticks": found.nr_ticks, "drained": found.nr_drained}))
