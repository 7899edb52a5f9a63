# SPDX-License-Identifier: Apache-2.0
"""The files of a WinPE, as far as anybody but Windows looks at them."""

from __future__ import annotations

from pathlib import Path

from pykexec.vm import hives
from tests.support.wims import make_wim

SDI = b"$SDI0001" + bytes(4088)
STL = b"\x30\x82" + b"s" * 1000
_OPTIONS = "7619dcc8-fafe-11d9-b411-000476eba25f"
_DISK, _ESP = "dddddddd-0000-4000-8000-dddddddddddd", "eeeeeeee-0000-4000-8000-eeeeeeeeeeee"


def configuration(
    wim: str = r"\sources\boot.wim",
    sdi: str = r"\boot\boot.sdi",
    path: str = r"\windows\system32\boot\winload.efi",
) -> bytes:
    """The BCD of an installer: its default entry is a loader in a wim; "" leaves the wim out."""
    tree = hives.bcd_tree(_ESP, _DISK, _ESP)
    objects = tree.subkeys["Objects"].subkeys
    loader = objects[f"{{{hives.LOADER}}}"].subkeys["Elements"].subkeys
    if wim:
        loader["11000001"].values["Element"] = hives.ramdisk_device(_OPTIONS, wim)
    loader["12000002"].values["Element"] = hives.text(path)
    options = hives.bcd_object({0x32000004: hives.text(sdi)}, 0x30000000)
    objects[f"{{{_OPTIONS}}}"] = options
    return hives.hive(tree)


def make_installer(directory: Path, manager: bytes, *options: str, size: int = 300_000) -> None:
    """All of it into directory, under the usual names; options are wimlib's, size the wim's."""
    make_wim(directory, *options, size=size)
    files = {"bootmgfw.efi": manager, "BCD": configuration(), "boot.sdi": SDI, "boot.stl": STL}
    for name, data in files.items():
        (directory / name).write_bytes(data)
