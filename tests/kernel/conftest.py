# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests that boot the patched kernel: those of the VM tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykexec.vm import kernel_build
from tests.vm.conftest import (
    agent_ready,
    artefacts,
    boot,
    pytest_configure,
    pytest_configure_node,
    pytest_runtest_makereport,
    pytest_unconfigure,
    snapshots,
)

__all__ = [
    "agent_ready",
    "artefacts",
    "boot",
    "pytest_configure",
    "pytest_configure_node",
    "pytest_runtest_makereport",
    "pytest_unconfigure",
    "snapshots",
]


@pytest.fixture(scope="session", autouse=True)
def kernel_of_the_developer() -> Iterator[None]:
    """PYKEXEC_KERNEL_DIR names a kernel to be tested in place of what `make kernel` has built.

    It is a directory with boot/vmlinuz-<release> and lib/modules/<release>.
    """
    with pytest.MonkeyPatch.context() as patch:
        if directory := os.environ.get("PYKEXEC_KERNEL_DIR"):
            patch.setattr(kernel_build, "find", lambda _: Path(directory))
        yield
