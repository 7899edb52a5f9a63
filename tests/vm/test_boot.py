# SPDX-License-Identifier: Apache-2.0
"""Stock kernels start under live boot services, on every kind of machine that is supported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pykexec.image.recipe import DEFAULT_CMDLINE
from pykexec.vm.ovmf import firmware
from tests.vm.boot import Boot
from tests.vm.guest import Guest, machine_with
from tests.vm.images import image

NO_TIMERS = {"pit": False, "hpet": False}

# Every pair of firmware, kernel, timers and processors at least once. TCG has an x2APIC from
# QEMU 9.0 on; before, it only warns.
MACHINES: list[tuple[str, str, dict[str, Any]]] = [
    ("2025.02", "6.12-cloud", {"cpus": 2, **NO_TIMERS}),
    ("2022.11", "6.1-cloud", {"type": "pc", "hpet": False}),
    ("2022.11", "6.12-generic", {"cpus": 2}),
    ("2025.02", "6.1-cloud", {"cpus": 2, **NO_TIMERS}),
    ("2022.11", "6.1-cloud", {}),
    ("2022.11", "6.12-cloud", {"cpus": 2, **NO_TIMERS}),
    ("2025.02", "6.12-cloud", {"cpu": "max,-cx16,+x2apic"}),
    ("2025.02", "6.1-generic", NO_TIMERS),
]
NR_IN_MAKE_TEST = 2


@pytest.mark.parametrize(
    ("version", "kernel", "settings"),
    [
        pytest.param(
            version,
            kernel,
            settings,
            id=" ".join([version, kernel, *map(str, settings.values())]),
            marks=() if number < NR_IN_MAKE_TEST else pytest.mark.matrix,
        )
        for number, (version, kernel, settings) in enumerate(MACHINES)
    ],
)
def test_stock_kernel_runs_under_live_boot_services(
    version: str, kernel: str, settings: dict[str, Any], boot: Boot, tmp_path: Path
) -> None:
    chosen = image(kernel, cmdline=DEFAULT_CMDLINE)
    machine = machine_with(tmp_path, firmware(version), chosen, **settings)
    guest = Guest(boot(machine)).ready()

    status = guest.json("pykexec status --json")
    assert status["resident"] and status["kernel"].startswith(kernel.partition("-")[0] + ".")
    assert f"pykexec {status['pykexec']}" == guest.ok("pykexec --version")
    assert status["firmware"]["image_path"] == r"\EFI\pykexec\pykexec.efi"
    assert guest.ok("nproc") == "1"
    clock = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
    assert guest.ok(f"cat {clock}") == "tsc"
    ticks = guest.script("timers")
    assert ticks["firmware_ticks"] > 0, ticks  # of 20
    assert ticks["linux_ticks"] > 0, ticks  # of 125 at 250 Hz
    assert "BootOrder-8be4df61-93ca-11d2-aa0d-00e098032b8c" in guest.ok(
        "ls /sys/firmware/efi/efivars"
    )
    assert guest.firmware_is_the_same()
