# SPDX-License-Identifier: Apache-2.0
"""Composing the initramfs: Python and agent, kernel modules, rescue shell, configuration;
compressed.

zstd, level 19, one thread. xz would be a seventh smaller, but takes eight times as long to unpack;
the size is paid once when the firmware reads the image, unpacking by the (emulated, slow)
processor. A kernel that unpacks no zstd gets what it does unpack.
"""

from __future__ import annotations

import gzip
import lzma
import os
import stat
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import zstandard

from pykexec.about import VERSION_FILE, version
from pykexec.config.agent import EMBEDDED_PATH, MODULES_PATH
from pykexec.errors import FormatError, UsageError
from pykexec.image import cpio, files, interpreter
from pykexec.image.modules import Module

_LEVEL = 19
_ARCHIVE_MAGICS = (
    b"070701",
    b"070702",
    b"\x1f\x8b",
    b"\x28\xb5\x2f\xfd",
    b"\xfd7zXZ\0",
    b"\x02\x21\x4c\x18",
    b"BZh",
    b"\x5d\0\0",
    b"\x89LZO",
)


@dataclass(frozen=True, slots=True)
class Addition:
    """An archive that the user has put behind ours; entries are its files if it was a directory.

    unpacked_size is what it needs at least: only of what we packed is it known.
    """

    name: str
    data: bytes
    unpacked_size: int
    entries: tuple[cpio.Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Initrd:
    """An initramfs as the kernel gets it; unpacked_size is that of its archives before
    compression.
    """

    data: bytes
    unpacked_size: int
    entries: tuple[cpio.Entry, ...]
    """Of our archive."""
    modules: Mapping[str, Module]
    """Those of the entries that are kernel modules, by path."""
    additions: tuple[Addition, ...]


def compose(
    *,
    kernel_version: str,
    modules: Mapping[str, Sequence[Module]],
    at_boot: Collection[str],
    config: bytes,
    resume: bytes,
    ramdisk: bytes,
    busybox: Path,
    additions: Sequence[Path] = (),
    pack: Callable[[bytes], bytes] | None = None,
) -> Initrd:
    """The initramfs for one kernel.

    modules gives for each name what is to be loaded, in order; PID 1 loads those of at_boot, the
    others wait until somebody asks. additions are archives (put behind ours) or directories
    (packed). pack is what packer() has for this kernel, compress() by default.
    """
    pack = pack or compress
    by_path = {
        f"lib/modules/{kernel_version}/{module.name}.ko": module
        for order in modules.values()
        for module in order
    }
    entries = (
        *_base(config, resume, ramdisk, busybox),
        *module_entries(by_path, modules, at_boot),
        *interpreter.entries(),
    )
    archive = cpio.archive(entries)
    added = tuple(_addition(path, pack) for path in additions)
    parts = [pack(archive), *(addition.data for addition in added)]
    # The kernel looks for the next archive at a multiple of 4 and skips zeros.
    data = b"".join(part + bytes(-len(part) % 4) for part in parts)
    unpacked_size = len(archive) + sum(addition.unpacked_size for addition in added)
    return Initrd(data, unpacked_size, entries, by_path, added)


def compress(archive: bytes) -> bytes:
    """zstd, the same bytes for the same archive and library version."""
    return zstandard.ZstdCompressor(level=_LEVEL, threads=0, write_checksum=False).compress(archive)


def _gzip(archive: bytes) -> bytes:
    return gzip.compress(archive, mtime=0)


def _xz(archive: bytes) -> bytes:
    return lzma.compress(archive, check=lzma.CHECK_CRC32)  # The kernel knows no other.


_PACKERS = {"RD_ZSTD": compress, "RD_GZIP": _gzip, "RD_XZ": _xz}


def packer(options: Collection[str] | None) -> Callable[[bytes], bytes]:
    """How an archive is packed for a kernel with these options (CONFIG_RD_...), the best way first;
    compress() where nobody says what it has.
    """
    if options is None:
        return compress
    return next((pack for option, pack in _PACKERS.items() if option in options), bytes)


def _base(config: bytes, resume: bytes, ramdisk: bytes, busybox: Path) -> Iterator[cpio.Entry]:
    for folder in ("dev", "proc", "sys", "run", "tmp", "root"):
        yield cpio.directory(folder)
    yield cpio.character_device("dev/console", 5, 1)
    yield cpio.file("bin/busybox", files.read(busybox), 0o755, origin=busybox)
    yield cpio.link("bin/sh", "busybox")
    yield cpio.file(EMBEDDED_PATH, config)
    yield cpio.file(interpreter.library_path("pykexec/data/resume.bin"), resume)
    yield cpio.file(interpreter.library_path("pykexec/data/ramdisk.efi"), ramdisk)
    yield cpio.file(interpreter.library_path(f"pykexec/{VERSION_FILE}"), f"{version()}\n".encode())
    yield cpio.file("init", script("pykexec.guest.init"), 0o755)
    yield cpio.file("usr/bin/pykexec", script("pykexec.cli"), 0o755)


def script(module: str) -> bytes:
    """A program that runs a module's main()."""
    first_line = f"#!{interpreter.executable()} {interpreter.FLAGS}\n"
    return f"{first_line}from {module} import main; raise SystemExit(main())\n".encode()


def module_entries(
    by_path: Mapping[str, Module],
    modules: Mapping[str, Sequence[Module]],
    at_boot: Collection[str],
) -> Iterator[cpio.Entry]:
    """The modules' files, each once, and the list that linux/modules.py reads."""
    for path, module in by_path.items():
        yield cpio.file(path, module.data, origin=module.source)
    paths = {module.name: f"/{path}" for path, module in by_path.items()}
    lines = [
        " ".join(["boot" if name in at_boot else "demand", name, *(paths[m.name] for m in order)])
        for name, order in modules.items()
    ]
    yield cpio.file(MODULES_PATH, "".join(f"{line}\n" for line in lines).encode())


def _addition(path: Path, pack: Callable[[bytes], bytes] = compress) -> Addition:
    if path.is_dir():
        entries = tuple(sorted(_tree(path), key=lambda entry: entry.path))
        archive = cpio.archive(entries)
        return Addition(path.name, pack(archive), len(archive), entries)
    data = files.read(path)
    if not data.startswith(_ARCHIVE_MAGICS):
        raise FormatError(f"{path}: neither a cpio archive nor a compressed one")
    return Addition(path.name, data, len(data))


def _tree(root: Path) -> Iterator[cpio.Entry]:
    """All that lies in root, with its permissions; UsageError for what cannot be read or said."""

    def refuse(error: OSError) -> None:
        raise UsageError(f"{error.filename}: {error.strerror}") from error

    for directory, folders, names in os.walk(root, onerror=refuse):
        for name in (*folders, *names):
            yield _entry(root, os.path.join(directory, name))


def _entry(root: Path, path: str) -> cpio.Entry:
    name = os.path.relpath(path, root)
    mode = os.lstat(path).st_mode
    target = os.readlink(path) if stat.S_ISLNK(mode) else ""
    if not _is_text(name + target):
        raise UsageError(f"{os.fsencode(path)!r}: its name, or where it leads to, is not UTF-8")
    if target:
        return cpio.link(name, target)
    if stat.S_ISDIR(mode):
        return cpio.directory(name, stat.S_IMODE(mode))
    if stat.S_ISREG(mode):
        return cpio.file(name, files.read(Path(path)), stat.S_IMODE(mode))
    raise UsageError(f"{path}: neither file, directory nor symbolic link")


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
