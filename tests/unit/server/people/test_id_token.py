# SPDX-License-Identifier: Apache-2.0
"""ID tokens: which are an approval of this boot, and why others are none."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, Key, KeyParameters, OctKey, OKPKey, RSAKey

from pykexec.server.people.id_token import (
    AGE_MAX_S,
    SKEW_S,
    TOKEN_MAX,
    LoginRefused,
    UnknownKey,
    Wanted,
    check_token,
)

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TIME = int(NOW.timestamp())
WANTED = Wanted("https://login.example", "pykexec", "nonce of this boot")
CLAIMS = {
    "iss": "https://login.example",
    "aud": "pykexec",
    "sub": "u-17",
    "nonce": "nonce of this boot",
    "iat": TIME - 5,
    "exp": TIME + 300,
    "auth_time": TIME - 60,
    "groups": ["key-holders"],
    "acr": "gold",
    "amr": ["hwk", "mfa"],
    "email": "anna@example.org",
}


@cache
def key(kind: str = "EC", name: str = "one") -> Key:
    """The provider's; another by each name."""
    parameters: KeyParameters = {"kid": name, "use": "sig"}
    if kind == "RSA":
        return RSAKey.generate_key(2048, parameters)
    if kind == "OKP":
        return OKPKey.generate_key("Ed25519", parameters)
    return ECKey.generate_key("P-256", parameters)


def key_set(*keys: Key) -> dict[str, object]:
    return {"keys": [each.as_dict(private=False) for each in keys or (key(),)]}


def token(**claims: object) -> str:
    """Signed, with some claims changed; None leaves one out."""
    return signed(key(), "ES256", claims)


def signed(by: Key, algorithm: str, claims: Mapping[str, object] = CLAIMS) -> str:
    """The same by another key."""
    said = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}
    header = {"alg": algorithm, "kid": by.kid}
    return jwt.encode(header, said, by, algorithms=[algorithm])


def test_a_good_token_says_who_has_logged_in() -> None:
    person = check_token(token(), key_set(), WANTED, NOW)
    assert (person.subject, person.name) == ("u-17", "anna@example.org")
    assert (person.groups, person.acr, person.amr) == (("key-holders",), "gold", ("hwk", "mfa"))
    assert person.auth_time == datetime.fromtimestamp(TIME - 60, UTC)
    assert '"kid":"one"' in person.key_set and '"d":' not in person.key_set


@pytest.mark.parametrize(
    ("kind", "algorithm"), [("RSA", "RS256"), ("RSA", "PS256"), ("OKP", "Ed25519")]
)
def test_other_signatures_count_too(kind: str, algorithm: str) -> None:
    by = key(kind)
    assert check_token(signed(by, algorithm), key_set(by), WANTED, NOW).subject == "u-17"


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "another boot's nonce": ({"nonce": "nonce of another boot"}, "another boot or another policy"),
    "no nonce": ({"nonce": None}, "another boot or another policy"),
    "another audience": ({"aud": "mail"}, "for another service"),
    "no audience": ({"aud": None}, "for another service"),
    "among audiences": ({"aud": ["pykexec", "mail"]}, "for another service"),
    "another party": ({"azp": "mail"}, "for another service"),
    "another issuer": ({"iss": "https://login.example/"}, "another login service"),
    "expired": ({"iat": TIME - 400, "exp": TIME - SKEW_S}, "has expired: it was made 400 s ago"),
    "old": ({"iat": TIME - AGE_MAX_S - 1}, "has expired"),
    "from the future": ({"iat": TIME + SKEW_S + 1}, "clock is 61 s ahead"),
    "no time": ({"exp": None}, "does not say when"),
    "time as text": ({"iat": "now"}, "does not say when"),
    "no subject": ({"sub": None}, "who you are"),
    "an endless subject": ({"sub": "x" * 256}, "who you are"),
    "too long": ({"more": "x" * TOKEN_MAX}, "more than"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_approval_is_refused_in_words(what: str) -> None:
    claims, words = REFUSED[what]
    with pytest.raises(LoginRefused, match=words):
        check_token(token(**claims), key_set(), WANTED, NOW)


def test_times_within_the_skew_are_good() -> None:
    check_token(token(iat=TIME + SKEW_S), key_set(), WANTED, NOW)
    check_token(token(iat=TIME - 300, exp=TIME - SKEW_S + 1), key_set(), WANTED, NOW)


def test_several_audiences_are_good_if_we_are_the_party() -> None:
    check_token(token(aud=["mail", "pykexec"], azp="pykexec"), key_set(), WANTED, NOW)


def test_a_signature_by_another_key_is_none() -> None:
    other = key("EC", "other")
    forged = jwt.encode({"alg": "ES256", "kid": "one"}, CLAIMS, other, algorithms=["ES256"])
    with pytest.raises(UnknownKey, match="not signed by it"):
        check_token(forged, key_set(), WANTED, NOW)
    with pytest.raises(UnknownKey):
        check_token(signed(other, "ES256"), key_set(), WANTED, NOW)


def test_what_nobody_or_our_own_secret_signs_is_none() -> None:
    shared = OctKey.import_key(
        b"the client's secret, which is not the provider's", {"kid": "shared"}
    )
    header = {"alg": "HS256", "kid": "shared"}
    by_secret = jwt.encode(header, CLAIMS, shared, algorithms=["HS256"])
    keys = {"keys": [*key_set()["keys"], shared.as_dict(private=True)]}  # type: ignore[misc]
    unsigned = "eyJhbGciOiJub25lIn0." + token().split(".")[1] + "."
    for bad in (by_secret, unsigned, "", "a.b.c"):
        with pytest.raises(UnknownKey):
            check_token(bad, keys, WANTED, NOW)


def test_keys_of_a_set_that_nobody_knows_are_passed_over() -> None:
    keys = {"keys": [7, {"kty": "LMS"}, {"kty": "EC", "crv": "P-9"}, *key_set()["keys"]]}  # type: ignore[misc]
    check_token(token(), keys, WANTED, NOW)
    nothings: list[dict[str, object]] = [{}, {"keys": 7}, {"keys": []}]
    for nothing in nothings:
        with pytest.raises(UnknownKey):
            check_token(token(), nothing, WANTED, NOW)


def test_a_login_may_have_to_be_new_and_of_a_kind() -> None:
    wanted = Wanted(WANTED.issuer, "pykexec", WANTED.nonce, max_age_s=300, acr=("gold",))
    check_token(token(), key_set(), wanted, NOW)
    for claims, words in (
        ({"auth_time": TIME - 361}, "older than 300 s"),
        ({"auth_time": None}, "older than 300 s"),
        ({"acr": "silver"}, "silver, which is not enough"),
        ({"acr": None}, "not enough"),
    ):
        with pytest.raises(LoginRefused, match=words):
            check_token(token(**claims), key_set(), wanted, NOW)


def test_a_claim_of_groups_that_is_missing_is_not_one_of_no_groups() -> None:
    assert check_token(token(groups=None), key_set(), WANTED, NOW).groups is None
    assert check_token(token(groups="all"), key_set(), WANTED, NOW).groups is None
    assert check_token(token(groups=[]), key_set(), WANTED, NOW).groups == ()
