# SPDX-License-Identifier: Apache-2.0
"""What the agent says at its start."""

from __future__ import annotations

from pykexec.firmware.handoff import Handoff
from pykexec.firmware.info import Outcome
from pykexec.guest.summary import payload_memory_line
from pykexec.memory import MemoryDescriptor, MemoryMap, Range

MIB = 1 << 20
FREE, LOADER = 7, 1


def test_a_payload_has_linuxs_memory_too_where_none_follows() -> None:
    rows = [(0, 300, FREE), (300, 556, LOADER), (556, 600, FREE), (600, 616, LOADER)]
    memory = MemoryMap(
        tuple(MemoryDescriptor(Range(a * MIB, b * MIB), type_, 0) for a, b, type_ in rows)
    )
    arena, window = Range(300 * MIB, 556 * MIB), Range(600 * MIB, 616 * MIB)
    nothing = Range(0, 0)
    handoff = Handoff(0, nothing, arena, nothing, window, 0, 0, 0, Outcome(0, "", 0, ""), ())
    assert payload_memory_line(memory, handoff) == (
        "memory for a payload: 344 MiB, 300 MiB in one piece; "
        "where Linux does not come again: 616 MiB, 616 MiB in one piece"
    )
