# SPDX-License-Identifier: Apache-2.0
"""Unified kernel images made by Debian's ukify."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

from pykexec.run import run
from pykexec.vm import packages
from pykexec.vm.kernels import Kernel


def make_uki(stub: Path, kernel: Kernel, initrd: Path, command_line: str) -> Path:
    """An image of stub, kernel, initrd and command_line; kept beside the downloaded packages."""
    key = hashlib.sha256(f"{kernel.release}\0{command_line}".encode())
    for part in (stub, initrd):
        key.update(hashlib.sha256(part.read_bytes()).digest())
    target = packages.cache_dir() / "uki" / f"{key.hexdigest()[:16]}.efi"
    if target.exists():
        return target
    ukify = packages.fetch(packages.PAYLOADS["ukify"]) / "usr/bin/ukify"
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as directory:
        image = Path(directory) / "uki.efi"
        words: list[str | Path] = [
            sys.executable,
            ukify,
            "build",
            f"--linux={kernel.image}",
            f"--initrd={initrd}",
        ]
        words += [f"--cmdline={command_line}", f"--stub={stub}", f"--uname={kernel.release}"]
        run([*words, "--os-release=ID=test\n", f"--output={image}"], timeout_s=120)
        image.rename(target)
    return target
