# SPDX-License-Identifier: Apache-2.0
"""Prints as JSON how the last Linux ended and whether the firmware is the same, in one process."""

import json

from pykexec.cli.output import to_plain
from pykexec.firmware.info import read_info
from pykexec.firmware.mailbox import Mailbox
from pykexec.firmware.snapshot import verify_firmware

with Mailbox() as mailbox:
    report = verify_firmware(mailbox)
    answer = {
        "outcome": to_plain(read_info(mailbox).outcome),
        "differences": to_plain(report.differences),
        "handoff_fault": report.handoff_fault,
    }
print(json.dumps(answer))
