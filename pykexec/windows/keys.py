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


@dataclass(frozen=True, slots=True)
class RecoveryPassword:
    """What a person would type; Windows takes it from nowhere by itself."""

    source: str
    text: memoryview


def recovery_password(text: memoryview, source: str) -> RecoveryPassword:
    """Check a recovery password; FormatError names source. The bytes stay their owner's."""
    bek.check_recovery_password(text, source)
    return RecoveryPassword(source, text)


def startup_key(file: memoryview, source: str) -> StartupKey:
    """Read a whole .BEK file; FormatError names source. The bytes stay their owner's."""
    found = bek.read(file, source)
    return StartupKey(source, found.identifier, found.volume, file, found.key_offset)


def read_bek(path: str) -> tuple[Secret, StartupKey]:
    """A .BEK file of Linux'; the secret holds its bytes, and is the caller's to wipe."""
    secret = _read(path, "no .BEK file")
    try:
        return secret, startup_key(secret.view, path)
    except BaseException:
        secret.wipe()
        raise


def read_recovery_password(path: str) -> tuple[Secret, RecoveryPassword]:
    """A file of Linux' with a recovery password and, perhaps, the end of its line."""
    secret = _read(path, "no recovery password")
    try:
        size = len(secret)
        while size and secret.view[size - 1] in b"\r\n":
            size -= 1
        return secret, recovery_password(secret.view[:size], path)
    except BaseException:
        secret.wipe()
        raise


def _read(path: str, fault: str) -> Secret:
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if not 0 < size <= _FILE_MAX:
            raise FormatError(f"{path}: {size} bytes are {fault}")
        secret = Secret(size)
        file.readinto(secret.view)
        return secret
