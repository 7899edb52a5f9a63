# SPDX-License-Identifier: Apache-2.0
"""Our image's life on a machine's own disk: installed, updated, promoted, and given up."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.vm.bootvars import boot_entry
from pykexec.vm.machine import Machine
from pykexec.vm.ovmf import Firmware, firmware
from tests.vm.boot import Boot
from tests.vm.guest import HELLO_PATH, IMAGE_PATH, Guest, disk_with, with_entries
from tests.vm.images import QUICK_CMDLINE, image

MODULES = ("nls_cp437", "nls_ascii", "vfat")
STAYS = "[failure]\naction = 'agent'\n[agent]\nshell = true\n"
# PID 1 is a program that never comes to an agent.
HANGS = f"{QUICK_CMDLINE} rdinit=/bin/busybox sleep 99999"


def payload(options: str) -> str:
    """A configuration that starts hello.efi."""
    return f"[payload]\npath = '{HELLO_PATH}'\noptions = '{options}'\n"


def machine(boot: Boot, directory: Path, firmware: Firmware, images: dict[str, Path]) -> Guest:
    """Booted from an image that nobody has installed, with others on its ESP, which is mounted."""
    starter = image(modules=MODULES)
    files: dict[str, bytes | Path] = {f"{name}.efi": path for name, path in images.items()}
    disk = disk_with(directory, starter, files, size_mib=512)
    made = Machine(firmware, reboot=True, cpus=2)
    entries = [boot_entry(disk, IMAGE_PATH, title="by hand")]
    guest = Guest(boot(with_entries(made, directory, disk, entries), limit_s=600)).ready()
    mounted(guest)
    return guest


def mounted(guest: Guest) -> None:
    """Linux has the ESP at /m."""
    guest.script("block_up", *MODULES, within=90)
    guest.ok("mkdir -p /m && mount -t vfat /dev/disk/by-label/ESP /m")


def installed(guest: Guest, words: str) -> str:
    """`pykexec install`, and the disk let go of."""
    return guest.ok(f"pykexec install --esp /m {words}", within=180)


def restarted(guest: Guest) -> None:
    """By the firmware's boot manager."""
    guest.ok("umount /m")
    guest.send("reboot -f")
    guest.vm.expect_stage("stub", "start")


def good(options: str) -> Path:
    """It starts a payload, and is there again when that has returned."""
    return image(config=payload(options) + STAYS, modules=MODULES)


def test_a_first_installation_is_tried_and_stays_when_its_payload_has_started(
    boot: Boot, tmp_path: Path
) -> None:
    guest = machine(boot, tmp_path, firmware("2025.02"), {"good": good("good")})
    assert "tried once at the next start" in installed(guest, "/m/good.efi --order trial")
    restarted(guest)
    guest.vm.expect_stage("install", "trial", within=120)
    guest.vm.expect_stage("install", "promoted", within=120)
    guest.payload_ran("good")
    guest.ready()
    mounted(guest)
    status = guest.json("pykexec install --esp /m --status --json")
    assert status["active"]["slot"] == "a" and status["trial"] is None
    assert status["boot_order"][0] != "Boot0001"


@pytest.mark.matrix
def test_an_update_is_promoted_one_that_hangs_gives_way_and_a_rollback_leads_back(
    boot: Boot, tmp_path: Path, firmware: Firmware
) -> None:
    hangs = image(config=payload("never") + STAYS, modules=MODULES, cmdline=HANGS)
    images = {"good": good("good"), "better": good("better"), "hangs": hangs}
    guest = machine(boot, tmp_path, firmware, images)
    installed(guest, "/m/good.efi")
    installed(guest, "/m/better.efi --update")
    restarted(guest)
    guest.vm.expect_stage("install", "promoted", within=120)
    guest.payload_ran("better")
    guest.ready()

    mounted(guest)
    installed(guest, "/m/hangs.efi --update")
    restarted(guest)
    guest.vm.reset()
    guest.vm.expect_stage("install", "failed", within=120)
    guest.payload_ran("better")
    guest.ready()
    mounted(guest)
    status = guest.json("pykexec install --esp /m --status --json")
    assert status["active"]["slot"] == "b" and status["failed"]["slot"] == "a"
    assert status["reason"].startswith("the firmware did not start it, or it ended before")

    installed(guest, "/m/good.efi --update")
    restarted(guest)
    guest.payload_ran("good")
    guest.ready()
    mounted(guest)
    installed(guest, "--rollback")
    restarted(guest)
    guest.payload_ran("better")


@pytest.mark.matrix
def test_an_image_whose_payload_is_missing_gives_way_with_its_reason(
    boot: Boot, tmp_path: Path
) -> None:
    lost = image(
        config="[payload]\npath = '\\EFI\\none.efi'\n[failure]\naction = 'boot-next'\n",
        modules=MODULES,
    )
    guest = machine(boot, tmp_path, firmware("2025.02"), {"good": good("good"), "lost": lost})
    installed(guest, "/m/good.efi")
    installed(guest, "/m/lost.efi --update")
    restarted(guest)
    guest.vm.expect_stage("install", "trial", within=120)
    guest.vm.expect("PK:stub:action:0x2$", within=120)
    guest.vm.expect_stage("install", "failed", within=120)
    guest.payload_ran("good")
    guest.ready()
    mounted(guest)
    reason = guest.json("pykexec install --esp /m --status --json")["reason"]
    assert "neither attested nor reached its payload; last end: " in reason
    assert "none.efi" in reason
