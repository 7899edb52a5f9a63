# SPDX-License-Identifier: Apache-2.0
"""Where files are that lie beside another one."""

from __future__ import annotations

import pytest

from pykexec.kexec.sources import beside


@pytest.mark.parametrize(
    ("path", "name", "found"),
    [
        ("http://s/winpe/bootmgfw.efi", "boot.wim", "http://s/winpe/boot.wim"),
        ("http://s/winpe/bootmgfw.efi", "/boot.wim", "http://s/boot.wim"),
        ("http://s/winpe/bootmgfw.efi", "https://t/boot.wim", "https://t/boot.wim"),
        ("http://s/winpe/bootmgfw.efi", r"\boot.wim", r"\boot.wim"),
        (r"\winpe\bootmgfw.efi", "boot.wim", r"\winpe\boot.wim"),
        (r"\bootmgfw.efi", "sources/boot.wim", r"\sources\boot.wim"),
        (r"\winpe\bootmgfw.efi", "/tmp/boot.wim", "/tmp/boot.wim"),
        (r"\winpe\bootmgfw.efi", "http://s/boot.wim", "http://s/boot.wim"),
        ("/tmp/winpe/bootmgfw.efi", "boot.wim", "/tmp/winpe/boot.wim"),
        ("/tmp/winpe/bootmgfw.efi", "winpe/boot.wim", "winpe/boot.wim"),
        ("bootmgfw.efi", "BCD", "BCD"),
    ],
)
def test_a_name_lies_beside_the_other_file(path: str, name: str, found: str) -> None:
    assert beside(path, name) == found
