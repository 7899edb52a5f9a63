# SPDX-License-Identifier: Apache-2.0
"""RAM disks: the firmware serves what Linux filled, payloads read it, nothing stays behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pykexec.memory import Range
from pykexec.vm import ovmf
from pykexec.vm.ovmf import Firmware
from pykexec.vm.vm import Vm
from tests.vm.boot import Boot
from tests.vm.equipment import GREETING, LABEL, LINUX, RAMDISK, volume
from tests.vm.guest import HELLO_PATH, Guest, machine_with
from tests.vm.images import image
from tests.vm.snapshots import AgentReady

MEMORY_MIB = 640
BELOW_MIB, LARGE_MIB = 640, 700
"""RAM below 4 GiB, and a disk that is larger."""
PATTERN = b"nobody must ever read this again."
ATTACKS = {
    **dict.fromkeys(
        ("empty", "half a block", "unknown type", "unknown flag", "registered by flag"),
        "INVALID_PARAMETER",
    ),
    **dict.fromkeys(
        ("removable RAM disk", "block that persists", "block as a CD"), "INVALID_PARAMETER"
    ),
    **dict.fromkeys(("all of memory", "larger than memory", "one too many"), "OUT_OF_RESOURCES"),
    **dict.fromkeys(("cut off", "header alone"), "INVALID_PARAMETER"),
    **dict.fromkeys(("beyond the end", "far beyond", "around the end"), "INVALID_PARAMETER"),
    **dict.fromkeys(
        (
            "data before there is a disk",
            "register an unknown one",
            "register number 0",
            "remove an unknown one",
            "remove number 0",
            "remove twice",
            "register what was removed",
        ),
        "NOT_FOUND",
    ),
    **dict.fromkeys(("to the last byte", "register", "remove"), "SUCCESS"),
    "register twice": "ALREADY_STARTED",
    "data after it is a disk": "ACCESS_DENIED",
    "numbers are never reused": "True",
    "start without an image": "NOT_READY",
    "left": "0",
}


def is_outside(vm: Vm, ours: list[Range]) -> bool:
    """Is the pattern in RAM that Linux cannot have written to? Read while the machine stands."""
    vm.stop()
    memory = bytearray(vm.read_memory(0, MEMORY_MIB << 20))
    vm.cont()
    for range_ in ours:
        memory[range_.start : range_.end] = bytes(range_.size)
    return PATTERN in memory


def linux_ranges(found: Any) -> list[Range]:
    """Where Linux keeps copies of what it wrote."""
    return [Range(*found["ours"][name]) for name in ("arena", "low", "window")]


def test_a_payload_reads_a_ram_disk_and_nothing_is_left_of_it(
    boot: Boot, tmp_path: Path, firmware: Firmware
) -> None:
    files = {RAMDISK[1:]: volume()}
    # A bridge to the disk keeps copies of its own, and the kernel complains when it goes.
    alone = image(config="[agent]\nbridges = []")
    machine = machine_with(
        tmp_path, firmware, alone, files=files, memory_mib=MEMORY_MIB, memory_file=True
    )
    guest = Guest(boot(machine)).ready().quick()
    assert guest.script("ramdisk_attacks") == ATTACKS

    # What was removed is wiped, and the firmware has its memory back.
    pattern = f"yes '{PATTERN.decode()}' | head -c 3000001"
    guest.ok(f"{pattern} | pykexec ramdisk add -; pykexec ramdisk remove 18")
    before = guest.script("memory")
    guest.ok(f"{pattern} | pykexec ramdisk add - --type virtual-cd")
    (disk,) = guest.json("pykexec ramdisk list --json")
    assert (disk["number"], disk["type"], disk["size"] % 2048) == (19, "virtual-cd", 0)
    assert is_outside(guest.vm, linux_ranges(before))
    guest.ok("pykexec ramdisk remove 19")
    assert not is_outside(guest.vm, linux_ranges(before))
    guest.ok("truncate -s 8G /tmp/large")
    refused = guest.run("pykexec ramdisk add /tmp/large")
    assert refused.status == 8
    assert "8 GiB do not fit into the firmware's memory" in refused.output
    assert guest.script("memory")["map"] == before["map"]

    # It outlives Linux: the payload comes from it and reads it, the next Linux still knows it.
    guest.ok(f"pykexec ramdisk add '{RAMDISK}'")
    guest.send(rf"pykexec exec '\hello.efi' --volume {LABEL} --options 'from memory'")
    guest.payload_ran("from memory")
    guest.ready()
    (disk,) = guest.json("pykexec ramdisk list --json")
    assert disk["number"] == 20
    assert f"'{LABEL}'" in guest.ok("pykexec devices")
    guest.ok("pykexec ramdisk remove 20")
    assert f"'{LABEL}'" not in guest.ok("pykexec devices")
    assert guest.json("pykexec ramdisk list --json") == []
    assert guest.firmware_is_the_same()


@pytest.mark.parametrize("shape", [pytest.param("ram-disk", marks=pytest.mark.matrix), "block"])
def test_an_efi_shell_runs_the_script_on_a_ram_disk(
    shape: str, agent_ready: AgentReady, firmware: Firmware
) -> None:
    guest = agent_ready(image("6.12-cloud"), firmware)
    add = f"pykexec ramdisk add '{RAMDISK}' --shape {shape}"
    # The firmware's own drivers let go of it.
    guest.ok(f"{add}; pykexec ramdisk remove 1")
    assert f"'{LABEL}'" not in guest.ok("pykexec devices")
    assert guest.firmware_is_the_same()
    guest.ok(add)
    (disk,) = guest.json("pykexec ramdisk list --json")
    assert (disk["number"], disk["shape"], disk["removable"]) == (2, shape, False)
    guest.send(rf"pykexec exec '\shellx64.efi' --volume {LABEL}")
    guest.vm.expect("PK:shell:start:0", within=60)
    guest.vm.expect(GREETING.decode().strip())
    assert guest.vm.wait_exit(60) == "guest-shutdown"


@pytest.mark.matrix
@pytest.mark.parametrize("version", ["2022.11", "2025.02", ovmf.NEWEST])
def test_a_disk_that_does_not_fit_below_4_gib_lies_above(
    version: str, boot: Boot, tmp_path: Path
) -> None:
    below = ("-machine", f"max-ram-below-4g={BELOW_MIB}M")
    firmware = ovmf.firmware(version)
    machine = machine_with(tmp_path, firmware, image(), memory_mib=LARGE_MIB + 1024, extra=below)
    guest = Guest(boot(machine)).ready()
    found = guest.script("large_disk", LARGE_MIB, within=120)
    assert (found["size"], found["ends"]) == (LARGE_MIB << 20, ["first", "last"])
    assert min(found["places"]) >= 4 << 30
    guest.send(f"pykexec exec '{HELLO_PATH}' --options 'after a large disk'")
    guest.payload_ran("after a large disk")


@pytest.mark.parametrize(
    ("version", "kernel", "server"),
    [
        ("2025.02", "6.1-cloud", "ours"),
        pytest.param("2022.11", "6.12-cloud", "ours", marks=pytest.mark.matrix),
        pytest.param("2025.02", "6.1-cloud", "firmware", marks=pytest.mark.matrix),
    ],
)
def test_linux_finds_a_persistent_ram_disk(
    version: str, kernel: str, server: str, agent_ready: AgentReady
) -> None:
    guest = agent_ready(image(kernel), ovmf.firmware(version))
    if server == "ours":
        guest.ok("pykexec load-driver /inside/driver.efi --options hide --no-connect")
    guest.ok(f"pykexec ramdisk add '{RAMDISK}' --persist-to-os")
    options = LINUX.options.replace("os.checks=disk,efivar", "os.checks=ramdisk")
    guest.send(f"pykexec exec '{LINUX.path}' --options '{options}'")
    guest.vm.expect(f"^OS:RAMDISK read '{GREETING.decode().strip()}'", within=120)
    guest.vm.expect("^OS:DONE$", within=60)
