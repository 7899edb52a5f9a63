# SPDX-License-Identifier: Apache-2.0
"""Images with tpm2-tools in them, as Debian ships them."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from pykexec.errors import ToolError
from pykexec.image import elf
from pykexec.run import run
from tests.vm.images import ROOT, image

TOOL = Path("/usr/bin/tpm2")
# tpm2-tools load it by name when a device is asked for.
TCTI = "libtss2-tcti-device.so.0"
DEVICE = "/dev/pykexec/tpmrm"
TOOLS = f"export TPM2TOOLS_TCTI=device:{DEVICE}; cd /tmp; "


def tpm_image(kernel_name: str = "6.1-cloud", config: str = "") -> Path:
    """An image of images.py and all tpm2_... commands."""
    with tempfile.TemporaryDirectory(dir=_build_directory()) as directory:
        _fill(Path(directory))
        return image(kernel_name, config=config, additions=(Path(directory),))


def _build_directory() -> Path:
    path = ROOT / "build"
    path.mkdir(exist_ok=True)
    return path


def _library(name: str) -> Path:
    """Where the loader finds it."""
    for line in run(["/sbin/ldconfig", "-p"]).decode().splitlines():
        if line.split()[:1] == [name] and "x86-64" in line:
            return Path(line.rpartition(" => ")[2])
    raise ToolError(f"{name}: not installed")


def _fill(directory: Path) -> None:
    tcti = _library(TCTI)
    roots = [elf.Object(TOOL, str(TOOL)), elf.Object(tcti, str(tcti))]
    for target, source in elf.closure(roots).items():
        copy = directory / target.lstrip("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, copy)
    for name in TOOL.parent.glob("tpm2_*"):
        (directory / "usr/bin" / name.name).symlink_to(TOOL.name)
