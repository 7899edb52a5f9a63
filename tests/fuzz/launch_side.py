# SPDX-License-Identifier: Apache-2.0
"""What a verified launch reads of others: a hypervisor."""

from __future__ import annotations

import contextlib

from pykexec.efi.unified_xen import check_unified
from pykexec.errors import FormatError
from pykexec.launch.unified import unify
from tests.support.launches import PARTS, launch_bytes, xen_bytes


def unified_xen(data: bytes) -> None:
    """What is taken for a launch has command lines that encode to what it holds; and any hypervisor
    is made one, or refused.
    """
    with contextlib.suppress(FormatError):
        check_unified(data, "x")
    check_unified(unify(data, "x", PARTS), "y")


def unified_xens() -> list[bytes]:
    """One that can be made a launch. A launch itself cannot be made one again."""
    assert check_unified(launch_bytes(), "x")
    return [xen_bytes()]
