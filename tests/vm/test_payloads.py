# SPDX-License-Identifier: Apache-2.0
"""Real payloads started through us behave as when the firmware starts them directly."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pykexec.vm.ovmf import NEWEST, VERSIONS, firmware
from tests.vm import images
from tests.vm.boot import Boot
from tests.vm.payloads import PAYLOADS
from tests.vm.results import recorded
from tests.vm.through import check_through

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
    """The last version of each program but sid's; one on the older firmware, which is slower."""
    return (
        name in LAST
        and name != IN_THE_DEMO
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
