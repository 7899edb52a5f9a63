# SPDX-License-Identifier: Apache-2.0
"""What operators' browsers say of security keys."""

from __future__ import annotations

from pykexec.server.people.security_keys import RelyingParty
from tests.support.authenticator import ORIGIN, Authenticator

_CHALLENGE = bytes(range(32))
_PARTY = RelyingParty(ORIGIN)
_KEY = Authenticator()
_MADE = _KEY.create(_PARTY.creation("operator:anna", "anna", (), _CHALLENGE))
_PUBLIC = _PARTY.registered(_MADE, _CHALLENGE).public


def registration(data: bytes) -> None:
    """Whatever it is, it is registered or refused."""
    _PARTY.registered(data.decode("utf-8", "replace"), _CHALLENGE)


def registrations() -> list[bytes]:
    return [_MADE.encode()]


def assertion(data: bytes) -> None:
    """Whatever it is, a key has signed it or not."""
    _PARTY.asserted(data.decode("utf-8", "replace"), _CHALLENGE, (_PUBLIC,))


def assertions() -> list[bytes]:
    return [_KEY.get(_PARTY.request((_KEY.credential,), _CHALLENGE)).encode()]
