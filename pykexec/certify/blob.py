# SPDX-License-Identifier: Apache-2.0
"""Bytes in a report: what replay feeds to the parsers, without what identifies the machine."""

from __future__ import annotations

import base64
import binascii

from pykexec.certify.disguise import Disguise
from pykexec.errors import FormatError


def pack_blob(data: bytes, disguise: Disguise) -> str:
    """data as a report has it."""
    return base64.b64encode(disguise.hide_bytes(data)).decode()


def unpack_blob(text: object, what: str) -> bytes:
    """The bytes again; FormatError, which names what, for what is none."""
    try:
        return base64.b64decode(str(text), validate=True)
    except binascii.Error as error:
        raise FormatError(f"{what}: {error}") from None
