# SPDX-License-Identifier: Apache-2.0
"""Measures until the firmware's event log has no room, and once more; prints as JSON how that went.

events: how many were logged. full, again: the firmware's status then. before, after: size of the
log, and whether it says that it is full.
"""

import json
import os

from pykexec.abi_devices import TpmEventConstant
from pykexec.errors import FirmwareError
from pykexec.firmware.mailbox import Mailbox
from pykexec.firmware.measure import config_event, measure
from pykexec.firmware.status import status_name
from pykexec.tpm.transport import read_event_log

_EVENTS_MAX = 1024
_DATA_SIZE = 3500  # with its head the event is smaller than TpmEventConstant.MAX


def status(mailbox: Mailbox) -> str:
    """Of one more event."""
    try:
        measure(mailbox, TpmEventConstant.PCR_CONFIG, config_event(os.urandom(_DATA_SIZE)))
    except FirmwareError as error:
        return status_name(error.status)
    return "SUCCESS"


def log(mailbox: Mailbox) -> list[object]:
    """Its size, and what it says of itself."""
    found = read_event_log(mailbox)
    return [len(found.data), found.truncated]


with Mailbox() as mailbox:
    before, events = log(mailbox), 0
    while (full := status(mailbox)) == "SUCCESS" and events < _EVENTS_MAX:
        events += 1
    print(
        json.dumps(
            {
                "before": before,
                "events": events,
                "full": full,
                "again": status(mailbox),
                "after": log(mailbox),
            }
        )
    )
