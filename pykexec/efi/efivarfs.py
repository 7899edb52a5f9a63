# SPDX-License-Identifier: Apache-2.0
"""Where efivarfs is and how to write to what it guards: all that the mailbox needs of it."""

from __future__ import annotations

import errno
import os
import struct

# Not pathlib: it would be a tenth of the guest's start.
StrPath = str | os.PathLike[str]
EFIVARFS = "/sys/firmware/efi/efivars"

# linux/fs.h; efivarfs sets the flag on every variable whose GUID it does not know.
_FS_IOC_GETFLAGS = 0x80086601
_FS_IOC_SETFLAGS = 0x40086602
_FS_IMMUTABLE_FL = 0x10


def make_mutable(path: StrPath) -> None:
    """Clear the immutable flag; nothing to do where there is no file, or no such flag."""
    import fcntl

    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        (flags,) = struct.unpack("<i", fcntl.ioctl(fd, _FS_IOC_GETFLAGS, bytes(4)))
        if flags & _FS_IMMUTABLE_FL:
            fcntl.ioctl(fd, _FS_IOC_SETFLAGS, struct.pack("<i", flags & ~_FS_IMMUTABLE_FL))
    except OSError as error:
        if error.errno not in (errno.ENOTTY, errno.EOPNOTSUPP):
            raise
    finally:
        os.close(fd)
