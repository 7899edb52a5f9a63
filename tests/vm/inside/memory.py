# SPDX-License-Identifier: Apache-2.0
"""Print who owns the machine's memory: the firmware's map, our ranges in it, its page tables."""

import json

from pykexec.firmware.handoff import parse_handoff, read_handoff_bytes
from pykexec.firmware.info import read_memory_map
from pykexec.firmware.mailbox import Mailbox
from pykexec.firmware.snapshot import verify_firmware

with Mailbox() as mailbox:
    handoff = parse_handoff(read_handoff_bytes(mailbox), "handoff")
    rows = read_memory_map(mailbox)
    items = verify_firmware(mailbox).items
ours = {name: getattr(handoff, name) for name in ("arena", "low", "stub", "window")}
print(
    json.dumps(
        {
            "map": [[row.range.start, row.range.end, row.type] for row in rows],
            "ours": {name: [range_.start, range_.end] for name, range_ in ours.items()},
            "cr3": next(item.before for item in items if item.name == "cr3"),
        },
        separators=(",", ":"),
    )
)
