# SPDX-License-Identifier: Apache-2.0
"""Points of P-256 in 33 bytes instead of 64 (SEC 1, 2.3.3 and 2.3.4): public keys alone."""

from __future__ import annotations

from typing import TypeAlias

from pykexec.attest.fields import ProtocolError

Point: TypeAlias = tuple[bytes, bytes]
"""X and Y, of full length."""
SIZE = 32
"""Bytes of a coordinate."""
COMPRESSED_SIZE = SIZE + 1
# SEC 2, 2.4.2: the field, and b of y^2 = x^3 - 3x + b.
_P = 2**256 - 2**224 + 2**192 + 2**96 - 1
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_EVEN, _ODD = 2, 3


def compress(x: bytes, y: bytes) -> bytes:
    """The point's 33 bytes."""
    return bytes([_ODD if y[-1] & 1 else _EVEN]) + x


def decompress(data: bytes) -> Point:
    """X and Y, of full length; ProtocolError for what is no point of the curve."""
    if len(data) != COMPRESSED_SIZE or data[0] not in (_EVEN, _ODD):
        raise ProtocolError("public key: no compressed point of P-256")
    x = int.from_bytes(data[1:])
    square = (x**3 - 3 * x + _B) % _P
    y = pow(square, (_P + 1) // 4, _P)
    if x >= _P or y * y % _P != square:
        raise ProtocolError("public key: not a point of P-256")
    if y & 1 != data[0] & 1:
        y = _P - y
    return data[1:], y.to_bytes(SIZE)
