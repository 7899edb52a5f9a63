# SPDX-License-Identifier: Apache-2.0
"""Which firmware `make test` has for a test that is for all of them: they take turns."""

from __future__ import annotations

import zlib

import pytest
from _pytest.mark import ParameterSet

from pykexec.vm.ovmf import VERSIONS


def versions(test: str, shared: bool = False) -> list[ParameterSet]:
    """A case for each version; all but one of them are the matrix's.

    Tests that go on from a snapshot do not take turns: they are to share it.
    """
    turn = VERSIONS[-1] if shared else VERSIONS[zlib.crc32(test.encode()) % len(VERSIONS)]
    return [
        pytest.param(version, marks=() if version == turn else pytest.mark.matrix)
        for version in VERSIONS
    ]
