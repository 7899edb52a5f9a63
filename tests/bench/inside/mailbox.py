# SPDX-License-Identifier: Apache-2.0
"""Prints as JSON how many requests the mailbox serves in a second, one by one and in batches."""

import json
import time

from pykexec.abi import Limit, Op
from pykexec.firmware.info import read_info
from pykexec.firmware.mailbox import Mailbox, Request

NR_CALLS = 2000
NR_BATCHES = 8
# The cheapest request: a copy of a struct, no firmware service.
REQUEST = Request(Op.HANDOFF, "bench")

with Mailbox() as box:
    switches = read_info(box).nr_switches
    start = time.monotonic()
    for _ in range(NR_CALLS):
        box.ask(REQUEST)
    single_s = time.monotonic() - start
    switches = read_info(box).nr_switches - switches
    batch = [REQUEST] * Limit.BATCH_MAX
    start = time.monotonic()
    for _ in range(NR_BATCHES):
        box.call(batch)
    batch_s = time.monotonic() - start

print(
    json.dumps(
        {
            "calls_per_s": NR_CALLS / single_s,
            "switches_per_call": switches / (NR_CALLS + 1),
            "batched_requests_per_s": NR_BATCHES * Limit.BATCH_MAX / batch_s,
        }
    )
)
