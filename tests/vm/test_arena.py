# SPDX-License-Identifier: Apache-2.0
"""The arena: found wherever the firmware has room, and a clear message where it has none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pykexec.vm import ovmf
from pykexec.vm.ovmf import Firmware
from tests.vm.boot import Boot
from tests.vm.guest import HELLO_PATH, Guest, machine_with
from tests.vm.images import hello, image

MIB = 1 << 20
GIB = 1 << 30
# ARENA_MIN_MIB of the stub; a payload of 12 MiB needs 32 more.
SMALLEST_MIB = 128


def test_arena_falls_back_to_smaller_steps(boot: Boot, tmp_path: Path) -> None:
    big = image(arena_mib=1024)
    vm = boot(machine_with(tmp_path, ovmf.firmware("2025.02"), big, memory_mib=768))
    found = int(vm.expect(r"pykexec: arena of (\d+) MiB instead of 1024", within=60)[1])
    assert 256 < found < 768 and found % 16 == 0
    arena = Guest(vm).ready().json("pykexec status --json")["handoff"]["arena"]
    assert arena["end"] - arena["start"] == found * MIB


def test_arena_above_4_gib_is_left_and_entered_again(
    boot: Boot, tmp_path: Path, firmware: Firmware
) -> None:
    big = image("6.12-cloud", arena_mib=3072)
    guest = Guest(boot(machine_with(tmp_path, firmware, big, memory_mib=6144))).ready()
    arena = guest.json("pykexec status --json")["handoff"]["arena"]
    assert arena["start"] >= 4 * GIB and arena["end"] - arena["start"] == 3 * GIB

    guest.send(f"pykexec exec '{HELLO_PATH}' --options from-above")
    guest.payload_ran("from-above")
    guest.ready()
    assert guest.firmware_is_the_same()


@pytest.mark.parametrize(
    ("kernel", "mib"),
    [
        ("6.1-cloud", SMALLEST_MIB),
        # Its static data alone are 12 MiB more: where the other starts payloads it cannot.
        pytest.param("6.1-generic", SMALLEST_MIB + 16, marks=pytest.mark.matrix),
    ],
)
def test_smallest_arena_starts_what_fits_and_names_what_does_not(
    kernel: str, mib: int, boot: Boot, tmp_path: Path
) -> None:
    files = {"EFI/big.efi": hello().read_bytes() + bytes(12 * MIB)}
    small = image(kernel, arena_mib=mib)
    guest = Guest(
        boot(machine_with(tmp_path, ovmf.firmware("2025.02"), small, files=files))
    ).ready()
    refused = guest.run(r"pykexec exec '\EFI\big.efi'")
    assert refused.status == 8, refused
    assert re.fullmatch(
        r"pykexec: \\EFI\\big.efi: \d+ bytes, more than the \d+ that fit.*", refused.output
    ), refused
    guest.send(f"pykexec exec '{HELLO_PATH}' --options small")
    guest.payload_ran("small")
    guest.ready()


@pytest.mark.parametrize("version", [pytest.param("2022.11", marks=pytest.mark.matrix), "2025.02"])
def test_boot_order_goes_on_where_nothing_fits(version: str, boot: Boot, tmp_path: Path) -> None:
    machine = machine_with(
        tmp_path, ovmf.firmware(version), image(), next_options="after us", memory_mib=128
    )
    vm = boot(machine)
    vm.expect(r"pykexec: the firmware has no \d+ MiB of contiguous memory for Linux", within=60)
    vm.expect_stage("stub", "arena", 0x8000000000000009)
    vm.expect("PK:stub:action:0x2")
    Guest(vm).payload_ran("after us")
