# SPDX-License-Identifier: Apache-2.0
"""Real payloads started through us behave as when the firmware starts them directly."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pykexec.vm.ovmf import VERSIONS, firmware
from tests.vm import images
from tests.vm.boot import Boot
from tests.vm.payloads import PAYLOADS
from tests.vm.results import recorded
from tests.vm.through import check_through

LOADERS = ("6.1-cloud", "6.12-cloud")
# make test has one version of each program, the last.
IN_MAKE_TEST = {re.sub(r"-[0-9.]+", "", name): name for name in PAYLOADS}.values()
# Firmware versions and loader kernels take turns, so that each pair of them is met. make test has
# one firmware for each payload.
CASES = [
    pytest.param(
        name,
        version,
        LOADERS[(n + m) % 2],
        id=f"{name}-{version}",
        marks=() if n // 2 % 2 == m and name in IN_MAKE_TEST else pytest.mark.matrix,
    )
    for n, name in enumerate(PAYLOADS)
    for m, version in enumerate(VERSIONS)
]


@pytest.mark.parametrize(("name", "version", "loader_kernel"), CASES)
def test_payload_starts_through_kexec(
    name: str, version: str, loader_kernel: str, boot: Boot, tmp_path: Path
) -> None:
    image = images.image(loader_kernel)
    with recorded(name, version, "kexec", loader_kernel):
        check_through(PAYLOADS[name], firmware(version), image, boot, tmp_path)
