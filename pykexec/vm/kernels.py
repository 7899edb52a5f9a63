# SPDX-License-Identifier: Apache-2.0
"""An unpacked kernel package: its image and the modules that a small initramfs needs."""

from __future__ import annotations

import lzma
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pykexec.errors import ToolError
from pykexec.vm import kernel_build, packages

_DEPENDS = re.compile(rb"(?:^|\0)depends=([^\0]*)\0")


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
    image = next((root / "boot").glob("vmlinuz-*"))
    release = image.name.removeprefix("vmlinuz-")
    return Kernel(release, image, root / "lib" / "modules" / release)


def load_order(kernel: Kernel, names: Iterable[str]) -> list[tuple[str, bytes]]:
    """Names and uncompressed contents of modules and what they depend on, in insmod order.

    Built-in modules are left out; ToolError for one that the kernel does not have.
    """
    files = {_plain(path.name): path for path in kernel.modules.rglob("*.ko*")}
    builtin = {_plain(line) for line in (kernel.modules / "modules.builtin").read_text().split()}
    loaded: dict[str, bytes] = {}

    def load(name: str) -> None:
        name = _plain(name)
        if name in loaded or name in builtin:
            return
        if name not in files:
            raise ToolError(f"{kernel.release}: has no module {name}")
        content = _read(files[name])
        depends = _DEPENDS.search(content)
        for needed in depends[1].decode().split(",") if depends else []:
            if needed:
                load(needed)
        loaded[name] = content

    for name in names:
        load(name)
    return list(loaded.items())


def _plain(path: str) -> str:
    return path.rsplit("/", 1)[-1].split(".ko")[0].replace("-", "_")


def _read(path: Path) -> bytes:
    content = path.read_bytes()
    return lzma.decompress(content) if path.suffix == ".xz" else content
