# SPDX-License-Identifier: Apache-2.0
"""Secrets encrypted for one TPM, one boot and one process (JWE, RFC 7516)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from pykexec.attest import protocol
from pykexec.attest.fields import ProtocolError
from pykexec.attest.protocol import ReleasedSecret
from pykexec.tpm.constants import Curve
from pykexec.tpm.public import EccKey
from pykexec.verify.jwe import seal_direct, seal_to_key
from pykexec.verify.keys import ecc_key


@dataclass(frozen=True, slots=True, repr=False)
class PlainSecret:
    """A secret on its way from the store into a release; its owner wipes value afterwards."""

    name: str
    kind: str
    parameters: Mapping[str, str]
    value: bytearray
    use: str = ""


def ephemeral_key(x: bytes, y: bytes) -> ec.EllipticCurvePublicKey:
    """The attester's key (P-256, coordinates of 32 bytes); ProtocolError off the curve."""
    key = ecc_key(EccKey(Curve.P256, x, y))
    if key is None:
        raise ProtocolError("statement.key: not a point of P-256")
    return key


def seal(
    secrets: Iterable[PlainSecret], key: tuple[bytes, bytes], credential: bytes, nonce: bytes
) -> str:
    """The release of AttestReply: each secret to the ephemeral key, all of it to the credential.

    Who sees the connection in clear, such as a TLS proxy, has neither; nor has another process on
    the machine the ephemeral key, nor another machine the credential.
    """
    recipient = ephemeral_key(*key)
    sealed = tuple(
        ReleasedSecret(
            secret.name,
            secret.kind,
            secret.parameters,
            seal_to_key(secret.value, recipient),
            secret.use,
        )
        for secret in secrets
    )
    return seal_direct(protocol.encode_release(sealed), protocol.release_key(credential, nonce))
