# SPDX-License-Identifier: Apache-2.0
"""What kexec brings is looked for in Linux' memory, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.run import run

HERE = Path(__file__).parent
CSRC = HERE.parents[2] / "csrc"
FLAGS = (
    *("-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fshort-wchar"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    *(f"-I{CSRC}", f"-I{CSRC / 'include'}"),
)
PARTS = (
    "stub/end/staged.c",
    "stub/lib/stub.c",
    "stub/lib/string.c",
    "common/device_path.c",
    "common/guids.c",
)


@pytest.fixture(scope="module", name="staged")
def staged_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("staged") / "staged"
    run(["gcc", *FLAGS, "-o", program, HERE / "staged.c", *(CSRC / part for part in PARTS)])
    return program


@pytest.mark.parametrize(
    ("where", "found"),
    [("inside", "1000"), ("end", "none"), ("outside", "none"), ("nowhere", "none")],
)
def test_boot_params_lie_in_linuxs_memory(where: str, found: str, staged: Path) -> None:
    assert run([staged, where]).decode().strip() == found
