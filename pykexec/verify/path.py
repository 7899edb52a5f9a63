# SPDX-License-Identifier: Apache-2.0
"""Certification paths by OpenSSL's libcrypto (RFC 5280, 6): it takes the certificates that
manufacturers of TPMs have made, and is what they try theirs with.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from pykexec._crypto import ffi, lib
from pykexec.errors import FormatError, PykexecError

DEPTH_MAX = 4
"""Issuers between a certificate and a trusted one."""


class PathError(FormatError):
    """No path leads to a trusted certificate."""


@dataclass(frozen=True, slots=True)
class Validity:
    """When all certificates of a path are valid, in seconds since 1970."""

    start: int
    end: int

    def holds(self, now: datetime) -> bool:
        """At now, which is aware?"""
        return self.start <= now.timestamp() <= self.end


class Anchors:
    """Certificates that are trusted, roots or intermediate ones; may be used by several threads."""

    def __init__(self) -> None:
        made = ffi.new("struct pk_roots **")
        _check(lib.pk_roots_new(made))
        self._roots = ffi.gc(made[0], lib.pk_roots_free)

    def add(self, der: bytes) -> None:
        """Trust it, too; FormatError for what is no certificate."""
        if (code := lib.pk_roots_add(self._roots, der, len(der))) == -errno.EBADMSG:
            raise FormatError("no certificate that OpenSSL can read")
        _check(code)

    def verify(self, certificates: Iterable[bytes], now: datetime) -> Validity:
        """Of the path from the first certificate (DER) to a trusted one at now (aware), which the
        others may be on; PathError where there is none.
        """
        listed = list(certificates)
        found = ffi.new("struct pk_path *")
        sizes = ffi.new("uint32_t[]", [len(der) for der in listed])
        joined = b"".join(listed)
        at = int(now.astimezone(UTC).timestamp())
        code = lib.pk_roots_verify(self._roots, joined, sizes, len(listed), DEPTH_MAX, at, found)
        if code == -errno.EBADMSG:
            raise PathError("one of the certificates is none that OpenSSL can read")
        if code == -errno.EPERM:
            text = ffi.string(found.fault).decode("ascii", "replace")
            raise PathError(f"{text} (certificate {found.depth} of the path)")
        _check(code)
        return Validity(found.start, found.end)


def _check(code: int) -> None:
    if code:
        raise PykexecError(f"libcrypto: {os.strerror(-code)}")
