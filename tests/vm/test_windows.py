# SPDX-License-Identifier: Apache-2.0
"""What Windows' boot manager needs of the firmware it finds directly and through us."""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pykexec.kexec.ramdisk import SHAPES
from pykexec.vm.bootvars import boot_entry, write_boot_entries
from pykexec.vm.disk import DiskLayout
from pykexec.vm.machine import Disk, Machine, Nic
from pykexec.vm.ovmf import NEWEST, Firmware, firmware
from tests.support.sealed import seal
from tests.support.windows_disk import load_options
from tests.vm import images
from tests.vm.boot import Boot
from tests.vm.guest import IMAGE_PATH, Guest
from tests.vm.windows import (
    KEY_IMAGES,
    PATH,
    Transcript,
    bootmgr,
    expect_failure,
    expect_steps,
    options,
    transcript,
    windows_disk,
)

# What need not be the same: a task register that was loaded once cannot be emptied; who starts it
# is measured; on which disks the key was.
NAMED = ("00:task", "05:ram", "07:pcr0[45]", "08:found", "08:places")
ABORTED, NOT_FOUND = 1 << 63 | 21, 1 << 63 | 14
CLEAN = {11: bytes(32)}


def machine(
    directory: Path, disk: DiskLayout, chosen: Firmware, path: str, words: str | bytes = ""
) -> Machine:
    """A machine with all that Windows looks at, whose only boot entry is path.

    Those whose directories are in the same one have the same TPM.
    """
    variables = directory / "variables.fd"
    write_boot_entries(chosen.variables, variables, [boot_entry(disk, path, words)])
    return Machine(
        chosen,
        variables=variables,
        disks=(Disk(disk.path),),
        tpm="tis",
        tpm_directory=directory.parent / "tpm",
        cpus=2,
        nic=Nic(),
    )


def direct(boot: Boot, directory: Path, version: str, image: Path, *more: str) -> Transcript:
    """Started by the firmware, by an entry like Windows' own; its key is a file on the ESP."""
    directory.mkdir()
    disk = windows_disk(directory, image, key=True)
    words = load_options(options(*more))
    vm = boot(machine(directory, disk, firmware(version), PATH, words), limit_s=240)
    found = expect_steps(vm)
    assert vm.wait_exit(60) == "guest-shutdown"
    return found


def agent(boot: Boot, directory: Path, version: str, image: Path, *, key: bool = False) -> Guest:
    """An agent on that machine; with key it is on the ESP."""
    directory.mkdir()
    disk = windows_disk(directory, image, key=key)
    chosen = machine(directory, disk, firmware(version), IMAGE_PATH)
    return Guest(boot(chosen, limit_s=400)).ready()


def start(guest: Guest, *more: str, path: str = PATH) -> None:
    """Have the stand-in started, which is told where Linux was."""
    arena = re.search(r"arena \[([0-9a-f]+),", guest.vm.console.text)
    assert arena
    guest.send(f"pykexec exec '{path}' --options '{options(*more, f'arena={arena[1]}')}'")


def add_keys(guest: Guest, *shapes: str) -> None:
    """Give the firmware key disks as the agent does."""
    for shape in shapes:
        guest.ok(f"pykexec ramdisk add '{KEY_IMAGES[shape]}' --shape {shape}")


def through(boot: Boot, directory: Path, version: str, image: Path, *more: str) -> Transcript:
    """Started by us, with the key on disks of both shapes."""
    guest = agent(boot, directory, version, image)
    add_keys(guest, *SHAPES)
    start(guest, *more)
    found = expect_steps(guest.vm)
    assert guest.vm.wait_exit(60) == "guest-shutdown"
    # Where nobody finds them, nobody looks whether they are wiped.
    assert found.values("08:places") == ["1:1"]
    return found


# How the disk is classified that the key is taken from: "removable:is a RAM disk".
CASES = [
    pytest.param("2025.02", "6.1-cloud", "strict", "0:0"),
    pytest.param("2025.02", "6.1-cloud", "lenient", "0:1", marks=pytest.mark.matrix),
    pytest.param("2022.11", "6.12-cloud", "lenient", "0:1", marks=pytest.mark.matrix),
    pytest.param(NEWEST, "sid-cloud", "strict", "0:0", marks=pytest.mark.matrix),
]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("version", "kernel", "class_", "key"), CASES)
def test_windows_finds_the_same(
    version: str, kernel: str, class_: str, key: str, boot: Boot, tmp_path: Path
) -> None:
    image = images.image(kernel)
    before = direct(boot, tmp_path / "direct", version, image)
    after = through(boot, tmp_path / "through", version, image, f"class={class_}")
    assert after.values("08:found") == [key]
    assert after.without(*NAMED) == before.without(*NAMED)
    # Removable, read-only, logical: the RAM disk and its partition; the other, as if on a bus.
    places = ["0:0:0", "0:0:1", "0:1:0", "0:1:1"]
    shown = [line.split(":")[2:5] for line in after.values("05:ram") if line.count(":") == 8]
    assert sorted(":".join(each) for each in shown) == places


@pytest.mark.matrix
def test_without_a_key_it_asks_for_one_and_comes_back(boot: Boot, tmp_path: Path) -> None:
    guest = agent(boot, tmp_path / "through", "2025.02", images.image())
    start(guest)
    expect_failure(guest.vm, "09", NOT_FOUND)
    assert "Plug in the USB drive that has the BitLocker key" in guest.vm.console.text
    guest.vm.expect_stage("stub", "returned", NOT_FOUND)
    guest.ready()


