# SPDX-License-Identifier: Apache-2.0
"""A network boot program that we fetch finds what the firmware's PXE was told, and quiet NICs."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.vm.lan import TAP, Lan
from pykexec.vm.machine import Nic
from pykexec.vm.ovmf import NEWEST
from tests.vm import images
from tests.vm.boot import Boot
from tests.vm.wds import (
    DIRECTLY,
    FETCHED,
    THROUGH,
    behind_router,
    expect_failure,
    expect_steps,
    machine,
    serve,
    user_nic,
)

VERSIONS = [
    "2025.02",
    pytest.param("2022.11", marks=pytest.mark.matrix),
    pytest.param(NEWEST, marks=pytest.mark.matrix),
]
ROUTED = ["10.77.0.1/24", "10.78.0.1/32"]


@pytest.mark.parametrize("version", VERSIONS)
def test_it_finds_what_it_finds_without_us(version: str, boot: Boot, tmp_path: Path) -> None:
    served = serve(tmp_path / "served", images.image())
    before = expect_steps(boot, machine(version, user_nic(served, DIRECTLY)))
    assert before.count(FETCHED) == 2
    assert expect_steps(boot, machine(version, user_nic(served, THROUGH))) == before


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("define", "step", "fault"),
    [
        ("PK_TEST_NO_PXE_STATE", "2", "mode->started && !mode->using_ipv6"),
        # The firmware's own stack does not take a NIC that is at work.
        ("PK_TEST_NO_NIC_SHUTDOWN", "1", "!EFI_ERROR(find(image->device_handle, &efi_guid_pxe_"),
    ],
)
def test_a_fault_of_ours_fails_its_step(
    define: str, step: str, fault: str, boot: Boot, tmp_path: Path
) -> None:
    served = serve(tmp_path / "served", images.image(defines=(define,)))
    found = expect_failure(boot, machine("2025.02", user_nic(served, THROUGH)))
    assert found[0] == step and found[1].startswith(fault)


@pytest.mark.matrix
def test_what_a_proxy_said_is_there(boot: Boot, artefacts: Path, tmp_path: Path) -> None:
    # QEMU's user network gives addresses and knows of no boot file.
    served = serve(tmp_path / "served", images.image())
    nic = Nic(tap=TAP, tap_and_user=True, bootindex=0)
    found = {}
    for boot_file in (DIRECTLY, THROUGH):
        log_file = artefacts / f"{Path(boot_file).stem}.log"
        with (
            Lan(["10.0.2.77/24"]) as lan,
            lan.serve(served, log_file, "--proxy", "--boot-file", boot_file),
        ):
            found[boot_file] = expect_steps(boot, machine("2025.02", nic, lan))
    assert "WDS:server:4d02000a" in found[THROUGH]
    assert found[THROUGH] == found[DIRECTLY]


@pytest.mark.matrix
@pytest.mark.timeout(600)
def test_a_server_behind_a_router_is_reached(boot: Boot, artefacts: Path, tmp_path: Path) -> None:
    served = serve(tmp_path / "served", images.image())
    lame = serve(tmp_path / "lame", images.image(defines=("PK_TEST_NO_ROUTER",)))
    nic = Nic(tap=TAP, bootindex=0)
    found = {}
    for boot_file in (DIRECTLY, THROUGH):
        log_file = artefacts / f"{Path(boot_file).stem}.log"
        with Lan(ROUTED) as lan, behind_router(lan, served, log_file, boot_file):
            found[boot_file] = expect_steps(boot, machine("2025.02", nic, lan))
    assert found[THROUGH] == found[DIRECTLY]
    with Lan(ROUTED) as lan, behind_router(lan, lame, artefacts / "lame.log", THROUGH):
        found_lame = expect_failure(boot, machine("2025.02", nic, lan))
    assert found_lame == ("3", "!EFI_ERROR(status) && size")
