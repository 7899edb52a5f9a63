# SPDX-License-Identifier: Apache-2.0
"""Kernels on which bridges use ublk survive that its server is killed; docs/io-uring.md."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pykexec.vm.ovmf import firmware
from tests.vm.boot import Boot
from tests.vm.guest import Guest, machine_with
from tests.vm.images import image
from tests.vm.ways import NEWEST

KILLS = int(os.environ.get("KILLS", "20"))
KERNELS = os.environ.get("KILLS_KERNELS", NEWEST.kernel).split()
LIMIT_S = 300 + 6 * KILLS
# An oops is a panic, so that the console tells.
CMDLINE = "console=ttyS0,115200 quiet oops=panic"

pytestmark = [pytest.mark.matrix, pytest.mark.timeout(LIMIT_S + 120)]


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_kernel_survives_that_ublk_servers_are_killed(
    kernel: str, boot: Boot, tmp_path: Path
) -> None:
    machine = machine_with(tmp_path, firmware("2025.02"), image(kernel, cmdline=CMDLINE), cpus=2)
    guest = Guest(boot(machine, limit_s=LIMIT_S)).ready()
    assert guest.ok(f"/inside/kills {KILLS}", within=LIMIT_S).endswith(f"kills:{KILLS} done")
    assert "ublk" in guest.ok("pykexec bridge status")
