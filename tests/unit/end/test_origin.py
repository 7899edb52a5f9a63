# SPDX-License-Identifier: Apache-2.0
"""What PXE started may start another as if it came the same way, and as nothing else."""

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
PARTS = ("stub/end/origin.c", "stub/lib/boot_device.c", "common/device_path.c", "common/guids.c")
ALLOWED, REFUSED = "0", "0x800000000000000f"


@pytest.fixture(scope="module", name="origin")
def origin_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("origin") / "origin"
    run(["gcc", *FLAGS, "-o", program, HERE / "origin.c", *(CSRC / part for part in PARTS)])
    return program


@pytest.mark.parametrize(
    ("came", "says", "status"),
    [
        ("pxe", "device", ALLOWED),
        ("pxe", "longer", REFUSED),
        ("pxe", "other", REFUSED),
        ("volume", "device", REFUSED),
        ("pxe-in-firmware", "device", REFUSED),
    ],
)
def test_a_payload_names_what_brought_our_image_while_linux_has_the_nic(
    came: str, says: str, status: str, origin: Path
) -> None:
    assert run([origin, came, says]).decode().strip() == status
