# SPDX-License-Identifier: Apache-2.0
"""Security keys (WebAuthn) as a second factor: what browsers are asked, and what they answer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from fido2.server import Fido2Server
from fido2.webauthn import (
    AttestedCredentialData,
    AuthenticationResponse,
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
)

from pykexec.attest.fields import ProtocolError, base64url, parse_object
from pykexec.errors import PykexecError

ALGORITHMS = (-7, -8, -35, -257)
"""ES256, EdDSA, ES384, RS256 (COSE)."""
ANSWER_MAX = 16 << 10
"""Bytes of what a browser answers."""
CREDENTIAL_MAX = 1023
"""Bytes of a credential's name (WebAuthn, 4)."""
_WORDS_MAX = 200
_MALFORMED = (
    ValueError, KeyError, TypeError, IndexError, AttributeError, AssertionError, ArithmeticError,
    NotImplementedError, RecursionError,
)  # fmt: skip
"""What the library raises over an answer that is none."""


class KeyRefused(PykexecError):
    """A security key's answer does not count; str() says why, for its holder."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """What is kept of one: its credential's name, its public part (attested credential data)."""

    credential: bytes
    public: bytes
    counter: int


@dataclass(frozen=True, slots=True)
class Asserted:
    """A key has signed; counter is its own, 0 of one that does not count."""

    credential: bytes
    counter: int


class RelyingParty:
    """This server, as browsers know it by its address."""

    def __init__(self, address: str) -> None:
        url = urlsplit(address)
        self._origin = _origin(address)
        entity = PublicKeyCredentialRpEntity(name="pykexec", id=url.hostname or "")
        self._server = Fido2Server(entity, verify_origin=self._is_ours)
        self._server.allowed_algorithms = [
            parameters
            for parameters in self._server.allowed_algorithms
            if parameters.alg in ALGORITHMS
        ]

    def creation(
        self, actor: str, name: str, known: Iterable[bytes], challenge: bytes
    ) -> dict[str, object]:
        """What a browser is asked, to register a key (PublicKeyCredentialCreationOptionsJSON)."""
        # Keys keep it, and show it to whoever holds them: no names.
        handle = hashlib.sha256(b"pykexec user handle 1\0" + actor.encode()).digest()
        user = PublicKeyCredentialUserEntity(id=handle, name=name, display_name=name)
        options, _ = self._server.register_begin(user, _described(known), challenge=challenge)
        return dict(options.public_key)

    def request(self, known: Iterable[bytes], challenge: bytes) -> dict[str, object]:
        """And to use one (PublicKeyCredentialRequestOptionsJSON)."""
        options, _ = self._server.authenticate_begin(_described(known), challenge=challenge)
        return dict(options.public_key)

    def registered(self, answer: str, challenge: bytes) -> NewKey:
        """What was registered; KeyRefused."""
        values = _object(answer)
        try:
            client = RegistrationResponse.from_dict(values).response.client_data
            data = self._server.register_complete(_state(challenge), values)
            key = data.credential_data
            algorithm = None if key is None else key.public_key.get(3)
        except _MALFORMED as error:
            raise _refused(error) from None
        if client.cross_origin:
            raise KeyRefused("the page was within another site's")
        if key is None or algorithm not in ALGORITHMS:
            raise KeyRefused("this key signs in a way that this server does not know")
        if len(key.credential_id) > CREDENTIAL_MAX:
            raise KeyRefused("this key's name is too long")
        return NewKey(key.credential_id, bytes(key), data.counter)

    def asserted(self, answer: str, challenge: bytes, known: Iterable[bytes]) -> Asserted:
        """Which of the known ones (their public parts) has signed; KeyRefused."""
        values = _object(answer)
        kept = [AttestedCredentialData(public) for public in known]
        try:
            answered = AuthenticationResponse.from_dict(values)
            used = self._server.authenticate_complete(_state(challenge), kept, values)
        except _MALFORMED as error:
            raise _refused(error) from None
        if answered.response.client_data.cross_origin:
            raise KeyRefused("the page was within another site's")
        return Asserted(used.credential_id, answered.response.authenticator_data.counter)

    def _is_ours(self, origin: str) -> bool:
        if origin != self._origin:
            words = ascii(origin)[1:-1][:_WORDS_MAX]
            raise KeyRefused(f"the key was asked by {words}, which is not {self._origin}")
        return True


def _origin(address: str) -> str:
    """As browsers write it: without the port that goes without saying."""
    url = urlsplit(address)
    default = {"https": 443, "http": 80}.get(url.scheme)
    port = "" if url.port in (None, default) else f":{url.port}"
    return f"{url.scheme}://{url.hostname}{port}"


def _described(known: Iterable[bytes]) -> list[PublicKeyCredentialDescriptor]:
    kind = PublicKeyCredentialType.PUBLIC_KEY
    return [PublicKeyCredentialDescriptor(type=kind, id=credential) for credential in known]


def _state(challenge: bytes) -> dict[str, object]:
    return {"challenge": base64url(challenge), "user_verification": None}


def _object(answer: str) -> Mapping[str, object]:
    try:
        return parse_object(answer.encode("utf-8", "replace"), "answer", ANSWER_MAX).rest()
    except ProtocolError as error:
        raise KeyRefused(f"the security key's answer is none: {error}") from None


def _refused(error: Exception) -> KeyRefused:
    words = str(error)[:_WORDS_MAX] or type(error).__name__
    return KeyRefused(f"the security key's answer does not count: {words}")
