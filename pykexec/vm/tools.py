# SPDX-License-Identifier: Apache-2.0
"""Programs of other Debian releases, run with the libraries that they were unpacked with."""

from __future__ import annotations

from pathlib import Path

from pykexec.errors import ToolError
from pykexec.vm import packages
from pykexec.vm.packages import Package

_LIBRARIES = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")


def command(package: Package, file: str) -> list[str | Path]:
    """What to run for file ("usr/bin/grub-mkimage") of package, which must be a whole one."""
    root = packages.fetch(package)
    libraries = [root / directory for directory in _LIBRARIES if (root / directory).is_dir()]
    for directory in libraries:
        loader = directory / "ld-linux-x86-64.so.2"
        if loader.exists():
            return [loader, "--library-path", ":".join(map(str, libraries)), root / file]
    raise ToolError(f"{package.name}: unpacked without the C library")
