# SPDX-License-Identifier: Apache-2.0
"""Programs of other Debian releases, run with the libraries that they were unpacked with."""

from __future__ import annotations

from pathlib import Path

from pykexec.errors import ToolError
from pykexec.vm import packages

_LIBRARIES = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")


def command(name: str, file: str) -> list[str | Path]:
    """What to run for file ("usr/bin/grub-mkimage") of packages.TOOLS[name]."""
    root = packages.fetch(packages.TOOLS[name])
    libraries = [root / directory for directory in _LIBRARIES if (root / directory).is_dir()]
    for directory in libraries:
        loader = directory / "ld-linux-x86-64.so.2"
        if loader.exists():
            return [loader, "--library-path", ":".join(map(str, libraries)), root / file]
    raise ToolError(f"{packages.TOOLS[name].name}: unpacked without the C library")
