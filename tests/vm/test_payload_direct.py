# SPDX-License-Identifier: Apache-2.0
"""Controls: every payload started by the firmware directly, on both firmware versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.vm.ovmf import Firmware
from tests.vm.boot import Boot
from tests.vm.direct import check_direct
from tests.vm.payloads import PAYLOADS
from tests.vm.results import recorded


@pytest.mark.control
@pytest.mark.parametrize("name", PAYLOADS)
def test_payload_direct(name: str, firmware: Firmware, boot: Boot, tmp_path: Path) -> None:
    with recorded(name, firmware.version, "direct"):
        check_direct(PAYLOADS[name], firmware, boot, tmp_path)
