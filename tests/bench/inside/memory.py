# SPDX-License-Identifier: Apache-2.0
"""Prints as JSON what Linux and the stub use of the machine's memory, in bytes."""

import json

from pykexec.firmware.handoff import read_handoff
from pykexec.firmware.info import read_info
from pykexec.firmware.mailbox import Mailbox

KIB = 1024


def meminfo(name: str) -> int:
    """A row of /proc/meminfo."""
    with open("/proc/meminfo", encoding="ascii") as file:
        rows = dict(line.split(":") for line in file)
    return int(rows[name].split()[0]) * KIB


with Mailbox() as box:
    info, handoff = read_info(box), read_handoff(box)

print(
    json.dumps(
        {
            "arena": handoff.arena.size,
            "arena_peak_before_exit_boot_services": info.arena_peak,
            "stub_resident": handoff.stub.size,
            "linux_total": meminfo("MemTotal"),
            "linux_used": meminfo("MemTotal") - meminfo("MemAvailable"),
        }
    )
)
