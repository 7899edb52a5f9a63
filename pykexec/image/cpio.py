# SPDX-License-Identifier: Apache-2.0
"""Writing initramfs archives: cpio in the "newc" format, the same bytes for the same tree.

Format: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import posixpath
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pykexec.errors import UsageError

_MAGIC = b"070701"
_TRAILER = "TRAILER!!!"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the archive; path has no leading slash, mode holds type and permissions."""

    path: str
    mode: int
    data: bytes = b""
    """Contents, or the target of a symbolic link."""
    device: tuple[int, int] = (0, 0)
    """Major and minor number of a device node."""
    origin: Path | None = field(default=None, compare=False)
    """The file of the build host that data comes from; None if we made it."""

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return stat.S_ISREG(self.mode)


def file(path: str, data: bytes, permissions: int = 0o644, *, origin: Path | None = None) -> Entry:
    """A regular file."""
    return Entry(path.lstrip("/"), stat.S_IFREG | permissions, data, origin=origin)


def directory(path: str, permissions: int = 0o755) -> Entry:
    """A directory; those that lead to an entry are made by archive()."""
    return Entry(path.lstrip("/"), stat.S_IFDIR | permissions)


def link(path: str, target: str) -> Entry:
    """A symbolic link."""
    return Entry(path.lstrip("/"), stat.S_IFLNK | 0o777, target.encode())


def character_device(path: str, major: int, minor: int, permissions: int = 0o600) -> Entry:
    """A character device node."""
    return Entry(path.lstrip("/"), stat.S_IFCHR | permissions, device=(major, minor))


def archive(entries: Iterable[Entry]) -> bytes:
    """The archive of entries: sorted by path, owned by root, dated 1970; UsageError if two claim a
    path, or one has a name with which an archive ends.
    """
    by_path: dict[str, Entry] = {}
    for entry in entries:
        if entry.path == _TRAILER:
            raise UsageError(f"initramfs: /{_TRAILER} ends an archive and is no name for a file")
        if by_path.setdefault(entry.path, entry) != entry:
            raise UsageError(f"initramfs: two different files are to become /{entry.path}")
    for path in list(by_path):
        parent = posixpath.dirname(path)
        while parent:
            if not stat.S_ISDIR(by_path.setdefault(parent, directory(parent)).mode):
                raise UsageError(f"initramfs: /{parent} is no directory, but /{path} lies in it")
            parent = posixpath.dirname(parent)
    # A directory sorts before what is in it, as the kernel's unpacker needs.
    ordered = sorted(by_path.values(), key=lambda entry: entry.path.split("/"))
    records = [_record(number, entry) for number, entry in enumerate(ordered, start=1)]
    return b"".join(records) + _record(0, Entry(_TRAILER, 0))


def _record(inode: int, entry: Entry) -> bytes:
    name = entry.path.encode() + b"\0"
    nr_links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (inode, entry.mode, 0, 0, nr_links, 0, len(entry.data), 0, 0, *entry.device)
    header = _MAGIC + b"".join(b"%08x" % field for field in (*fields, len(name), 0)) + name
    return _pad(header) + _pad(entry.data)


def _pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
