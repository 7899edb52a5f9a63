# SPDX-License-Identifier: Apache-2.0
"""Secrets that Linux had are nowhere in the machine's memory once it has ended."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import pytest

from pykexec.abi import Action
from pykexec.config.agent import OVERRIDE_PATH
from pykexec.firmware.measure import config_event
from pykexec.memory import Range
from pykexec.vm import ovmf
from pykexec.vm.bootvars import boot_entry
from pykexec.vm.guest_os import command_line
from pykexec.vm.machine import Machine
from pykexec.vm.ovmf import Firmware
from pykexec.vm.vm import Vm
from tests.vm.boot import Boot
from tests.vm.guest import HELLO_PATH, IMAGE_PATH, Guest, disk_with, with_entries
from tests.vm.images import image
from tests.vm.payloads import PAYLOADS

MEMORY_MIB = 640
SEED = "secret of this test"
KEY = hashlib.sha256(SEED.encode()).digest()
CONFIG = b"[agent]\nbridges = []\n"
OPTIONS = "rdinit=/inside/hello.efi pykexec.arena=128M debug"
NEXT_OPTIONS = "the next entry"
REFUSED = {
    "PCR 11": "INVALID_PARAMETER",
    "PCR 12": "INVALID_PARAMETER",
    "no configuration": "INVALID_PARAMETER",
    "PCR 16": "INVALID_PARAMETER",
    "nothing": "INVALID_PARAMETER",
    "too large": "INVALID_PARAMETER",
    "cut off": "INVALID_PARAMETER",
}
LINUX = PAYLOADS["linux-6.1-cloud"]
OS_OPTIONS = rf"initrd=\initrd.img {command_line(checks=('memory',), end='stay')}"


def booted(
    boot: Boot, directory: Path, firmware: Firmware, *defines: str, **settings: Any
) -> Guest:
    """An agent with a TPM, configured by its volume, whose boot entry has options of its own."""
    files = {**LINUX.files(), OVERRIDE_PATH[1:].replace("\\", "/"): CONFIG}
    disk = disk_with(directory, image(defines=defines), files)
    machine = Machine(firmware, memory_mib=MEMORY_MIB, memory_file=True, tpm="tis", **settings)
    entries = [boot_entry(disk, IMAGE_PATH, OPTIONS), boot_entry(disk, HELLO_PATH, NEXT_OPTIONS)]
    return Guest(boot(with_entries(machine, directory, disk, entries))).ready()


def places(vm: Vm) -> list[int]:
    """Where in RAM either half of the key is; the machine stands still."""
    memory = vm.read_memory(0, MEMORY_MIB << 20)
    found = []
    for half in (KEY[:16], KEY[16:]):
        at = memory.find(half)
        while at >= 0:
            found.append(at)
            at = memory.find(half, at + 1)
    return sorted(found)


def places_now(vm: Vm) -> list[int]:
    """places() of a machine that runs."""
    vm.stop()
    found = places(vm)
    vm.cont()
    return found


def is_running(vm: Vm) -> bool:
    """Do the machine's processors run? Those of one that was reset do not."""
    status = vm.qmp("query-status")
    assert isinstance(status, dict)
    return bool(status["running"])


def check_measured(guest: Guest) -> None:
    """The configuration is in PCR 5 and in the log; the boot entry's options are nowhere."""
    log = guest.json("pykexec eventlog --json")
    assert log["tpm"] == log["replayed"]
    (event,) = [each for each in log["events"] if each["data"] == config_event(CONFIG).hex()]
    assert (event["pcr"], event["type"]) == (5, "EV_EVENT_TAG")
    assert event["digests"]["sha256"] == hashlib.sha256(config_event(CONFIG)).hexdigest()
    assert not set(OPTIONS.split()) & set(guest.ok("cat /proc/cmdline").split())


def start_linux(guest: Guest) -> None:
    """The payload: a stock Linux that has ended boot services and runs its user space."""
    guest.send(f"pykexec exec '{LINUX.path}' --options '{OS_OPTIONS}'")
    guest.vm.expect("^OS:DONE$", within=120)


def test_a_payload_finds_no_secret_of_linux(boot: Boot, tmp_path: Path, firmware: Firmware) -> None:
    guest = booted(boot, tmp_path, firmware)
    check_measured(guest)
    assert guest.script("secrets", f"'{SEED}'") == REFUSED
    arena = Range(*guest.script("memory")["ours"]["arena"])
    found = places_now(guest.vm)
    assert len([place for place in found if arena.start <= place < arena.end]) >= 2 * 65536
    (on_disk, _) = [place for place in found if not arena.start <= place < arena.end]

    # The firmware looks at the disk's files; then Linux ends with the key in every vector register.
    guest.ok(f"pykexec devices; pykexec exec '{HELLO_PATH}' --load-only --options 'after secrets'")
    guest.send("/inside/vectors /tmp/leak")
    guest.payload_ran("after secrets")
    guest.ready()
    assert places_now(guest.vm) == [on_disk, on_disk + 16]

    # The payload's operating system has ended boot services, and the disk is gone.
    start_linux(guest)
    assert places_now(guest.vm) == []


def test_a_reset_after_a_panic_finds_no_secret_of_linux(boot: Boot, tmp_path: Path) -> None:
    guest = booted(boot, tmp_path, ovmf.firmware("2025.02"), extra=("-no-shutdown",))
    # An oops is a panic, whose words stay for a while, but where there are secrets.
    settings = "cat /proc/sys/kernel/panic_on_oops /proc/sys/kernel/panic"
    assert guest.ok(settings).split() == ["1", "10"]
    assert guest.script("secrets", f"'{SEED}'") == REFUSED
    assert guest.ok(settings).split() == ["1", "-1"]
    guest.send("echo c >/proc/sysrq-trigger")
    guest.vm.expect("Kernel panic - not syncing: sysrq", fatal=None)
    guest.vm.expect_stage("stub", "action", Action.RESET, within=60)
    deadline = time.monotonic() + 60
    while is_running(guest.vm):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert places(guest.vm) == []


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("defines", "nr_found"), [((), 0), (("PK_TEST_NO_RAMDISK_WIPE",), 2)], ids=["wiped", "control"]
)
def test_a_disk_that_a_driver_does_not_let_go_of_is_wiped(
    defines: tuple[str, ...], nr_found: int, boot: Boot, tmp_path: Path
) -> None:
    guest = booted(boot, tmp_path, ovmf.firmware("2025.02"), *defines)
    assert guest.script("secrets", f"'{SEED}'") == REFUSED
    guest.ok("pykexec load-driver /inside/driver.efi --options hold --no-connect")
    guest.send("pykexec leave --action boot-next")
    guest.payload_ran(NEXT_OPTIONS)
    assert len(places_now(guest.vm)) == nr_found


def test_without_the_wiping_the_search_finds_what_linux_left(boot: Boot, tmp_path: Path) -> None:
    guest = booted(boot, tmp_path, ovmf.firmware("2025.02"), "PK_TEST_NO_SECRETS_WIPE")
    assert guest.script("secrets", f"'{SEED}'") == REFUSED
    start_linux(guest)
    assert len(places_now(guest.vm)) > 100
