# SPDX-License-Identifier: Apache-2.0
"""What cryptography raises for a certificate that it cannot read, whichever field it is asked for.

Its types have no base of their own, and fields are read late: who asks for one catches them all.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
