# SPDX-License-Identifier: Apache-2.0
"""Kernel modules for the initramfs: found, with what they depend on, unpacked, in load order.

modules.dep is not read: only depmod makes it, so a kernel package that was merely unpacked has
none. The modules say themselves what they need (.modinfo, "depends=").
"""

from __future__ import annotations

import gzip
import io
import lzma
import os
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import zstandard
from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from pykexec.errors import FormatError, UsageError
from pykexec.image import files

_SUFFIXES = (".ko", ".ko.xz", ".ko.gz", ".ko.zst")


_SIGNED = b"~Module signature appended~\n"
"""The end of a signed module (Linux, Documentation/admin-guide/module-signing.rst)."""


@dataclass(frozen=True, slots=True)
class Module:
    """A kernel module as insmod takes it: ELF, not compressed; needs names others; release is the
    kernel that it is for, "" if it does not say. Where it was found, in source, makes no
    difference.
    """

    name: str
    data: bytes
    needs: tuple[str, ...]
    licence: str
    """As MODULE_LICENSE() says it."""
    source: Path = field(compare=False)
    release: str = ""

    @property
    def is_signed(self) -> bool:
        """Has it a signature, whoever's? A kernel that is locked down loads no other."""
        return self.data.endswith(_SIGNED)


def find(kernel: Path, version: str) -> Path:
    """The directory of the modules of kernel, a file: which version that is, its header says.

    Where a system keeps its kernels in /usr it is the kernel's own; else the one of that version
    in the root directory whose /boot the kernel is in, or in this system's.
    """
    if kernel.absolute().parent.name == version:
        return kernel.parent
    roots = [kernel.absolute().parent.parent, Path("/")]
    below = ("lib/modules", "usr/lib/modules")
    found = [path for root in roots for lib in below if (path := root / lib / version).is_dir()]
    return found[0] if found else Path("/lib/modules", version)


def load(
    directory: Path, names: Iterable[str], optional: Iterable[str] = ()
) -> dict[str, list[Module]]:
    """For each name the modules of directory (/lib/modules/<version>) to be loaded, in order.

    What the kernel has built in (modules.builtin) needs none. Of optional, those that this kernel
    does not have are left out. FormatError if a module is missing or broken, UsageError if
    directory is.
    """
    if not directory.is_dir():
        raise UsageError(f"{directory}: no such directory of kernel modules")
    available, builtin = _index(directory), _builtin(directory)
    found: dict[str, Module] = {}

    def visit(name: str, needed_by: str) -> None:
        if name in found or name in builtin:
            return
        if name not in available:
            raise FormatError(f"{directory}: no kernel module {name}{needed_by}")
        data = _unpack(available[name])
        said = _modinfo(data, available[name])
        needs = tuple(_canonical(other) for other in said.get("depends", "").split(",") if other)
        for dependency in needs:
            visit(dependency, f", which {name} needs")
        release = said.get("vermagic", "").partition(" ")[0]
        licence = said.get("license", "")
        found[name] = Module(name, data, needs, licence, available[name], release)

    wanted = [_canonical(name) for name in names]
    wanted += [name for name in map(_canonical, optional) if name in available or name in builtin]
    for name in wanted:
        visit(name, "")
    return {name: _order(name, found) for name in wanted}


def _order(name: str, found: dict[str, Module]) -> list[Module]:
    """name and what it needs, dependencies first."""
    if name not in found:
        return []
    ordered: dict[str, Module] = {}
    for needed in found[name].needs:
        ordered |= {module.name: module for module in _order(needed, found)}
    return [*ordered.values(), found[name]]


def _canonical(name: str) -> str:
    return name.replace("-", "_")


def _stem(name: str) -> str:
    return _canonical(name.partition(".ko")[0])


def _index(directory: Path) -> dict[str, Path]:
    """All modules below directory; with updates/ before kernel/, as depmod has it by default."""
    found: dict[str, Path] = {}
    for root, folders, names in os.walk(directory):
        folders.sort(key=lambda folder: (folder != "updates", folder))
        folders[:] = [name for name in folders if name not in ("build", "source")]
        for name in sorted(names):
            if name.endswith(_SUFFIXES):
                found.setdefault(_stem(name), Path(root, name))
    return found


def _builtin(directory: Path) -> frozenset[str]:
    listing = directory / "modules.builtin"
    lines = files.read(listing).decode(errors="replace").split() if listing.exists() else []
    return frozenset(_stem(Path(line).name) for line in lines)


def _unpack(path: Path) -> bytes:
    data = files.read(path)
    try:
        if path.suffix == ".xz":
            return lzma.decompress(data)
        if path.suffix == ".gz":
            return gzip.decompress(data)
        if path.suffix == ".zst":
            return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    except (lzma.LZMAError, OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise FormatError(f"{path}: cannot be decompressed: {error}") from error
    return data


def _modinfo(data: bytes, path: Path) -> dict[str, str]:
    try:
        section = ELFFile(io.BytesIO(data)).get_section_by_name(".modinfo")
    except ELFError as error:
        raise FormatError(f"{path}: not a kernel module: {error}") from error
    if section is None:
        raise FormatError(f"{path}: not a kernel module: no .modinfo section")
    pairs = (each.partition("=") for each in bytes(section.data()).decode("latin-1").split("\0"))
    return {key: value for key, _, value in pairs}
