# SPDX-License-Identifier: Apache-2.0
"""Which keys a system may hand in, and what each has to look like before it is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pykexec.disk import bek
from pykexec.errors import FormatError, UsageError

PASSPHRASE_MAX = 512
"""Bytes, as cryptsetup reads at most from a terminal."""
KEY_FILE_MAX = 8 << 10
_WHAT = "the value"

Check = Callable[[memoryview], None]


def check_value(kind: str, value: bytes | bytearray) -> None:
    """FormatError, which says nothing of the value but where it is wrong; UsageError for a kind
    that no system hands in.
    """
    if (check := _CHECKS.get(kind)) is None:
        raise UsageError(f"{kind!r} is not one of {', '.join(_CHECKS)}")
    check(memoryview(value))


def _startup_key(value: memoryview) -> None:
    if len(value) != bek.KEY_SIZE:
        bek.read(value, _WHAT)


def _recovery_password(value: memoryview) -> None:
    bek.check_recovery_password(value, _WHAT)


def _sized(size_max: int) -> Check:
    def check(value: memoryview) -> None:
        if not 0 < len(value) <= size_max:
            raise FormatError(f"{_WHAT}: {len(value)} bytes; from 1 to {size_max} are taken")

    return check


_CHECKS: Mapping[str, Check] = {
    "bitlocker-external-key": _startup_key,
    "bitlocker-recovery-password": _recovery_password,
    "luks-key": _sized(KEY_FILE_MAX),
    "luks-passphrase": _sized(PASSPHRASE_MAX),
}
ESCROWED_KINDS = tuple(_CHECKS)
