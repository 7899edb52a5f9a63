# SPDX-License-Identifier: Apache-2.0
"""The firmware's memory, seen from outside: what Linux must not and the firmware may change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pykexec.abi import MemoryType
from pykexec.memory import Range
from pykexec.vm.ovmf import Firmware
from pykexec.vm.vm import Vm
from tests.vm.boot import Boot
from tests.vm.guest import HELLO_PATH, Guest, machine_with
from tests.vm.images import image
from tests.vm.memory_audit import PAGE, Owner, audit, changed_pages, page_table_pages

MEMORY_MIB = 640
BUSY = "dd if=/dev/urandom of=/tmp/x bs=1M count=80 && md5sum /tmp/x"


def snapshot(vm: Vm) -> bytes:
    """All RAM, read while the machine stands still."""
    vm.stop()
    memory = vm.read_memory(0, MEMORY_MIB << 20)
    vm.cont()
    return memory


def owners(found: Any) -> list[Owner]:
    """Ours first: they lie inside descriptors of the firmware's map."""
    ours = [Owner(Range(*limits), -1, name) for name, limits in found["ours"].items()]
    return ours + [Owner(Range(start, end), type_) for start, end, type_ in found["map"]]


def linux_pages(found: Any) -> list[Range]:
    """What Linux may write to."""
    return [Range(*found["ours"][name]) for name in ("arena", "low")]


def test_every_page_of_the_firmware_that_changes_has_a_reason(
    boot: Boot, tmp_path: Path, firmware: Firmware
) -> None:
    # Bridges are there to change the firmware's memory: drivers' queues, the window.
    alone = image(config="[agent]\nbridges = []")
    machine = machine_with(
        tmp_path, firmware, alone, memory_mib=MEMORY_MIB, memory_file=True, tpm="tis"
    )
    guest = Guest(boot(machine)).ready()
    found = guest.script("memory")

    # Linux alone, as busy as it can be, changes nothing outside of its arena.
    before = snapshot(guest.vm)
    guest.ok(BUSY, within=120)
    busy = snapshot(guest.vm)
    own = linux_pages(found)
    changed = list(changed_pages(before, busy))
    assert any(own[0].start <= page < own[0].end for page in changed)
    assert [hex(page) for page in changed if not any(r.start <= page < r.end for r in own)] == []

    # A whole round trip changes only what the firmware itself writes to.
    guest.send(f"pykexec exec '{HELLO_PATH}'")
    guest.payload_ran()
    guest.ready()
    after = snapshot(guest.vm)
    result = audit(before, after, owners(found), found["cr3"])
    assert result.unexplained == []
    assert result.explained["the firmware's heap, stacks and variables"] > 0

    # The audit has teeth: a page table, a table of ACPI and code are nobody's to change.
    by_type = {type_: start for start, _, type_ in found["map"]}
    victims = [
        max(page_table_pages(after, found["cr3"])),
        by_type[MemoryType.ACPI_RECLAIM_MEMORY],
        by_type[MemoryType.RUNTIME_SERVICES_CODE] + PAGE,
    ]
    forged = bytearray(before)
    for victim in victims:
        forged[victim] ^= 0x02
    assert len(audit(before, bytes(forged), owners(found), found["cr3"]).unexplained) == 3
