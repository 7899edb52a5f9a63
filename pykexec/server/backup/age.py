# SPDX-License-Identifier: Apache-2.0
"""Files encrypted to keys that the operator gives: age (age-encryption.org/v1), by pyrage.

What the library makes of an exception of a stream that it was given is its own affair, and it keeps
quiet about a last write that fails: so every failure is remembered here, and raised at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from io import BufferedIOBase
from typing import TYPE_CHECKING, BinaryIO

import pyrage

from pykexec.errors import FormatError, UsageError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

Recipient = pyrage.x25519.Recipient | pyrage.ssh.Recipient
Identity = pyrage.x25519.Identity | pyrage.ssh.Identity

_SSH_KEY = "-----BEGIN OPENSSH PRIVATE KEY-----"


def new_identity() -> tuple[str, str]:
    """A new key pair: the identity, which opens, and the recipient, to which is encrypted."""
    identity = pyrage.x25519.Identity.generate()
    return str(identity), str(identity.to_public())


def parse_recipient(text: str) -> Recipient:
    """age1... or a public key of SSH (ssh-ed25519, ssh-rsa); UsageError."""
    kind = pyrage.ssh.Recipient if text.startswith("ssh-") else pyrage.x25519.Recipient
    try:
        return kind.from_str(text)
    except pyrage.RecipientError:
        # Not repeated: who confuses the two has given the identity.
        raise UsageError("a recipient is age1... or ssh-...; this is none") from None


def parse_identities(text: str) -> list[Identity]:
    """Of a file as age-keygen or ssh-keygen writes it; UsageError, without what it says."""
    try:
        if text.lstrip().startswith(_SSH_KEY):
            return [pyrage.ssh.Identity.from_buffer(text.encode())]
        lines = [line.strip() for line in text.splitlines()]
        found: list[Identity] = [
            pyrage.x25519.Identity.from_str(line) for line in lines if line and line[0] != "#"
        ]
    except pyrage.IdentityError:
        found = []
    if not found:
        raise UsageError("an identity is a file with AGE-SECRET-KEY-1... or a private key of SSH")
    return found


def encrypt(pieces: Iterator[bytes], output: BinaryIO, recipients: Sequence[Recipient]) -> None:
    """Write the pieces, encrypted to all recipients; what either side raises, as it is."""
    source, sink = _Source(pieces), _Sink(output.write)
    try:
        pyrage.encrypt_io(source, sink, recipients)
    except Exception as error:
        raise source.fault or sink.fault or error from None
    if fault := source.fault or sink.fault:
        raise fault


def decrypt(
    source: BufferedIOBase, identities: Sequence[Identity], take: Callable[[bytes], object]
) -> None:
    """Give what was encrypted to take(), piece by piece, each authentic by itself; FormatError for
    what is no such file, is cut off or was changed, UsageError where no identity opens it.
    """
    sink = _Sink(take)
    try:
        pyrage.decrypt_io(source, sink, identities)
    except (pyrage.DecryptError, OSError) as error:
        if sink.fault:
            raise sink.fault from None
        if isinstance(error, OSError) and error.errno:
            raise
        if "No matching keys" in str(error):
            raise UsageError("encrypted to another key than the identity that was given") from None
        raise FormatError(f"not as it was written: {error}") from None
    if sink.fault:
        raise sink.fault


class _Source(BufferedIOBase):
    """Pieces as a file that is read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, b""
        self.fault: Exception | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        """At most size bytes, b"" at the end."""
        assert size is not None and size > 0
        try:
            while not self._rest and (piece := next(self._pieces, None)) is not None:
                self._rest = piece
        except Exception as error:
            self.fault = error
            raise
        found, self._rest = self._rest[:size], self._rest[size:]
        return found


class _Sink(BufferedIOBase):
    """A function as a file that is written."""

    def __init__(self, take: Callable[[bytes], object]) -> None:
        self._take = take
        self.fault: Exception | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        """All of it; after a failure nothing any more."""
        if self.fault:
            raise self.fault
        whole = bytes(data)
        try:
            self._take(whole)
        except Exception as error:
            self.fault = error
            raise
        return len(whole)
