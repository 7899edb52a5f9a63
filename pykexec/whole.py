# SPDX-License-Identifier: Apache-2.0
"""Files that are there whole or not at all, however their writer ends.

Where the file system has files without a name (O_TMPFILE), a writer that is killed leaves nothing;
elsewhere, and for the instant in which a file takes another's place, it leaves one that the next
writer in that directory takes away: a lock tells whether somebody still writes it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO

_PREFIX, _SUFFIX = ".pykexec-", ".tmp"
# What file systems and kernels say that do not have O_TMPFILE (open(2)).
_NO_NAMELESS = (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL)


def create(path: Path, data: bytes, mode: int = 0o600) -> None:
    """A new file with that mode; FileExistsError if there is one, OSError."""
    with creating(path, mode) as file:
        file.write(data)


@contextmanager
def creating(path: Path, mode: int = 0o600) -> Iterator[BinaryIO]:
    """The same, for who writes it piece by piece: it is there once the block has ended well."""
    with _begun(path, mode) as (fd, directory, temporary):
        with open(fd, "wb", closefd=False) as file:
            yield file
        os.fsync(fd)
        if temporary is None:
            os.link(f"/proc/self/fd/{fd}", path.name, dst_dir_fd=directory)
        else:
            os.link(temporary, path.name, src_dir_fd=directory, dst_dir_fd=directory)


def replace(path: Path, data: bytes, mode: int | None = None) -> None:
    """A file in place of the one that is there, or a new one; OSError, and it is as it was.

    mode None: that of the file before, or of any new file. Who follows links resolves path first.
    """
    mode = _mode_of(path) if mode is None else mode
    with _begun(path, mode) as (fd, directory, temporary):
        with open(fd, "wb", closefd=False) as file:
            file.write(data)
        os.fsync(fd)
        if temporary is None:
            temporary = _new_name()
            os.link(f"/proc/self/fd/{fd}", temporary, dst_dir_fd=directory)
        try:
            os.replace(temporary, path.name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            _unlink(temporary, directory)
            raise


@contextmanager
def _begun(path: Path, mode: int) -> Iterator[tuple[int, int, str | None]]:
    """A locked file that is empty, the directory where it is to be, its name there if it has one
    already; the name that the block gives it is on the disk afterwards.
    """
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _remove_stale(directory)
        fd, temporary = _open(directory)
        try:
            os.fchmod(fd, mode)
            yield fd, directory, temporary
        finally:
            os.close(fd)
            if temporary is not None:
                _unlink(temporary, directory)
        os.fsync(directory)
    finally:
        os.close(directory)


def _open(directory: int) -> tuple[int, str | None]:
    flags = os.O_WRONLY | os.O_CLOEXEC
    try:
        fd = os.open(".", flags | os.O_TMPFILE, 0o600, dir_fd=directory)
    except OSError as error:
        if error.errno not in _NO_NAMELESS:
            raise
    else:
        fcntl.flock(fd, fcntl.LOCK_EX)
        return fd, None
    while True:
        name = _new_name()
        fd = os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=directory)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:
            return fd, name
        os.close(fd)  # Somebody has taken it for one that nobody writes any more.


def _remove_stale(directory: int) -> None:
    """Take away what killed writers have left: nobody has a lock on it."""
    for name in os.listdir(directory):
        if not (name.startswith(_PREFIX) and name.endswith(_SUFFIX)):
            continue
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            fd = os.open(name, flags, dir_fd=directory)
        except OSError:
            continue  # It is gone, or it is not ours.
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if stat.S_ISREG(os.fstat(fd).st_mode):
                os.unlink(name, dir_fd=directory)
        except OSError:
            continue  # It is being written, or was taken away by another.
        finally:
            os.close(fd)


def _unlink(name: str, directory: int) -> None:
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        pass  # It has its own name now.


def _new_name() -> str:
    return f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}"


def _mode_of(path: Path) -> int:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        umask = os.umask(0)
        os.umask(umask)
        return 0o666 & ~umask
