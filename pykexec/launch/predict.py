# SPDX-License-Identifier: Apache-2.0
"""What the machine's TPM will hold when it has started this launch, before it ever did."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from pykexec.image.measure import extend

_ACTION = b"Calling EFI Application from Boot Option"
_SEPARATOR = bytes(4)


def pcr4(applications: Iterable[bytes], bank: str) -> bytes:
    """PCR 4 of a bank after the firmware has loaded applications, whose Authenticode digests of
    that bank these are, the first of them by a boot option (TCG PC Client PFP 1.06, 3.3.4.5).
    """
    value = bytes(hashlib.new(bank).digest_size)
    for data in (_ACTION, _SEPARATOR):
        value = extend(bank, value, data)
    for digest in applications:
        value = hashlib.new(bank, value + digest).digest()
    return value
