# SPDX-License-Identifier: Apache-2.0
"""EFI status codes (UEFI 2.10, appendix D), their names and the errno that fits each."""

from __future__ import annotations

import errno
import os

from pykexec.errors import FirmwareError

SUCCESS = 0
ERROR_BIT = 1 << 63

_ERRORS: dict[int, tuple[str, int]] = {
    1: ("LOAD_ERROR", errno.ENOEXEC),
    2: ("INVALID_PARAMETER", errno.EINVAL),
    3: ("UNSUPPORTED", errno.EOPNOTSUPP),
    4: ("BAD_BUFFER_SIZE", errno.EINVAL),
    5: ("BUFFER_TOO_SMALL", errno.ERANGE),
    6: ("NOT_READY", errno.EAGAIN),
    7: ("DEVICE_ERROR", errno.EIO),
    8: ("WRITE_PROTECTED", errno.EROFS),
    9: ("OUT_OF_RESOURCES", errno.ENOMEM),
    10: ("VOLUME_CORRUPTED", errno.EUCLEAN),
    11: ("VOLUME_FULL", errno.ENOSPC),
    12: ("NO_MEDIA", errno.ENOMEDIUM),
    13: ("MEDIA_CHANGED", errno.ESTALE),
    14: ("NOT_FOUND", errno.ENOENT),
    15: ("ACCESS_DENIED", errno.EACCES),
    16: ("NO_RESPONSE", errno.EHOSTUNREACH),
    17: ("NO_MAPPING", errno.EADDRNOTAVAIL),
    18: ("TIMEOUT", errno.ETIMEDOUT),
    19: ("NOT_STARTED", errno.ENETDOWN),
    20: ("ALREADY_STARTED", errno.EALREADY),
    21: ("ABORTED", errno.ECANCELED),
    22: ("ICMP_ERROR", errno.ENETUNREACH),
    23: ("TFTP_ERROR", errno.EPROTO),
    24: ("PROTOCOL_ERROR", errno.EPROTO),
    25: ("INCOMPATIBLE_VERSION", errno.EPROTONOSUPPORT),
    26: ("SECURITY_VIOLATION", errno.EKEYREJECTED),
    27: ("CRC_ERROR", errno.EBADMSG),
    28: ("END_OF_MEDIA", errno.ENXIO),
    31: ("END_OF_FILE", errno.ENODATA),
    32: ("INVALID_LANGUAGE", errno.EINVAL),
    33: ("COMPROMISED_DATA", errno.EBADMSG),
    34: ("IP_ADDRESS_CONFLICT", errno.EADDRINUSE),
    35: ("HTTP_ERROR", errno.EPROTO),
}


def is_error(status: int) -> bool:
    """Is it an error? Warnings and success are none."""
    return bool(status & ERROR_BIT)


def status_name(status: int) -> str:
    """The specification's word for status, without "EFI_"."""
    if status == SUCCESS:
        return "SUCCESS"
    if is_error(status) and (known := _ERRORS.get(status & ~ERROR_BIT)):
        return known[0]
    return f"{status:#x}"


def status_errno(status: int) -> int:
    """The errno that fits an error status; EIO for what nobody knows."""
    return _ERRORS.get(status & ~ERROR_BIT, ("", errno.EIO))[1]


def check_status(status: int, what: str) -> None:
    """Raise FirmwareError, naming what was asked for, if status is an error."""
    if is_error(status):
        code = status_errno(status)
        fault = f"{os.strerror(code)} (EFI_{status_name(status)})"
        raise FirmwareError(code, fault, what, status)
