# SPDX-License-Identifier: Apache-2.0
"""Passwords as they are kept: salted scrypt (RFC 7914)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading

from pykexec.errors import UsageError

SIZE_MIN = 12  # characters
SIZE_MAX = 1024
_LOG2_N, _R, _P = 15, 8, 1  # 32 MiB and some 60 ms
_MEMORY_MAX = 64 << 20
# What guessing passwords may take from the machine.
_at_once = threading.BoundedSemaphore(2)


def check_strength(password: str) -> None:
    """UsageError for what nobody should have as a password."""
    if not SIZE_MIN <= len(password) <= SIZE_MAX:
        raise UsageError(f"a password has from {SIZE_MIN} to {SIZE_MAX} characters")
    if len(set(password)) < 5:
        raise UsageError("a password has more than a few different characters")


def hash_password(password: str) -> str:
    """What is kept: scrypt$log2(N)$r$p$salt$hash."""
    salt = secrets.token_bytes(16)
    digest = _scrypt(password, salt, _LOG2_N, _R, _P)
    return f"scrypt${_LOG2_N}${_R}${_P}${_text(salt)}${_text(digest)}"


def verify_password(password: str, kept: str | None) -> bool:
    """Whether it is the one; takes as long where there is none."""
    if kept is None:
        _scrypt(password, bytes(16), _LOG2_N, _R, _P)
        return False
    _name, log2_n, r, p, salt, digest = kept.split("$")
    found = _scrypt(password, base64.b64decode(salt), int(log2_n), int(r), int(p))
    return hmac.compare_digest(found, base64.b64decode(digest))


def _scrypt(password: str, salt: bytes, log2_n: int, r: int, p: int) -> bytes:
    with _at_once:
        data = password.encode("utf-8", "surrogatepass")
        return hashlib.scrypt(
            data, salt=salt, n=1 << log2_n, r=r, p=p, maxmem=_MEMORY_MAX, dklen=32
        )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
