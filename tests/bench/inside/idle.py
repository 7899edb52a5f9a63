# SPDX-License-Identifier: Apache-2.0
"""Prints as JSON what processors and bridges' processes do in so many seconds of nothing."""

import json
import os
import sys
import time

from pykexec.bridge import supervisor
from pykexec.firmware.info import read_info
from pykexec.firmware.mailbox import Mailbox

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
CLOCK = "/sys/devices/system/clocksource/clocksource0/current_clocksource"


def processor() -> tuple[int, int]:
    """Ticks that all took, and those of them that were idle."""
    with open("/proc/stat", encoding="ascii") as file:
        ticks = [int(word) for word in file.readline().split()[1:9]]
    return sum(ticks), ticks[3] + ticks[4]


def spent(pid: int) -> int:
    """Ticks of a process."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def parent(pid: int) -> int:
    """The process that started this one."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return int(file.read().rsplit(")", 1)[1].split()[1])


bridges = {row["name"]: int(row["pid"]) for row in supervisor.status() if "pid" in row}
if bridges:
    bridges["supervisor"] = parent(next(iter(bridges.values())))
with Mailbox() as box:
    tsc_khz, switches = read_info(box).tsc_khz, read_info(box).nr_switches
    before = {name: spent(pid) for name, pid in bridges.items()}
    all_before, idle_before = processor()
    time.sleep(float(sys.argv[1]))
    all_after, idle_after = processor()
    after = {name: spent(pid) for name, pid in bridges.items()}
    switches = read_info(box).nr_switches - switches

passed = (all_after - all_before) / TICKS_A_SECOND
with open(CLOCK, encoding="ascii") as clock:
    print(
        json.dumps(
            {
                "seconds": passed,
                "busy": 1 - (idle_after - idle_before) / (all_after - all_before),
                "bridges": {
                    name: (after[name] - before[name]) / TICKS_A_SECOND / passed for name in bridges
                },
                "switches_per_s": switches / passed,
                "tsc_khz": tsc_khz,
                "clocksource": clock.read().strip(),
            }
        )
    )
