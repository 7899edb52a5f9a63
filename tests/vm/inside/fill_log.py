# SPDX-License-Identifier: Apache-2.0
"""Measures until the firmware's event log takes no more; prints as JSON how that went.

before, after: size of the log, and whether it says that it is full. logged: how many events it took
with EFI_SUCCESS, and how many although the firmware said EFI_VOLUME_FULL: EDK II has a table of
later events beside the log, which is full first. last: the firmware's status at the end.
"""

import json
import os

from pykexec.abi_devices import TpmEventConstant
from pykexec.errors import FirmwareError
from pykexec.firmware.mailbox import Mailbox
from pykexec.firmware.measure import config_event, measure
from pykexec.firmware.status import status_name
from pykexec.tpm.transport import read_event_log

_EVENTS_MAX = 256
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
    before = after = log(mailbox)
    logged = {"SUCCESS": 0, "VOLUME_FULL": 0}
    for _ in range(_EVENTS_MAX):
        last, size = status(mailbox), after[0]
        after = log(mailbox)
        if after[0] == size:
            break
        logged[last] += 1
    print(json.dumps({"before": before, "after": after, "logged": logged, "last": last}))
