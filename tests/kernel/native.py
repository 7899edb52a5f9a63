# SPDX-License-Identifier: Apache-2.0
"""The patched kernel as a way to the firmware's devices: by its own drivers, and by bridges."""

from __future__ import annotations

import pytest

from tests.vm.ways import Way

KERNEL = "6.12-pykexec"
NATIVE = Way(
    "native",
    KERNEL,
    "2025.02",
    "/dev/efiblk",
    "/dev/nbd",
    by="native",
    lacks=frozenset({"nls_ascii"}),
)
FORCED = Way(
    "forced",
    KERNEL,
    "2025.02",
    "/dev/nbd",
    "/dev/nbd",
    config="[agent]\nnative = false\n",
    lacks=frozenset({"nls_ascii"}),
)
MARKS = [pytest.mark.vm, pytest.mark.timeout(420)]
