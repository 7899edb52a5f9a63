# SPDX-License-Identifier: Apache-2.0
"""X.509 certificates as manufacturers make them: read where cryptography is stricter than they are.

Nuvoton's and others' name their authorities by sets whose elements are not in DER's order (X.690,
11.6). What is signed is those bytes, so they are kept; only to read fields a copy is put in order.
"""

from __future__ import annotations

import base64
import logging
import re

from cryptography import x509

from pykexec.errors import FormatError
from pykexec.verify.unreadable import UNREADABLE

log = logging.getLogger(__name__)

_PEM = re.compile(rb"-----BEGIN ((?:X509 )?CERTIFICATE)-----(.*?)-----END \1-----", re.DOTALL)
_OCTET_STRING, _SEQUENCE, _SET, _CONSTRUCTED = 0x04, 0x30, 0x31, 0x20
_DEPTH_MAX = 32
_LENGTH_MAX = 4  # bytes of a length


def load(der: bytes) -> x509.Certificate:
    """The certificate's fields; ValueError for what is none."""
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError:
        try:
            ordered = in_order(der)
        except FormatError:
            ordered = der
        if ordered == der:
            raise
        return x509.load_der_x509_certificate(ordered)


def parse_bundle(data: bytes, source: str) -> tuple[bytes, ...]:
    """Certificates of a file, as DER: PEM, any number, or DER. One that cannot be read is told and
    left out; FormatError where there is no other.
    """
    faults, found = [], []
    pem = [text for _, text in _PEM.findall(data)]
    for number, text in enumerate(pem or [data], 1):
        where = f"certificate {number} of {len(pem)}: " if len(pem) > 1 else ""
        try:
            der = base64.b64decode(b"".join(text.split()), validate=True) if pem else text
            load(der)
        except UNREADABLE as error:
            faults.append(f"{source}: {where}no certificate: {error}")
        else:
            found.append(der)
    if not found:
        raise FormatError("; ".join(faults))
    for fault in faults:
        log.warning("%s", fault)
    return tuple(found)


def in_order(der: bytes) -> bytes:
    """der with the elements of each set in order, also inside of octet strings, where extensions
    lie; FormatError for what is no DER.
    """
    return b"".join(_elements(der, 0))


def _elements(data: bytes, depth: int) -> list[bytes]:
    if depth > _DEPTH_MAX:
        raise FormatError("DER: nested too deep")
    found, offset = [], 0
    while offset < len(data):
        start, end = _contents(data, offset)
        inner = _inner(data[offset], data[start:end], depth)
        found.append(data[offset:start] + inner)
        offset = end
    return found


def _inner(tag: int, contents: bytes, depth: int) -> bytes:
    if tag & _CONSTRUCTED:
        elements = _elements(contents, depth + 1)
        return b"".join(sorted(elements) if tag == _SET else elements)
    if tag == _OCTET_STRING and contents[:1] == bytes([_SEQUENCE]):
        try:
            return b"".join(_elements(contents, depth + 1))
        except FormatError:
            return contents
    return contents


def _contents(data: bytes, offset: int) -> tuple[int, int]:
    """Where the contents of the element at offset lie (X.690, 8.1)."""
    start = offset + 2
    length = data[offset + 1] if start <= len(data) else len(data)
    if length & 0x80:
        size = length & 0x7F
        if not 1 <= size <= _LENGTH_MAX:
            raise FormatError(f"DER: offset {offset}: length of {size} bytes")
        length = int.from_bytes(data[start : start + size], "big")
        start += size
    if start + length > len(data):
        raise FormatError(f"DER: offset {offset}: cut off")
    return start, start + length
