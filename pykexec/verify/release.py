# SPDX-License-Identifier: Apache-2.0
"""Secrets encrypted for one TPM, one boot and one process (JWE, RFC 7516)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey

from pykexec.attest import protocol
from pykexec.attest.fields import ProtocolError, base64url
from pykexec.attest.protocol import ReleasedSecret

_REGISTRY = jwe.JWERegistry(algorithms=["ECDH-ES", "dir", "A256GCM"])
_INNER = {"alg": "ECDH-ES", "enc": "A256GCM"}
_OUTER = {"alg": "dir", "enc": "A256GCM", "cty": "json"}


@dataclass(frozen=True, slots=True, repr=False)
class PlainSecret:
    """A secret on its way from the store into a release; its owner wipes value afterwards."""

    name: str
    kind: str
    parameters: Mapping[str, str]
    value: bytearray


def ephemeral_key(x: bytes, y: bytes) -> ECKey:
    """The attester's key (P-256, coordinates of 32 bytes); ProtocolError off the curve."""
    try:
        return ECKey.import_key({"kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y)})
    except (ValueError, JoseError) as error:
        raise ProtocolError(f"statement.key: {error}") from None


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
            jwe.encrypt_compact(dict(_INNER), bytes(secret.value), recipient, registry=_REGISTRY),
        )
        for secret in secrets
    )
    outer = OctKey.import_key(protocol.release_key(credential, nonce))
    plain = protocol.encode_release(sealed)
    return jwe.encrypt_compact(dict(_OUTER), plain, outer, registry=_REGISTRY)
