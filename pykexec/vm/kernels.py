# SPDX-License-Identifier: Apache-2.0
"""An unpacked kernel package: its image and the modules that a small initramfs needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pykexec.image import modules
from pykexec.vm import kernel_build, packages

_LIBS = ("lib", "usr/lib")


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel as its package ships it."""

    release: str
    image: Path
    modules: Path

    @property
    def version(self) -> str:
        """Major and minor version: "6.1"."""
        return ".".join(self.release.split(".")[:2])


def kernel(name: str) -> Kernel:
    """The kernel called name in packages.KERNELS ("6.1-cloud"), downloaded when needed.

    Or in kernel_build.BUILT ("6.12-pykexec"): `make kernel` has built it, else ToolError.
    """
    built = name in kernel_build.BUILT
    root = kernel_build.find(name) if built else packages.fetch_kernel(name)
    directory = next(path for lib in _LIBS for path in (root / lib / "modules").glob("*"))
    release = directory.name
    images = (root / "boot" / f"vmlinuz-{release}", directory / "vmlinuz")
    return Kernel(release, next(path for path in images if path.exists()), directory)


def load_order(
    kernel: Kernel, names: Iterable[str], optional: Iterable[str] = ()
) -> list[tuple[str, bytes]]:
    """Names and uncompressed contents of modules and what they depend on, in insmod order.

    Built-in modules are left out; FormatError for one that the kernel does not have, unless it is
    one of optional.
    """
    found = modules.load(kernel.modules, names, optional).values()
    return list({module.name: module.data for needed in found for module in needed}.items())
