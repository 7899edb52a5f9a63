# SPDX-License-Identifier: Apache-2.0
"""Whether Linux sets memory aside or uses it is read out of /proc/iomem."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.linux.iomem import SET_ASIDE, SYSTEM_RAM, names_at, read_iomem

HONOURED = """\
00001000-0009efff : System RAM
3c000000-3cffffff : Soft Reserved
  3c000000-3cffffff : dax0.0
    3c000000-3cffffff : dax0.0
3d000000-4fffffff : System RAM
  3e000000-3effffff : Kernel code
"""
NOT_HONOURED = """\
00001000-0009efff : System RAM
3c000000-4fffffff : System RAM
  3e000000-3effffff : Kernel code
"""


@pytest.mark.parametrize(
    ("iomem", "address", "names"),
    [
        (HONOURED, 0x3C000000, [SET_ASIDE, "dax0.0", "dax0.0"]),
        (HONOURED, 0x3CFFFFFF, [SET_ASIDE, "dax0.0", "dax0.0"]),
        (HONOURED, 0x3D000000, [SYSTEM_RAM]),
        (HONOURED, 0x3E000000, [SYSTEM_RAM, "Kernel code"]),
        (NOT_HONOURED, 0x3C000000, [SYSTEM_RAM]),
        (HONOURED, 0x60000000, []),
        ("", 0, []),
    ],
)
def test_an_address_has_the_names_of_all_that_it_lies_in(
    iomem: str, address: int, names: list[str]
) -> None:
    assert names_at(address, iomem) == names


def test_all_of_the_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "iomem"
    path.write_text(HONOURED)
    assert read_iomem(str(path)) == HONOURED
