# SPDX-License-Identifier: Apache-2.0
"""Whatever the firmware's timer is, it ticks through calls of the gate and for the payload.

OVMF has the local APIC's periodic timer (2025.02) or the 8254 (2022.11), which other tests see.
csrc/payload/ticks.c stands in for firmware with others, and sets them up before our image starts.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec import _freestanding
from pykexec.vm.bootvars import boot_entry
from pykexec.vm.machine import Machine
from pykexec.vm.ovmf import firmware
from tests.vm import images
from tests.vm.boot import Boot
from tests.vm.guest import HELLO_PATH, IMAGE_PATH, Guest, disk_with, with_entries

TICKS_PATH = r"\EFI\ticks.efi"
HPET = ("-global", "hpet.msi=on")
# As it was: registers alone, and nobody counts.
OLD = ("PK_TEST_NO_TIMER_ARCH", "PK_TEST_NO_LEARNT_TICKS", "PK_TEST_NO_TICK_CHECK")
NEXT = "next in the boot order"


def ticks_application() -> Path:
    """csrc/payload/ticks.c."""

    def make(path: Path) -> None:
        _freestanding.build_payload(images.CSRC, "ticks", path)

    return images.kept("ticks", ".efi", make, images.sources())


def machine(timer: str, image: Path, directory: Path) -> Machine:
    """A machine whose firmware has that timer; hello.efi is the second boot entry."""
    disk = disk_with(directory, image, {TICKS_PATH[1:].replace("\\", "/"): ticks_application()})
    entries = [
        boot_entry(disk, TICKS_PATH, f"{timer} {IMAGE_PATH}", title="ticks"),
        boot_entry(disk, HELLO_PATH, NEXT, title="hello"),
    ]
    return with_entries(Machine(firmware("2025.02"), extra=HPET), directory, disk, entries)


@pytest.mark.parametrize(
    "timer",
    [
        "hpet-msi",
        pytest.param("hpet-msi hidden", marks=pytest.mark.matrix),
        pytest.param("hpet-ioapic", marks=pytest.mark.matrix),
        pytest.param("hpet-ioapic hidden", marks=pytest.mark.matrix),
        pytest.param("lapic-one-shot", marks=pytest.mark.matrix),
        pytest.param("lapic-one-shot hidden", marks=pytest.mark.matrix),
    ],
)
def test_the_firmwares_timer_ticks_in_the_gate_and_for_the_payload(
    timer: str, boot: Boot, tmp_path: Path
) -> None:
    guest = Guest(boot(machine(timer, images.image(), tmp_path))).ready()

    assert guest.script("timers")["firmware_ticks"] > 0
    assert guest.firmware_is_the_same()
    guest.send(f"pykexec exec '{HELLO_PATH}' --via leave")
    guest.payload_ran()


@pytest.mark.matrix
def test_by_registers_alone_an_hpets_msi_comes_no_more(boot: Boot, tmp_path: Path) -> None:
    old = images.image(defines=OLD)
    guest = Guest(boot(machine("hpet-msi", old, tmp_path))).ready()

    assert guest.script("timers")["firmware_ticks"] == 0


@pytest.mark.parametrize(
    ("timer", "defines", "said"),
    [
        ("none", (), "no timer events come from this firmware"),
        pytest.param(
            "hpet-msi hidden",
            ("PK_TEST_NO_LEARNT_TICKS",),
            "this firmware's timer would stop for good",
            marks=pytest.mark.matrix,
        ),
    ],
)
def test_where_time_would_stop_the_boot_order_goes_on_without_linux(
    timer: str, defines: tuple[str, ...], said: str, boot: Boot, tmp_path: Path
) -> None:
    vm = boot(machine(timer, images.image(defines=defines), tmp_path))

    vm.expect(said, within=60)
    vm.expect("PK:stub:ticks:0x8000000000000012$", within=10)
    vm.expect(f"PK:payload:options:{NEXT}\n", within=60)
