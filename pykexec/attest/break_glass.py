# SPDX-License-Identifier: Apache-2.0
"""What a machine without a network shows to persons: an offer, as text that fits into a QR code.

    machine                       phone                         server
    QR: ADDRESS/OFFER         ->  opens the page            ->  verifies, asks persons
    typed at the console      <-  groups of letters         <-  the answer (attest.answer)

The quote is over a statement like any other, which is not sent: its nonce follows from the
ephemeral key, and what it says of machine and payload has to be what the server has accepted last.
So nothing here is fresh by itself. What counts is that an answer opens with the ephemeral key
alone, which is in the memory of the process that makes the offer and nowhere else.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from pykexec.attest.approval import consonants
from pykexec.attest.fields import ProtocolError, base64url
from pykexec.attest.p256 import COMPRESSED_SIZE, SIZE, Point, compress, decompress
from pykexec.attest.protocol import Statement
from pykexec.tpm.banks import HashAlgorithm
from pykexec.tpm.constants import Algorithm
from pykexec.tpm.wire import Reader, sized

VERSION = 1
PATH = "/BREAK-GLASS/"
"""Where offers lead to: capitals, which take less room in a QR code."""
TEXT_MAX = 1024
"""Characters of all that the QR code has, the address too."""
QUOTE_MAX = 192
"""Bytes: a TPMS_ATTEST of one bank has 145."""
_NONCE_PREFIX = b"pykexec break-glass 1\0"
_CODE_PREFIX = b"pykexec break-glass code 1\0"
_REFERENCE_PREFIX = b"pykexec break-glass reference 1\0"
_HEAD_SIZE = 1 + 2 * COMPRESSED_SIZE + 2 * SIZE
_ECDSA_SHA256 = (Algorithm.ECDSA, HashAlgorithm.SHA256)


@dataclass(frozen=True, slots=True)
class Offer:
    """Public points of AK and ephemeral key, X and Y of 32 bytes each; quote is a TPMS_ATTEST,
    signature has R and S.
    """

    ak: Point
    key: Point
    quote: bytes
    signature: Point

    def encode(self) -> str:
        """Letters and digits: base32 (RFC 4648, 6) without padding."""
        if len(self.quote) > QUOTE_MAX:
            raise ProtocolError(f"offer: a quote of {len(self.quote)} bytes is too long")
        points = compress(*self.ak) + compress(*self.key)
        data = bytes([VERSION]) + points + b"".join(self.signature) + self.quote
        return base64.b32encode(data).rstrip(b"=").decode()

    @property
    def reference(self) -> str:
        """By which a server finds what waits: nobody guesses it who has not seen the offer."""
        return base64url(self._digest(_REFERENCE_PREFIX)[:16])

    @property
    def code(self) -> str:
        """What persons type to show that they look at this machine's console."""
        return consonants(self._digest(_CODE_PREFIX))

    def _digest(self, prefix: bytes) -> bytes:
        return hashlib.sha256(prefix + self.encode().encode()).digest()


def parse_offer(text: str) -> Offer:
    """Read one, in whatever case and however the text was broken up; ProtocolError."""
    if len(text) > 2 * TEXT_MAX:
        raise ProtocolError(f"offer: {len(text)} characters are too many")
    plain = "".join(text.split()).upper().rpartition("/")[2]
    try:
        data = base64.b32decode(plain + "=" * (-len(plain) % 8))
    except ValueError:
        raise ProtocolError("offer: it is not whole, or has other characters") from None
    if not _HEAD_SIZE < len(data) <= _HEAD_SIZE + QUOTE_MAX or data[0] != VERSION:
        raise ProtocolError("offer: it is not whole, or of another version")
    ak, key = (1 + number * COMPRESSED_SIZE for number in range(2))
    signature = 1 + 2 * COMPRESSED_SIZE
    offer = Offer(
        ak=decompress(data[ak:key]),
        key=decompress(data[key:signature]),
        quote=data[_HEAD_SIZE:],
        signature=(data[signature : signature + SIZE], data[signature + SIZE : _HEAD_SIZE]),
    )
    if offer.encode() != plain:
        raise ProtocolError("offer: there is another text for it")
    return offer


def statement_for(key: Point, machine: Mapping[str, str], payload: Mapping[str, str]) -> bytes:
    """The statement that is quoted: no server has given its nonce, and none could be given it. Its
    keys are in order, since a server makes it from what it knows.
    """
    nonce = hashlib.sha256(_NONCE_PREFIX + b"".join(key)).digest()
    said, starts = (dict(sorted(facts.items())) for facts in (machine, payload))
    return Statement(nonce, key, said, starts).encode()


def split_signature(data: bytes) -> Point:
    """R and S of a TPMT_SIGNATURE (Part 2, 11.3.4); WireError or ProtocolError for one that is not
    by ECDSA with SHA-256 on P-256.
    """
    reader = Reader(data, "signature")
    kind = reader.u16(), reader.u16()
    r, s = (reader.sized().lstrip(b"\0").rjust(SIZE, b"\0") for _ in range(2))
    reader.end()
    if kind != _ECDSA_SHA256 or len(r) != SIZE or len(s) != SIZE:
        raise ProtocolError("signature: not by ECDSA with SHA-256 on P-256")
    return r, s


def join_signature(signature: Point) -> bytes:
    """The opposite."""
    return struct.pack(">HH", *_ECDSA_SHA256) + b"".join(map(sized, signature))
