# SPDX-License-Identifier: Apache-2.0
"""Real payloads started through us behave as when the firmware starts them directly."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from pykexec.vm.machine import Nic
from pykexec.vm.ovmf import NEWEST, VERSIONS, firmware
from tests.vm import images
from tests.vm.boot import Boot
from tests.vm.equipment import ALL_PAYLOADS, ON_ONE_DISK
from tests.vm.guest import Guest
from tests.vm.payloads import PAYLOADS
from tests.vm.results import recorded
from tests.vm.snapshots import Kind, Snapshots
from tests.vm.through import check_from_shell, check_through

LOADERS = ("6.1-cloud", "6.12-cloud")
NEWEST_LOADER = "sid-cloud"
LAST = {
    re.sub(r"-[0-9.]+", "", name): name for name, payload in PAYLOADS.items() if not payload.newest
}.values()
ON_THE_OLDER_ONE = "linux-6.12-cloud"
IN_THE_DEMO = "grub-2.12-signed"


def _loader(number: int, version: str) -> str:
    """Firmware versions and loader kernels take turns, so that each pair of them is met."""
    if version == NEWEST:
        return NEWEST_LOADER
    return LOADERS[(number + VERSIONS.index(version)) % len(LOADERS)]


def _in_make_test(name: str, version: str) -> bool:
    """The last version of each program but sid's and those that a test below starts; one on the
    older firmware, which is slower.
    """
    return (
        name in LAST
        and name not in (IN_THE_DEMO, *ON_ONE_DISK)
        and version == VERSIONS[0 if name == ON_THE_OLDER_ONE else -1]
    )


CASES = [
    pytest.param(
        name,
        version,
        _loader(number, version),
        id=f"{name}-{version}",
        marks=() if _in_make_test(name, version) else pytest.mark.matrix,
    )
    for number, name in enumerate(PAYLOADS)
    for version in (*VERSIONS, NEWEST)
]


@pytest.mark.parametrize(("name", "version", "loader_kernel"), CASES)
def test_payload_starts_through_kexec(
    name: str, version: str, loader_kernel: str, boot: Boot, tmp_path: Path
) -> None:
    image = images.image(loader_kernel)
    with recorded(name, version, "kexec", loader_kernel):
        check_through(PAYLOADS[name], firmware(version), image, boot, tmp_path)


@pytest.mark.parametrize("name", ON_ONE_DISK)
def test_payload_starts_from_the_shell(
    name: str, boot: Boot, snapshots: Snapshots, artefacts: Path, tmp_path: Path
) -> None:
    payload, version, loader = PAYLOADS[name], VERSIONS[-1], LOADERS[0]
    settings = {"tpm": None, "nic": Nic()}
    kind = Kind(images.image(loader), firmware(version), settings, disk=ALL_PAYLOADS)
    # What QEMU's network serves is not the machine's.
    machine = replace(kind.machine(), nic=payload.nic(tmp_path) or Nic())
    snapshot = snapshots.of(kind, artefacts / "frozen")
    with recorded(name, version, "kexec", loader):
        check_from_shell(payload, Guest(boot(machine, snapshot=snapshot)))
