# SPDX-License-Identifier: Apache-2.0
"""What joserfc seals is opened here; what is not exactly such a JWE is refused."""

from __future__ import annotations

import base64
import json
import os

import pytest
from joserfc import jwe
from joserfc.jwk import ECKey, OctKey

from pykexec.attest.fields import ProtocolError, base64url
from pykexec.attest.jwe import derivation_info, open_direct, open_to_key
from pykexec.crypto import EcdhKey, concat_kdf, ecdh_generate
from pykexec.errors import FormatError

ALGORITHMS = jwe.JWERegistry(algorithms=["dir", "ECDH-ES", "A256GCM", "A128GCM", "DEF"])
DIRECT = {"alg": "dir", "enc": "A256GCM"}
TO_KEY = {"alg": "ECDH-ES", "enc": "A256GCM"}
KEY = bytes(range(32))


def direct(data: bytes, **header: object) -> str:
    """Sealed by joserfc with KEY."""
    return jwe.encrypt_compact(
        {**DIRECT, **header}, data, OctKey.import_key(KEY), registry=ALGORITHMS
    )


def to_key(data: bytes, key: EcdhKey, **header: object) -> str:
    """Sealed by joserfc to our key."""
    recipient = ECKey.import_key(
        {"kty": "EC", "crv": "P-256", "x": base64url(key.x), "y": base64url(key.y)}
    )
    return jwe.encrypt_compact({**TO_KEY, **header}, data, recipient, registry=ALGORITHMS)


def with_header(token: str, **header: object) -> str:
    """token whose header says something else; None takes a key away."""
    head, rest = token.split(".", 1)
    fields = json.loads(base64.urlsafe_b64decode(head + "=="))
    fields = {key: value for key, value in {**fields, **header}.items() if value is not None}
    return base64url(json.dumps(fields).encode()) + "." + rest


def with_part(token: str, number: int, data: bytes) -> str:
    """token with other bytes in one of its five parts."""
    parts = token.split(".")
    parts[number] = base64url(data)
    return ".".join(parts)


@pytest.mark.parametrize("size", [0, 1, 70000])
@pytest.mark.parametrize("header", [{}, {"cty": "json"}])
def test_a_direct_one_is_opened(size: int, header: dict[str, object]) -> None:
    data = os.urandom(size)
    assert open_direct(direct(data, **header), KEY) == data


@pytest.mark.parametrize("size", [0, 1, 32, 70000])
@pytest.mark.parametrize("header", [{}, {"apu": "QWxpY2U", "apv": "Qm9i"}])
def test_one_to_our_key_is_opened(size: int, header: dict[str, object]) -> None:
    key, data = ecdh_generate("P-256"), os.urandom(size)
    with open_to_key(to_key(data, key, **header), key) as secret:
        assert secret.view == data


def test_the_key_is_derived_as_rfc_7518_shows() -> None:
    # Appendix C, whose algorithm is A128GCM: the first half of the digest is its key.
    shared = bytes.fromhex("9e56d91d817135d372834283bf84269cfb316ea3da806a48f6daa7798cfe90c4")
    parts = (b"A128GCM", b"Alice", b"Bob")
    info = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    derived = concat_kdf(shared, info + (128).to_bytes(4, "big"))
    assert base64url(bytes(derived.view[:16])) == "VqqN6vgjbSBcIijNcacQGg"
    assert derivation_info(b"Alice", b"Bob") == (
        b"\0\0\0\x07A256GCM\0\0\0\x05Alice\0\0\0\x03Bob\0\0\1\0"
    )


def test_another_key_does_not_open_it() -> None:
    key = ecdh_generate("P-256")
    with pytest.raises(FormatError, match="tag is wrong"):
        open_direct(direct(b"x"), bytes(32))
    with pytest.raises(FormatError, match="tag is wrong"):
        open_to_key(to_key(b"x", key), ecdh_generate("P-256"))


@pytest.mark.parametrize(
    ("token", "fault"),
    [
        ("", "1 parts, a JWE has 5"),
        ("a.b.c", "3 parts"),
        (direct(b"x") + ".", "6 parts"),
        (direct(b"x").replace(".", "=.", 1), "not base64url"),
        (with_part(direct(b"x"), 0, b"[]"), "not an object"),
        (with_part(direct(b"x"), 1, b"key"), "has an encrypted key"),
        (with_part(direct(b"x"), 2, bytes(16)), "IV of 16 bytes"),
        (with_part(direct(b"x"), 4, bytes(12)), "tag of 12"),
        (with_part(direct(b"x"), 4, b""), "tag of 0"),
        (with_header(direct(b"x"), alg="A256KW"), "alg: 'A256KW' is not 'dir'"),
        (with_header(direct(b"x"), alg=None), "alg: missing"),
        (with_header(direct(b"x"), enc="A128GCM"), "enc: 'A128GCM' is not 'A256GCM'"),
        (with_header(direct(b"x"), zip="DEF"), "zip: unknown key"),
        (with_header(direct(b"x"), crit=["exp"], exp=1), "crit: unknown key"),
        (with_header(direct(b"x"), crit=[]), "crit: unknown key"),
        (with_header(direct(b"x"), kid="x"), "kid: unknown key"),
        (to_key(b"x", ecdh_generate("P-256")), "alg: 'ECDH-ES' is not 'dir'"),
    ],
    # Tokens are others in each process; tests have to have the same names in all.
    ids=lambda value: "token" if "." in value else value,
)
def test_a_direct_one_is_exactly_that(token: str, fault: str) -> None:
    with pytest.raises(ProtocolError, match=fault):
        open_direct(token, KEY)


def test_its_header_is_authentic() -> None:
    with pytest.raises(FormatError, match="tag is wrong"):
        open_direct(with_header(direct(b"x"), cty="json"), KEY)


OWN = ecdh_generate("P-256")
SEALED = to_key(b"secret", OWN)
EPK = json.loads(base64.urlsafe_b64decode(SEALED.split(".")[0] + "=="))["epk"]


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        ({"alg": "ECDH-ES+A256KW"}, r"alg: 'ECDH-ES\+A256KW' is not 'ECDH-ES'"),
        ({"alg": "dir"}, "alg: 'dir' is not"),
        ({"enc": "A128CBC-HS256"}, "enc: 'A128CBC-HS256' is not"),
        ({"epk": None}, "epk: missing"),
        ({"epk": "x"}, "epk: must be an object"),
        ({"epk": {**EPK, "crv": "P-384"}}, "crv: only P-256"),
        ({"epk": {**EPK, "kty": "OKP"}}, "crv: only P-256"),
        ({"epk": {**EPK, "d": "AAAA"}}, "d: unknown key"),
        ({"epk": {**EPK, "x": "AAAA"}}, "x: 3 bytes, not 32"),
        ({"epk": {**EPK, "x": EPK["y"], "y": EPK["x"]}}, "not a point of the curve"),
        ({"epk": {**EPK, "x": "A" * 43, "y": "A" * 43}}, "not a point of the curve"),
        ({"crit": ["b64"], "b64": False}, "crit: unknown key"),
        ({"zip": "DEF"}, "zip: unknown key"),
        ({"apu": "QWxpY2U"}, "tag is wrong"),
    ],
)
def test_one_to_a_key_is_exactly_that(header: dict[str, object], fault: str) -> None:
    with pytest.raises(FormatError, match=fault):
        open_to_key(with_header(SEALED, **header), OWN)
    assert bytes(open_to_key(SEALED, OWN).view) == b"secret"
