# SPDX-License-Identifier: Apache-2.0
"""Releases open with credential, nonce and ephemeral key together, and with nothing less."""

from __future__ import annotations

import pytest
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey

from pykexec.attest import decode, protocol
from pykexec.attest.fields import ProtocolError, from_base64url
from pykexec.verify.release import PlainSecret, ephemeral_key, seal

CREDENTIAL, NONCE = b"c" * 32, b"n" * 32
REGISTRY = jwe.JWERegistry(algorithms=["ECDH-ES", "dir", "A256GCM"])
KEY = ECKey.generate_key("P-256")
SECRETS = [
    PlainSecret("root", "luks-key", {"file": "luks.key"}, bytearray(b"\x01" * 32)),
    PlainSecret("note", "file", {"file": "note"}, bytearray(b"text")),
]


def point(key: ECKey) -> tuple[bytes, bytes]:
    public = key.as_dict(private=False)
    return from_base64url(str(public["x"]), "x"), from_base64url(str(public["y"]), "y")


def opened(release: str, credential: bytes, nonce: bytes, key: ECKey) -> dict[str, bytes]:
    outer = OctKey.import_key(protocol.release_key(credential, nonce))
    plain = jwe.decrypt_compact(release, outer, registry=REGISTRY).plaintext
    assert plain
    return {
        secret.name: jwe.decrypt_compact(secret.jwe, key, registry=REGISTRY).plaintext or b""
        for secret in decode.parse_release(plain)
    }


def test_the_right_keys_open_a_release() -> None:
    release = seal(SECRETS, point(KEY), CREDENTIAL, NONCE)
    assert opened(release, CREDENTIAL, NONCE, KEY) == {"root": b"\x01" * 32, "note": b"text"}


@pytest.mark.parametrize(
    ("credential", "nonce", "key"),
    [
        (b"d" * 32, NONCE, KEY),
        (CREDENTIAL, b"m" * 32, KEY),
        (CREDENTIAL, NONCE, ECKey.generate_key("P-256")),
    ],
)
def test_one_wrong_key_opens_nothing(credential: bytes, nonce: bytes, key: ECKey) -> None:
    release = seal(SECRETS, point(KEY), CREDENTIAL, NONCE)
    with pytest.raises(JoseError):
        opened(release, credential, nonce, key)


def test_a_key_off_the_curve_is_refused() -> None:
    with pytest.raises(ProtocolError, match=r"statement\.key"):
        ephemeral_key(b"\x01" * 32, b"\x01" * 32)


def test_a_secret_shows_itself_nowhere() -> None:
    assert "\\x01" not in repr(SECRETS[0]) and "0101" not in repr(SECRETS[0])
