# SPDX-License-Identifier: Apache-2.0
"""A short run of every driver; FUZZ_SECONDS, for all of them together, makes it a long one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pykexec.errors import ToolError
from tests.fuzz.run import DRIVERS, PLANTED, build, build_common, fuzz

pytestmark = pytest.mark.fuzz

SECONDS = float(os.environ.get("FUZZ_SECONDS", len(DRIVERS)))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_common(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("driver", DRIVERS)
def test_no_input_breaks_a_promise(driver: str, archive: Path, tmp_path: Path) -> None:
    fuzz(build(driver, archive), SECONDS / len(DRIVERS), tmp_path / "corpus")


def test_the_fuzzer_finds_a_planted_fault(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="AddressSanitizer: heap-buffer-overflow"):
        fuzz(build(PLANTED, archive), 20, tmp_path / "corpus")
