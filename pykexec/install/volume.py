# SPDX-License-Identifier: Apache-2.0
"""The EFI system partition as a mounted volume, and how a file gets onto it.

FAT keeps no journal: what is not synced may be there or not, whole or not, after a power cut. So a
file is written under another name, synced, read back from the disk, and only then renamed.
"""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

TEMPORARY = "pykexec.tmp"
"""What a file is called until it is whole, in its own directory; of no use to anybody after a power
cut, and taken away by the next who writes there."""


class Volume(Protocol):
    """What is done with it; paths are relative, with slashes. OSError names what fails."""

    def read(self, path: str) -> bytes | None:
        """Its bytes; None where there is no such file."""

    def sha256(self, path: str) -> str:
        """In hex, of what the disk has, not of what memory remembers; "" for no file."""

    def write(self, path: str, data: bytes) -> None:
        """A new file with these bytes, which may not be on the disk yet."""

    def sync(self, path: str) -> None:
        """Its bytes are on the disk afterwards."""

    def rename(self, old: str, new: str) -> None:
        """In place of what is called new."""

    def remove(self, path: str) -> None:
        """Nothing where there is none."""

    def make_directory(self, path: str) -> None:
        """With those above it, each synced; nothing where they are."""

    def sync_directory(self, path: str) -> None:
        """What is in it is on the disk afterwards."""

    def room(self) -> tuple[int, int]:
        """Bytes that are free, and of a cluster."""

    def size(self, path: str) -> int:
        """Bytes of a file, 0 of none."""


@dataclass(frozen=True, slots=True)
class MountedVolume:
    """Where Linux has it."""

    root: Path

    def read(self, path: str) -> bytes | None:
        """See Volume."""
        try:
            fd = os.open(self.root / path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        with open(fd, "rb") as file:
            return file.read()

    def sha256(self, path: str) -> str:
        """See Volume."""
        try:
            fd = os.open(self.root / path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return ""
        with open(fd, "rb") as file:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            return hashlib.file_digest(file, "sha256").hexdigest()

    def write(self, path: str, data: bytes) -> None:
        """See Volume."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with open(os.open(self.root / path, flags, 0o644), "wb") as file:
            file.write(data)

    def sync(self, path: str) -> None:
        """See Volume."""
        self._fsync(path, os.O_RDONLY)

    def rename(self, old: str, new: str) -> None:
        """See Volume."""
        os.replace(self.root / old, self.root / new)

    def remove(self, path: str) -> None:
        """See Volume."""
        (self.root / path).unlink(missing_ok=True)

    def make_directory(self, path: str) -> None:
        """See Volume."""
        above = ""
        for name in path.split("/"):
            inner = f"{above}/{name}".lstrip("/")
            if not (self.root / inner).is_dir():
                os.mkdir(self.root / inner)
                self.sync_directory(above)
            above = inner

    def sync_directory(self, path: str) -> None:
        """See Volume."""
        self._fsync(path, os.O_RDONLY | os.O_DIRECTORY)

    def room(self) -> tuple[int, int]:
        """See Volume."""
        found = os.statvfs(self.root)
        return found.f_bavail * found.f_frsize, found.f_frsize

    def size(self, path: str) -> int:
        """See Volume."""
        try:
            return os.stat(self.root / path).st_size
        except FileNotFoundError:
            return 0

    def _fsync(self, path: str, flags: int) -> None:
        fd = os.open(self.root / path, flags | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def put(volume: Volume, path: str, data: bytes) -> None:
    """Make path hold data, or leave it as it was and raise OSError."""
    directory = path.rpartition("/")[0]
    temporary = f"{directory}/{TEMPORARY}"
    volume.make_directory(directory)
    volume.remove(temporary)
    try:
        volume.write(temporary, data)
        volume.sync(temporary)
        _check(volume, temporary, data)
    except OSError:
        with suppress(OSError):
            volume.remove(temporary)
        raise
    volume.rename(temporary, path)
    volume.sync_directory(directory)
    _check(volume, path, data)


def _check(volume: Volume, path: str, data: bytes) -> None:
    if volume.sha256(path) != hashlib.sha256(data).hexdigest():
        raise OSError(errno.EIO, "the disk does not give back what was written to it", path)


def make_room(volume: Volume, files: dict[str, bytes], expendable: str = "") -> bool:
    """Whether expendable, a file, has to go first; OSError (ENOSPC) where even then there is not
    enough for files beside all that is there. Nothing is written.
    """
    free, cluster = volume.room()
    # Of the leftovers of a power cut; and two clusters for each directory, which may grow.
    leftovers = {f"{path.rpartition('/')[0]}/{TEMPORARY}" for path in files}
    free += sum(_clusters(volume.size(path), cluster) for path in leftovers)
    needed = sum(_clusters(len(data), cluster) for data in files.values())
    needed += 2 * cluster * (1 + len(files))
    if needed <= free:
        return False
    gained = _clusters(volume.size(expendable), cluster) if expendable else 0
    if needed <= free + gained:
        return True
    fault = f"{(free + gained) >> 10} KiB are free, {-(-needed >> 10)} KiB are needed"
    raise OSError(errno.ENOSPC, f"the EFI system partition is full: {fault}")


def _clusters(size: int, cluster: int) -> int:
    return -(-size // cluster) * cluster
