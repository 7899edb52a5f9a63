# SPDX-License-Identifier: Apache-2.0
"""Startup keys at hand: what a .BEK file says of itself, and its key, in memory that is wiped."""

from __future__ import annotations

import os
from dataclasses import dataclass

from pykexec.disk import bek
from pykexec.efi.guid import Guid
from pykexec.errors import FormatError
from pykexec.secret import Secret

_FILE_MAX = 4096


@dataclass(frozen=True, slots=True)
class StartupKey:
    """source is the file, or the secret, that it came from; volume None where it does not say."""

    source: str
    identifier: Guid
    volume: Guid | None
    file: memoryview
    offset: int

    @property
    def key(self) -> memoryview:
        """The key itself; ValueError or zeros once its owner has wiped it."""
        return self.file[self.offset : self.offset + bek.KEY_SIZE]

    def __str__(self) -> str:
        return f"{self.source} {{{str(self.identifier).upper()}}}"


def startup_key(file: memoryview, source: str) -> StartupKey:
    """Read a whole .BEK file; FormatError names source. The bytes stay their owner's."""
    found = bek.read(file, source)
    return StartupKey(source, found.identifier, found.volume, file, found.key_offset)


def read_bek(path: str) -> tuple[Secret, StartupKey]:
    """A .BEK file of Linux'; the secret holds its bytes, and is the caller's to wipe."""
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if not 0 < size <= _FILE_MAX:
            raise FormatError(f"{path}: {size} bytes are no .BEK file")
        secret = Secret(size)
        file.readinto(secret.view)
    try:
        return secret, startup_key(secret.view, path)
    except BaseException:
        secret.wipe()
        raise
