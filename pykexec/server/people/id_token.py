# SPDX-License-Identifier: Apache-2.0
"""ID tokens: whether one says that a person has logged in, here, now and for this boot.

OpenID Connect Core 1.0, 3.1.3.7. The nonce is the digest of a boot's statement and policy, so a
token is an approval of that boot and of no other.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet, import_key

from pykexec.errors import PykexecError

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "Ed25519")
"""Signatures by a key of the provider's; none that our own secret, or nobody, could make."""
TOKEN_MAX = 32 << 10  # characters
SKEW_S = 60
"""So far the provider's clock may be from ours."""
AGE_MAX_S = 600
"""A token is made while the person looks at our page."""
GROUPS_MAX = 1024
_SUBJECT_MAX = 255
_TEXT_MAX = 256
_AMR_MAX = 32


class LoginRefused(PykexecError):
    """Nobody has logged in, or not as is demanded; str() says why, for that person."""


class UnknownKey(LoginRefused):
    """The token is signed by a key that is not in the set."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a token must say; max_age_s 0 and acr () leave that open. purpose is what the nonce is
    of, in words.
    """

    issuer: str
    client_id: str
    nonce: str
    groups_claim: str = "groups"
    max_age_s: int = 0
    acr: tuple[str, ...] = ()
    purpose: str = "boot or another policy"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who has logged in, and what proves it: the token, and the provider's key set (JSON)
    by which it was checked. groups is None where the token says nothing of them.
    """

    subject: str
    name: str
    groups: tuple[str, ...] | None
    acr: str
    amr: tuple[str, ...]
    auth_time: datetime
    token: str
    key_set: str


def check_token(token: str, key_set: Mapping[str, object], wanted: Wanted, now: datetime) -> Person:
    """Whom the token is about; LoginRefused, or UnknownKey."""
    person = check_claims(signed_claims(token, key_set), wanted, now)
    kept = json.dumps(key_set, sort_keys=True, separators=(",", ":"))
    return replace(person, token=token, key_set=kept)


def check_claims(claims: Mapping[str, object], wanted: Wanted, now: datetime) -> Person:
    """Whom the claims of a token are about whose signature is good; LoginRefused."""
    time = now.timestamp()
    if claims.get("iss") != wanted.issuer:
        raise LoginRefused("the login is of another login service than this server's")
    _check_audience(claims, wanted.client_id)
    _check_times(claims, time)
    if not hmac.compare_digest(_text(claims, "nonce").encode(), wanted.nonce.encode()):
        raise LoginRefused(f"the login was for another {wanted.purpose}")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _SUBJECT_MAX:
        raise LoginRefused("the login service does not say who you are (sub)")
    auth_time = _number(claims, "auth_time")
    if wanted.max_age_s and (auth_time is None or time - auth_time > wanted.max_age_s + SKEW_S):
        raise LoginRefused(f"the login is older than {wanted.max_age_s} s: log in again")
    acr = _text(claims, "acr")
    if wanted.acr and acr not in wanted.acr:
        kind = acr[:_TEXT_MAX] or "an unknown kind"
        raise LoginRefused(f"this login is of {kind}, which is not enough here")
    issued = _number(claims, "iat")
    assert issued is not None
    return Person(
        subject=subject,
        name=_name(claims, subject),
        groups=_texts(claims, wanted.groups_claim, GROUPS_MAX),
        acr=acr[:_TEXT_MAX],
        amr=_texts(claims, "amr", _AMR_MAX) or (),
        auth_time=datetime.fromtimestamp(issued if auth_time is None else auth_time, UTC),
        token="",
        key_set="",
    )


def signed_claims(token: str, key_set: Mapping[str, object]) -> Mapping[str, object]:
    """The claims of a token that is signed by a key of the set, whatever they are; UnknownKey."""
    if len(token) > TOKEN_MAX:
        raise LoginRefused(f"the login service's token has more than {TOKEN_MAX} characters")
    keys = _keys(key_set)
    if not keys:
        raise UnknownKey("the login service announces no key that signs")
    try:
        return jwt.decode(token, KeySet(keys), algorithms=list(ALGORITHMS)).claims
    except (JoseError, ValueError, TypeError, KeyError) as error:
        # Of a key that is not there, or of a signature that is not by it: with another set it may
        # be another matter.
        raise UnknownKey(f"the login service's token is not signed by it: {error}") from None


def _keys(key_set: Mapping[str, object]) -> list[Key]:
    """Those that sign; a set may have others, of kinds that nobody here knows."""
    found: list[Key] = []
    listed = key_set.get("keys")
    for value in listed if isinstance(listed, list) else ():
        if not isinstance(value, dict) or value.get("use", "sig") != "sig":
            continue
        if value.get("kty") not in ("RSA", "EC", "OKP"):
            continue  # A shared secret signs nothing that others could check.
        try:
            found.append(import_key(value))
        except (JoseError, ValueError, TypeError, KeyError):
            continue
    return found


def _check_audience(claims: Mapping[str, object], client_id: str) -> None:
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    party = claims.get("azp", client_id if len(named) == 1 else None)
    if client_id not in named or party != client_id:
        raise LoginRefused("the login was for another service than this server")


def _check_times(claims: Mapping[str, object], now: float) -> None:
    issued, expires = _number(claims, "iat"), _number(claims, "exp")
    if issued is None or expires is None:
        raise LoginRefused("the login service does not say when (iat, exp)")
    if issued > now + SKEW_S:
        ahead = f"{issued - now:.0f} s ahead of this server's"
        raise LoginRefused(f"the login service's clock is {ahead}: one of them is wrong")
    if expires <= now - SKEW_S or issued < now - AGE_MAX_S:
        ago = f"{now - issued:.0f} s ago by this server's clock"
        raise LoginRefused(f"the login has expired: it was made {ago}")


def _number(claims: Mapping[str, object], key: str) -> float | None:
    value = claims.get(key)
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**40
    return float(value) if good and isinstance(value, int | float) else None


def _text(claims: Mapping[str, object], key: str) -> str:
    value = claims.get(key)
    return value if isinstance(value, str) else ""


def _texts(claims: Mapping[str, object], key: str, count_max: int) -> tuple[str, ...] | None:
    value = claims.get(key)
    if not isinstance(value, list):
        return None
    return tuple(text[:_TEXT_MAX] for text in value[:count_max] if isinstance(text, str))


def _name(claims: Mapping[str, object], subject: str) -> str:
    for key in ("preferred_username", "email", "name"):
        if text := _text(claims, key):
            return text[:_TEXT_MAX]
    return subject
