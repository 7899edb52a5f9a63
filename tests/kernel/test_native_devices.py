# SPDX-License-Identifier: Apache-2.0
"""The kernel's own drivers pass what bridges pass; bridges work where they are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pykexec.vm.machine import Nic
from tests.kernel.native import FORCED, MARKS, NATIVE
from tests.vm import test_block, test_bridges, test_net_bridge, test_tpm
from tests.vm.boot import Boot
from tests.vm.guest import Guest
from tests.vm.snapshots import AgentReady
from tests.vm.test_net_bridge import served, web
from tests.vm.ways import UBLK, Way

__all__ = ["served", "web"]
pytestmark = MARKS

DRIVERS = {"block": "efiblk", "net": "efisnp", "tpm": "tpm_efi_tcg2"}


def said(guest: Guest) -> tuple[dict[str, str], str]:
    """What `pykexec status` says: the driver of each kind, "" for a bridge, and how exec goes."""
    status: dict[str, Any] = guest.json("pykexec status --json")
    return {way["kind"]: way["driver"] for way in status["devices"]}, status["exec"]


def bound(guest: Guest) -> str:
    """Which handles the kernel's drivers serve."""
    return guest.ok("ls -d /sys/bus/efi-bootsvc/devices/*/driver 2>/dev/null || true")


def test_drivers_serve_all_devices_and_status_says_so(agent_ready: AgentReady) -> None:
    guest = test_bridges.guest_on(NATIVE, agent_ready)
    up = test_bridges.come_up(guest)
    assert {kind: row["driver"] for kind, row in up.items()} == DRIVERS
    assert said(guest) == (DRIVERS, "native")
    assert "exec: native" in guest.ok("pykexec status")
    assert guest.run("ps | grep -q [u]blk").status == 1

    test_bridges.check_new_disk(guest)
    # What has been given back is the firmware's alone, and comes again when it is wanted.
    guest.ok("pykexec bridge stop")
    assert (bound(guest), said(guest)) == ("", ({}, "native"))
    assert {row["driver"] for row in test_bridges.come_up(guest).values()} == {*DRIVERS.values()}
    test_bridges.check_hand_over(guest)


def test_bridges_serve_them_where_the_configuration_says_so(agent_ready: AgentReady) -> None:
    guest = test_bridges.guest_on(FORCED, agent_ready)
    up = test_bridges.come_up(guest)
    assert said(guest) == (dict.fromkeys(DRIVERS, ""), "resume image")
    assert bound(guest) == ""
    test_bridges.check_killed(guest, up)
    test_bridges.check_new_disk(guest)
    test_bridges.check_hand_over(guest)


def test_a_stock_kernel_has_none_of_it(agent_ready: AgentReady) -> None:
    guest = test_bridges.guest_on(UBLK, agent_ready)
    test_bridges.come_up(guest)
    assert said(guest) == (dict.fromkeys(DRIVERS, ""), "resume image")


@pytest.mark.parametrize("way", [NATIVE], ids=str)
def test_file_systems_work_and_what_was_synced_survives_a_power_cut(
    way: Way, boot: Boot, tmp_path: Path
) -> None:
    test_block.check_file_systems(way, boot, tmp_path)


@pytest.mark.parametrize("way", [NATIVE], ids=str)
def test_errors_and_changes_of_media_are_errors_to_linux_and_nothing_hangs(
    way: Way, boot: Boot, tmp_path: Path
) -> None:
    test_block.check_errors(way, boot, tmp_path)


@pytest.mark.parametrize(
    ("way", "nic", "version"),
    [(NATIVE, Nic(), "2022.11"), (NATIVE, Nic(model="e1000", rom=True), "2025.02")],
)
def test_linux_is_on_line_through_the_firmware(
    way: Way, nic: Nic, version: str, agent_ready: AgentReady, served: Path, web: str
) -> None:
    test_net_bridge.check_on_line(way, nic, version, agent_ready, served, web)


def test_a_fault_of_the_link_costs_frames_alone(agent_ready: AgentReady) -> None:
    test_net_bridge.check_faults(NATIVE, agent_ready)


@pytest.mark.parametrize(("version", "tpm"), [("2022.11", "tis"), ("2025.02", "crb")])
def test_programs_use_the_firmwares_tpm(version: str, tpm: str, boot: Boot, tmp_path: Path) -> None:
    test_tpm.check_programs(NATIVE, version, tpm, boot, tmp_path)


def test_the_end_of_linux_does_not_reach_the_tpm(boot: Boot, tmp_path: Path) -> None:
    test_tpm.check_end(NATIVE, boot, tmp_path)
