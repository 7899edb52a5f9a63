# SPDX-License-Identifier: Apache-2.0
"""The attacks of tests/vm/inside/doors.py on a machine whose agent is ready."""

from __future__ import annotations

import re

from tests.vm.equipment import HIDDEN, MODULE_PATH, SIGNED_KERNEL, VENDOR
from tests.vm.guest import Guest

KEXEC = "kexec of a signed kernel with a memory map"
ANY_FILE = "/FvFile(11111111-2222-4333-8444-555555555555)"


def attempts(guest: Guest, kernel: str = SIGNED_KERNEL) -> dict[str, str]:
    """What became of each; kernel is one that Linux trusts, on the image's volume."""
    listed = guest.ok("pykexec devices --all | grep -m1 'Fv('")
    volume = re.search(r"Fv\([0-9A-Fa-f-]+\)", listed)
    assert volume
    (hidden,) = HIDDEN
    words = (kernel, MODULE_PATH, volume[0] + ANY_FILE, f"{hidden}-{VENDOR}")
    found: dict[str, str] = guest.script("doors", *(f"'{word}'" for word in words))
    return found
