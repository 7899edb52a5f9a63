# SPDX-License-Identifier: Apache-2.0
"""Which firmware `make test` has for a test that is for all of them."""

from __future__ import annotations

import zlib

import pytest
from _pytest.mark import ParameterSet

from pykexec.vm.ovmf import VERSIONS

_OLDER_ONE_IN = 4


def versions(test: str, shared: bool = False) -> list[ParameterSet]:
    """A case for each version; all but one of them are the matrix's.

    The last version boots in 2 seconds of a processor, the one before in 5: most tests have the
    last. Tests that go on from a snapshot all have it: they are to share the snapshot.
    """
    older = not shared and zlib.crc32(test.encode()) % _OLDER_ONE_IN == 0
    in_make_test = VERSIONS[0 if older else -1]
    return [
        pytest.param(version, marks=() if version == in_make_test else pytest.mark.matrix)
        for version in VERSIONS
    ]
