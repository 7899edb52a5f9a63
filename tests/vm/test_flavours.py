# SPDX-License-Identifier: Apache-2.0
"""There and back on the builds of OVMF that a distribution has, but those with keys of their own.

What these enforce is tests/vm/test_secure_boot.py's and test_shim.py's.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.vm.ovmf import NEWEST, firmware
from tests.vm.boot import Boot
from tests.vm.guest import HELLO_PATH, Guest, machine_with
from tests.vm.images import image


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("release", "variant"),
    [
        ("2022.11", "legacy"),
        ("2022.11", "secboot"),
        ("2025.02", "secboot"),
        ("2025.02", "strictnx"),
        (NEWEST, "secboot"),
        (NEWEST, "strictnx"),
    ],
)
def test_a_flavour_of_the_firmware(release: str, variant: str, boot: Boot, tmp_path: Path) -> None:
    guest = Guest(boot(machine_with(tmp_path, firmware(release, variant), image()))).ready()
    assert guest.firmware_is_the_same()
    guest.send(f"pykexec exec '{HELLO_PATH}'")
    guest.payload_ran()
    assert guest.ready().firmware_is_the_same()
