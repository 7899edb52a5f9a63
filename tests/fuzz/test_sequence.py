# SPDX-License-Identifier: Apache-2.0
"""What the stub survives of a firmware whose devices come and go, each protection's loss shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.errors import ToolError
from tests.fuzz.run import build, build_common, replay
from tests.fuzz.sequences import LIVES, SEQUENCES
from tests.fuzz.stub import STUB_DRIVER

pytestmark = pytest.mark.fuzz

CONTROLS = {
    "PK_TEST_KEPT_INTERFACES": "use-after-poison",
    "PK_TEST_KEPT_NUMBERS": "check_serial: broken",
    "PK_TEST_OLD_QUERY": "ring: broken",
    "PK_TEST_NO_HOLD": "use-after-poison",
    "PK_TEST_UNCLAIMED_WINDOW": "LLVMFuzzerTestOneInput: broken",
    "PK_TEST_PCI_POLLS": "world_called: broken",
    "PK_TEST_FREED_DISK": "stub_end: broken",
    "PK_TEST_NO_READ_ONLY": "reinstall: broken",
    "PK_TEST_NO_SCREEN_EDGE": "blt: broken",
    "PK_TEST_NO_RAMDISK_WIPE": "stub_end: broken",
}
"""Builds of the stub without one protection each, and what becomes of them, as SEQUENCES has it."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_common(tmp_path_factory.mktemp("fuzz"))


def test_the_stub_keeps_its_promises(archive: Path) -> None:
    program = build(STUB_DRIVER, archive)
    for sequence in (*SEQUENCES.values(), *LIVES):
        replay(program, sequence)


@pytest.mark.parametrize(("sequence", "control"), list(zip(SEQUENCES, CONTROLS, strict=True)))
def test_a_stub_without_the_protection_breaks_a_promise(
    sequence: str, control: str, archive: Path
) -> None:
    with pytest.raises(ToolError, match=CONTROLS[control]):
        replay(build(STUB_DRIVER, archive, [control]), SEQUENCES[sequence])
