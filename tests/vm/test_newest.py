# SPDX-License-Identifier: Apache-2.0
"""There and back on the QEMU of other releases, and with Debian's newest kernel and firmware."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.vm import packages
from pykexec.vm.ovmf import firmware
from tests.vm.boot import Boot
from tests.vm.guest import Guest, machine_with
from tests.vm.images import image
from tests.vm.snapshots import AgentReady
from tests.vm.test_round_trip import LIMIT_S, check_routes
from tests.vm.ways import NEWEST, UBLK, Way

pytestmark = [pytest.mark.matrix, pytest.mark.timeout(LIMIT_S)]


@pytest.mark.parametrize(
    ("way", "qemu"),
    [(UBLK, qemu) for qemu in packages.QEMUS] + [(NEWEST, qemu) for qemu in ("", *packages.QEMUS)],
    ids=str,
)
def test_any_qemu_goes_there_and_back(way: Way, qemu: str, boot: Boot, tmp_path: Path) -> None:
    chosen = image(way.kernel)
    machine = machine_with(tmp_path, firmware(way.firmware), chosen, cpus=2, qemu=qemu)
    check_routes(way, Guest(boot(machine)).ready())


def test_the_newest_kernel_shares_the_window(agent_ready: AgentReady) -> None:
    guest = agent_ready(image(NEWEST.kernel), firmware(NEWEST.firmware))
    disks = [row for row in guest.json("pykexec bridge start --json") if row["kind"] == "block"]
    assert [row["by"] for row in disks] == [NEWEST.by]
    print(guest.ok("cat /proc/iomem"))


def test_ublk_without_io_uring_leaves_the_disks_to_nbd(agent_ready: AgentReady) -> None:
    guest = agent_ready(image(NEWEST.kernel), firmware(NEWEST.firmware))
    guest.ok("pykexec bridge stop && echo 2 > /proc/sys/kernel/io_uring_disabled")
    rows = guest.json("pykexec bridge start --json 2>/run/said")
    assert [row["node"][:8] for row in rows if row["kind"] == "block"] == ["/dev/nbd"]
    assert "the disk goes by NBD" in guest.ok("cat /run/said")


def test_the_newest_kernel_knows_all_that_the_stub_tells_it(agent_ready: AgentReady) -> None:
    guest = agent_ready(image(NEWEST.kernel), firmware(NEWEST.firmware))
    told = guest.ok("cat /proc/cmdline").split("pykexec.arena=")[1].split()[1:]
    assert {"efi=runtime", "fred=off", "nopv", "reboot=efi"} <= set(told)
    said = guest.ok("dmesg | grep -i 'unknown kernel command line parameters' || true")
    # These it looks for itself, before it goes through the line.
    assert {word for word in told if word in said} <= {"no5lvl", "fred=off", "mem_encrypt=off"}