@pytest.mark.matrix
def test_a_strict_one_takes_no_key_from_a_ram_disk(boot: Boot, tmp_path: Path) -> None:
    guest = agent(boot, tmp_path / "through", "2025.02", images.image())
    add_keys(guest, "ram-disk")
    start(guest, "class=strict")
    expect_failure(guest.vm, "09", NOT_FOUND)


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("define", "step", "assertion", "kept"),
    [
        ("PK_TEST_HOOKED_SERVICE", "00", "leads_into(&wbm.bs->hdr", []),
        ("PK_TEST_NO_EXIT_WIPE", "10", "wbm_key_places_are_zero()", ["1"]),
        ("PK_TEST_NO_EXIT_WIPE_OF_BLOCK", "10", "wbm_key_places_are_zero()", ["0"]),
    ],
)
def test_a_fault_of_ours_fails_its_step(
    define: str, step: str, assertion: str, kept: list[str], boot: Boot, tmp_path: Path
) -> None:
    guest = agent(boot, tmp_path / "through", "2025.02", images.image(defines=(define,)))
    add_keys(guest, *SHAPES)
    start(guest)
    assert assertion in expect_failure(guest.vm, step, ABORTED)
    # Of which disk: a RAM disk or the other.
    assert transcript(guest.vm).values("10:kept") == kept


@pytest.mark.matrix
def test_a_register_of_windows_own_that_we_extended_fails_its_step(
    boot: Boot, tmp_path: Path
) -> None:
    sections = images.image(cmdline=f"{images.QUICK_CMDLINE} pykexec.measure=systemd")
    guest = agent(boot, tmp_path / "through", "2025.02", sections)
    add_keys(guest, *SHAPES)
    start(guest)
    assert "digest[j] == 0" in expect_failure(guest.vm, "07", ABORTED)


@pytest.mark.matrix
@pytest.mark.timeout(600)
def test_a_nic_that_nobody_but_linux_had_is_at_rest(boot: Boot, tmp_path: Path) -> None:
    # The firmware connects what it boots from, so that no driver of its own has the NIC.
    def start_behind_network(image: Path) -> Guest:
        directory = tmp_path / image.stem
        directory.mkdir()
        disk = windows_disk(directory, image, key=False)
        quick = machine(directory, disk, firmware("2025.02"), IMAGE_PATH)
        quick = replace(quick, disks=(Disk(disk.path, bootindex=0),), tpm=None)
        guest = Guest(boot(quick)).ready()
        guest.ok("pykexec net up", within=90)
        start(guest)
        return guest

    start_behind_network(images.image()).vm.expect_stage("wbm", "05", within=120)
    guest = start_behind_network(images.image(defines=("PK_TEST_NO_NIC_SHUTDOWN",)))
    fault = expect_failure(guest.vm, "05", ABORTED)
    assert fault.endswith(
        "network->mode->state == EFI_SIMPLE_NETWORK_STOPPED || has_driver(handles[i])"
    )


@pytest.mark.matrix
@pytest.mark.timeout(900)
def test_what_was_sealed_after_a_boot_through_us_opens_in_the_next(
    boot: Boot, tmp_path: Path
) -> None:
    first = through(boot, tmp_path / "first", "2025.02", images.image())
    pcrs = {n: bytes.fromhex(first.values(f"07:pcr{n:02}")[0]) for n in (0, 2, 4, 7)} | CLEAN
    with_secure_boot, without = {n: pcrs[n] for n in (7, 11)}, {n: pcrs[n] for n in (0, 2, 4, 11)}
    seal(tmp_path / "tpm", with_secure_boot, 0x81010007, b"with Secure Boot")
    seal(tmp_path / "tpm", without, 0x81010004, b"without")
    words = ("sealed7=81010007", "sealed4=81010004")
    second = through(boot, tmp_path / "second", "2025.02", images.image(), *words)
    secrets = (b"with Secure Boot", b"without")
    unsealed = [hashlib.sha256(secret).hexdigest() for secret in secrets]
    assert second.values("07:unsealed") == unsealed


@pytest.mark.matrix
@pytest.mark.timeout(900)
def test_memory_lies_where_hibernation_left_it(boot: Boot, tmp_path: Path) -> None:
    before = direct(boot, tmp_path / "direct", "2025.02", images.image())
    with_key = through(boot, tmp_path / "through", "2025.02", images.image())
    guest = agent(boot, tmp_path / "alone", "2025.02", images.image(), key=True)
    start(guest)
    without = expect_steps(guest.vm)
    ranges = before.values("13:range")
    assert ranges == with_key.values("13:range") == without.values("13:range")


@pytest.mark.matrix
def test_out_of_memory_of_linux_it_has_no_file_name(boot: Boot, tmp_path: Path) -> None:
    added = tmp_path / "added"
    added.mkdir()
    shutil.copyfile(bootmgr(), added / "bootmgr.efi")
    image = images.image(additions=(added,))
    guest = agent(boot, tmp_path / "through", "2025.02", image)
    start(guest, path="/bootmgr.efi")
    assert "file_name(file" in expect_failure(guest.vm, "01", ABORTED)


@pytest.mark.matrix
@pytest.mark.timeout(900)
def test_a_disk_that_persists_is_in_the_way_of_hibernation(boot: Boot, tmp_path: Path) -> None:
    guest = agent(boot, tmp_path / "through", "2025.02", images.image())
    add_keys(guest, *SHAPES)
    # EDK II keeps 512 KiB for what is reserved: a smaller one would be among it.
    guest.ok("truncate -s 2M /tmp/large; pykexec ramdisk add /tmp/large --persist-to-os")
    start(guest)
    assert "has_nfit" in expect_failure(guest.vm, "04", ABORTED)
    guest.ready()
    start(guest, "persist=1")
    persistent = expect_steps(guest.vm)
    without = direct(boot, tmp_path / "direct", "2025.02", images.image())
    assert persistent.values("13:range") != without.values("13:range")
