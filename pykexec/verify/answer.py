# SPDX-License-Identifier: Apache-2.0
"""Sealing what attest.answer opens: one secret for one process that cannot be reached."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash

from pykexec.attest.answer import IV, TAG_SIZE, answer_info, encode_plain
from pykexec.attest.p256 import Point
from pykexec.verify.keys import point_of
from pykexec.verify.release import PlainSecret, ephemeral_key

_KEY_SIZE, _WHOLE_TAG_SIZE = 32, 16


def seal_answer(secret: PlainSecret, key: Point, statement: bytes) -> bytes:
    """For the owner of key, and this statement; FormatError where the secret does not fit."""
    recipient = ephemeral_key(*key)
    plain = encode_plain(secret.kind, secret.parameters, memoryview(secret.value))
    try:
        ephemeral = ec.generate_private_key(recipient.curve)
        shared = ephemeral.exchange(ec.ECDH(), recipient)
        content_key = ConcatKDFHash(SHA256(), _KEY_SIZE, answer_info(statement)).derive(shared)
        sealed = AESGCM(content_key).encrypt(IV, plain, None)
    finally:
        plain[:] = bytes(len(plain))
    x, _ = point_of(ephemeral.public_key())
    return bytes([len(plain)]) + x + sealed[: TAG_SIZE - _WHOLE_TAG_SIZE]
