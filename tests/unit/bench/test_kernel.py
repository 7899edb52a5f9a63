# SPDX-License-Identifier: Apache-2.0
"""The benchmark of the patched kernel: worlds are what they are called, rates become ratios."""

from __future__ import annotations

from typing import Any

import pytest

from pykexec.errors import ToolError
from tests.bench.guest_side import Route, Routes
from tests.bench.kernel import Kernel, checked
from tests.bench.kernel_machines import KITS
from tests.bench.kernel_report import ratios, rows
from tests.bench.sample import Span
from tests.bench.start import Start
from tests.bench.worlds import Work, World

READ = Work("virtio", False, 1 << 20, 1)
NATIVE = {"block": ["efiblk"], "net": ["efisnp"], "tpm": ["tpm_efi_tcg2"]}
BRIDGE = {"block": ["ublkb"], "net": ["efi"], "tpm": ["tpm"]}


def facts(drivers: dict[str, list[str]]) -> dict[str, Any]:
    return {"drivers": drivers, "tsc_khz": 1000}


def world(requests: float, tpm_ms: float) -> World:
    return World({READ: requests}, {}, {}, {"in": requests}, {}, {"PCR_Read": tpm_ms}, {})


def span(seconds: float) -> Span:
    return Span(seconds, seconds)


def kernel() -> Kernel:
    worlds = {"native": world(80, 3.0), "bridge": world(40, 4.0), "driver": world(100, 2.0)}
    start = Start(span(5), span(4), span(4), span(1.25), span(1.25), {}, 1000, 2000, 1000, 2000)
    return Kernel(
        kernel="6.12.1-pykexec",
        stock_kernel="6.12.1-cloud",
        ovmf="2025.02",
        cpu="max",
        repetitions=1,
        host_load=(0.0, 0.0),
        worlds={kit.name: worlds for kit in KITS},
        drivers={},
        hand_over=Routes(Route(span(1), span(0.5)), Route(span(2), span(0.25))),
        start=start,
        stock=span(10),
    )


@pytest.mark.parametrize(("name", "drivers"), [("native", NATIVE), ("bridge", BRIDGE)])
def test_a_world_with_its_own_drivers_is_measured(name: str, drivers: dict[str, list[str]]) -> None:
    assert checked(name, facts(drivers)) == facts(drivers)


@pytest.mark.parametrize(
    ("name", "drivers", "fault"),
    [
        ("native", BRIDGE, "native: block devices are those of ublkb"),
        ("bridge", NATIVE, "bridge: block devices are those of efiblk"),
        ("native", {**NATIVE, "net": ["virtio_net"]}, "net devices are those of virtio_net"),
        ("native", {**NATIVE, "block": ["efiblk", "nbd"]}, "block devices are those of"),
        ("native", {**NATIVE, "tpm": []}, "tpm devices are those of nothing"),
    ],
)
def test_a_world_with_drivers_of_another_is_refused(
    name: str, drivers: dict[str, list[str]], fault: str
) -> None:
    with pytest.raises(ToolError, match=fault):
        checked(name, facts(drivers))


def test_ratios_are_to_the_bridge_and_to_linux_own_driver() -> None:
    found = ratios(kernel())
    assert found[str(READ)] == {"to bridge": 2.0, "to driver": 0.8}
    assert found["virtio-net: TCP in"] == {"to bridge": 2.0, "to driver": 0.8}
    assert found["CRB: TPM2_PCR_Read"] == {"to bridge": 0.75, "to driver": 1.5}


def test_a_row_has_all_three_worlds_and_both_ratios() -> None:
    table = {row[0]: row[1:] for row in rows(kernel())}
    assert table[str(READ)] == ("80.0 MiB/s", "40.0 MiB/s", "100.0 MiB/s", "2.00", "0.80")
    assert table["decision to payload, wall"] == ("1.00 s", "2.00 s", "", "0.50", "")
    assert table["reboot(2) to payload, CPU"] == ("0.50 s", "0.25 s", "", "2.00", "")
    assert table["firmware to agent, wall"] == ("5.00 s", "10.00 s", "4.00 s", "0.50", "1.25")
