# SPDX-License-Identifier: Apache-2.0
"""Run by tests in a process and environment of its own: builds an image of the inputs in a
directory.

Arguments: directory with kernel, modules, stub, resume, ramdisk; file to write, with the bill
of materials beside it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pykexec.image import Recipe, build


def recipe(directory: Path) -> Recipe:
    """An image of what write_inputs() made."""
    return Recipe(
        kernel=directory / "vmlinuz",
        modules=directory / "modules",
        stub=directory / "stub.efi",
        resume=directory / "resume.bin",
        ramdisk=directory / "ramdisk.efi",
        initrd_add=(directory / "added",),
    )


if __name__ == "__main__":
    built = build(recipe(Path(sys.argv[1])))
    Path(sys.argv[2]).write_bytes(built.data)
    Path(f"{sys.argv[2]}.cdx.json").write_bytes(built.sbom)
