# SPDX-License-Identifier: Apache-2.0
"""Controls: every payload started by the firmware directly, on every firmware version."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.vm.ovmf import NEWEST, VERSIONS, firmware
from tests.vm.boot import Boot
from tests.vm.direct import check_direct
from tests.vm.payloads import PAYLOADS
from tests.vm.results import recorded

CASES = [
    pytest.param(
        name,
        version,
        id=f"{name}-{version}",
        marks=pytest.mark.matrix if version == NEWEST or payload.newest else (),
    )
    for name, payload in PAYLOADS.items()
    for version in (*VERSIONS, NEWEST)
]


@pytest.mark.control
@pytest.mark.parametrize(("name", "version"), CASES)
def test_payload_direct(name: str, version: str, boot: Boot, tmp_path: Path) -> None:
    with recorded(name, version, "direct"):
        check_direct(PAYLOADS[name], firmware(version), boot, tmp_path)
