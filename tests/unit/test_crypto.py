# SPDX-License-Identifier: Apache-2.0
"""pykexec.crypto gives what NIST's vectors and the cryptography package say."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM

from pykexec.crypto import (
    GCM_SHORT_TAG_SIZE,
    aes_ccm_open,
    aes_cfb,
    aes_cfb_into,
    aes_gcm_open,
    ecdh_generate,
    ed25519_verify,
    rsa_oaep_encrypt,
)
from pykexec.errors import FormatError

CURVES = {"P-256": (ec.SECP256R1(), 32), "P-384": (ec.SECP384R1(), 48)}

# SP 800-38A, F.3.13 and F.3.17.
CFB_IV = bytes(range(16))
CFB_PLAIN = bytes.fromhex(
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
)
CFB_VECTORS = [
    (
        "2b7e151628aed2a6abf7158809cf4f3c",
        "3b3fd92eb72dad20333449f8e83cfb4ac8a64537a0b3a93fcde3cdad9f1ce58b"
        "26751f67a3cbb140b1808cf187a4f4dfc04b05357c5d1c0eeac4c66f9ff7f2e6",
    ),
    (
        "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
        "dc7e84bfda79164b7ecd8486985d386039ffed143b28b1c832113c6331e5407b"
        "df10132415e54b92a13ed0a8267ae2f975a385741ab9cef82031623d55b1e471",
    ),
]

# The Galois/Counter Mode of Operation (submission to NIST), B, test cases 4 and 16.
GCM_IV = bytes.fromhex("cafebabefacedbaddecaf888")
GCM_AAD = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
GCM_PLAIN = bytes.fromhex(
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
)
GCM_KEY = bytes.fromhex("feffe9928665731c6d6a8f9467308308")
GCM_VECTORS = [
    (
        GCM_KEY,
        "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
        "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
        "5bc94fbc3221a5db94fae95ae7121a47",
    ),
    (
        GCM_KEY * 2,
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
        "76fc6ece0f4e1768cddf8853bb2d551b",
    ),
]


@pytest.mark.parametrize(("key", "cipher"), CFB_VECTORS)
def test_cfb_is_that_of_nist(key: str, cipher: str) -> None:
    assert aes_cfb(bytes.fromhex(key), CFB_IV, CFB_PLAIN, True).hex() == cipher
    assert aes_cfb(bytes.fromhex(key), CFB_IV, bytes.fromhex(cipher), False) == CFB_PLAIN


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17])
def test_cfb_takes_any_size(size: int) -> None:
    key, expected = bytes.fromhex(CFB_VECTORS[0][0]), bytes.fromhex(CFB_VECTORS[0][1])
    assert aes_cfb(key, CFB_IV, CFB_PLAIN[:size], True) == expected[:size]


def test_cfb_works_in_place() -> None:
    buffer = bytearray(bytes.fromhex(CFB_VECTORS[0][1]))
    aes_cfb_into(
        bytes.fromhex(CFB_VECTORS[0][0]), CFB_IV, memoryview(buffer), False, memoryview(buffer)
    )
    assert buffer == CFB_PLAIN


@pytest.mark.parametrize("size", [0, 8, 24, 33])
def test_no_other_size_of_key_is_taken(size: int) -> None:
    with pytest.raises(FormatError, match="no key has"):
        aes_cfb(bytes(size), CFB_IV, b"data", True)
    with pytest.raises(FormatError, match="no key has"):
        aes_gcm_open(bytes(size), GCM_IV, b"", b"", bytes(16), memoryview(bytearray()))


@pytest.mark.parametrize(("key", "cipher", "tag"), GCM_VECTORS)
def test_gcm_is_that_of_nist(key: bytes, cipher: str, tag: str) -> None:
    out = bytearray(len(GCM_PLAIN))
    sealed = bytes.fromhex(cipher)
    aes_gcm_open(key, GCM_IV, GCM_AAD, sealed, bytes.fromhex(tag), memoryview(out))
    assert out == GCM_PLAIN


@pytest.mark.parametrize("size", [0, 1, 4096])
def test_gcm_opens_what_the_cryptography_package_sealed(size: int) -> None:
    key, data = os.urandom(32), os.urandom(size)
    sealed = AESGCM(key).encrypt(GCM_IV, data, b"aad")
    out = bytearray(size)
    aes_gcm_open(key, GCM_IV, b"aad", sealed[:-16], sealed[-16:], memoryview(out))
    assert out == data


def test_gcm_with_a_short_tag_is_for_who_asks_for_it() -> None:
    key, out = os.urandom(32), bytearray(4)
    sealed = AESGCM(key).encrypt(GCM_IV, b"data", None)
    tag = bytearray(sealed[4:12])
    aes_gcm_open(key, GCM_IV, b"", sealed[:4], tag, memoryview(out), GCM_SHORT_TAG_SIZE)
    assert out == b"data"
    with pytest.raises(FormatError, match="tag: 8 bytes, not 16"):
        aes_gcm_open(key, GCM_IV, b"", sealed[:4], tag, memoryview(out))
    tag[7] ^= 1
    with pytest.raises(FormatError, match="tag is wrong"):
        aes_gcm_open(key, GCM_IV, b"", sealed[:4], tag, memoryview(out), GCM_SHORT_TAG_SIZE)
    assert out == bytes(4)


@pytest.mark.parametrize("size", [0, 1, 4, 12, 15, 17])
def test_gcm_takes_tags_of_two_sizes(size: int) -> None:
    with pytest.raises(FormatError):
        aes_gcm_open(bytes(32), GCM_IV, b"", b"", bytes(size), memoryview(bytearray()), size)


@pytest.mark.parametrize("size", [1, 44, 4096])
def test_ccm_opens_what_the_cryptography_package_sealed(size: int) -> None:
    key, data = os.urandom(32), os.urandom(size)
    sealed = AESCCM(key, tag_length=16).encrypt(GCM_IV, data, None)
    out = bytearray(size)
    aes_ccm_open(key, GCM_IV, sealed[:-16], sealed[-16:], memoryview(out))
    assert out == data


@pytest.mark.parametrize("what", ["key", "iv", "data", "tag"])
def test_ccm_gives_zeros_when_a_bit_is_wrong(what: str) -> None:
    key = bytes(range(32))
    sealed = AESCCM(key, tag_length=16).encrypt(GCM_IV, GCM_PLAIN, None)
    parts = {
        "key": bytearray(key),
        "iv": bytearray(GCM_IV),
        "data": bytearray(sealed[:-16]),
        "tag": bytearray(sealed[-16:]),
    }
    parts[what][-1] ^= 1
    out = bytearray(b"\xff" * len(GCM_PLAIN))
    with pytest.raises(FormatError, match="tag is wrong"):
        aes_ccm_open(parts["key"], parts["iv"], parts["data"], parts["tag"], memoryview(out))
    assert out == bytes(len(GCM_PLAIN))


@pytest.mark.parametrize(("key_size", "size"), [(16, 1), (0, 1), (33, 1), (32, 0)])
def test_ccm_takes_no_other_sizes(key_size: int, size: int) -> None:
    with pytest.raises(FormatError, match=rf"^AES-CCM: key of {key_size}, text of {size} bytes$"):
        aes_ccm_open(bytes(key_size), GCM_IV, bytes(size), bytes(16), memoryview(bytearray(size)))


@pytest.mark.parametrize("what", ["key", "iv", "aad", "data", "tag"])
def test_gcm_gives_zeros_when_a_bit_is_wrong(what: str) -> None:
    key, cipher, tag = GCM_VECTORS[1]
    parts = {
        "key": bytearray(key),
        "iv": bytearray(GCM_IV),
        "aad": bytearray(GCM_AAD),
        "data": bytearray.fromhex(cipher),
        "tag": bytearray.fromhex(tag),
    }
    parts[what][-1] ^= 1
    out = bytearray(b"\xff" * len(GCM_PLAIN))
    with pytest.raises(FormatError, match="tag is wrong"):
        aes_gcm_open(
            parts["key"], parts["iv"], parts["aad"], parts["data"], parts["tag"], memoryview(out)
        )
    assert out == bytes(len(GCM_PLAIN))


@pytest.mark.parametrize(
    ("iv", "tag", "out"), [(11, 16, 4), (12, 15, 4), (12, 0, 4), (12, 17, 4), (12, 16, 3)]
)
def test_gcm_takes_no_short_cut(iv: int, tag: int, out: int) -> None:
    with pytest.raises(FormatError, match="bytes, not"):
        aes_gcm_open(bytes(32), bytes(iv), b"", b"data", bytes(tag), memoryview(bytearray(out)))


@pytest.mark.parametrize("curve", CURVES)
def test_both_sides_share_a_point(curve: str) -> None:
    kind, size = CURVES[curve]
    theirs = ec.generate_private_key(kind)
    point = theirs.public_key().public_numbers()
    key = ecdh_generate(curve)
    numbers = ec.EllipticCurvePublicNumbers(
        int.from_bytes(key.x, "big"), int.from_bytes(key.y, "big"), kind
    )
    with key.derive(point.x.to_bytes(size, "big"), point.y.to_bytes(size, "big")) as shared:
        assert shared.view == theirs.exchange(ec.ECDH(), numbers.public_key())


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("x", ["own", "zero", "field"])
def test_a_point_off_the_curve_is_refused(curve: str, x: str) -> None:
    key = ecdh_generate(curve)
    size = CURVES[curve][1]
    value = {"own": key.x, "zero": bytes(size), "field": b"\xff" * size}[x]
    wrong = bytes([key.y[0] ^ 1]) + key.y[1:] if x == "own" else bytes(size)
    with pytest.raises(FormatError, match="not a point of the curve"):
        key.derive(value, wrong)


def test_a_point_of_another_curve_is_refused() -> None:
    other = ecdh_generate("P-384")
    with pytest.raises(FormatError, match="coordinates must have 32 bytes"):
        ecdh_generate("P-256").derive(other.x, other.y)


def test_an_unknown_curve_is_refused() -> None:
    with pytest.raises(FormatError, match="secp256k1: not a known curve"):
        ecdh_generate("secp256k1")


def test_keys_differ() -> None:
    assert ecdh_generate("P-256").x != ecdh_generate("P-256").x


@pytest.mark.parametrize(("name", "kind"), [("sha256", hashes.SHA256()), ("sha1", hashes.SHA1())])
@pytest.mark.parametrize("label", [b"", b"IDENTITY\0"])
def test_oaep_is_opened_by_the_cryptography_package(
    name: str, kind: hashes.HashAlgorithm, label: bytes
) -> None:
    key = rsa.generate_private_key(65537, 2048)
    n = key.public_key().public_numbers().n.to_bytes(256, "big")
    sealed = rsa_oaep_encrypt(n, 65537, b"salt", label, name)
    assert len(sealed) == 256
    assert key.decrypt(sealed, padding.OAEP(padding.MGF1(kind), kind, label or None)) == b"salt"


@pytest.mark.parametrize(
    ("n", "e", "size", "name"),
    [
        (b"\xc3" * 256, 65537, 191, "sha256"),
        (b"\xc3" * 256, 65537, 1, "md9"),
        (b"", 65537, 1, "sha256"),
        (bytes(256), 65537, 1, "sha256"),
    ],
)
def test_oaep_refuses_what_it_cannot_encrypt(n: bytes, e: int, size: int, name: str) -> None:
    with pytest.raises(FormatError, match="cannot encrypt"):
        rsa_oaep_encrypt(n, e, bytes(size), b"", name)


def test_a_failure_leaves_nothing_for_pythons_tls() -> None:
    program = (
        "import ssl, pykexec.crypto as c\n"
        "from pykexec.errors import FormatError\n"
        "try: c.ecdh_generate('P-256').derive(bytes(32), bytes(32))\n"
        "except FormatError: pass\n"
        "a, b = ssl.MemoryBIO(), ssl.MemoryBIO()\n"
        "tls = ssl.create_default_context().wrap_bio(a, b, server_hostname='x')\n"
        "try: tls.do_handshake()\n"
        "except ssl.SSLWantReadError: print('clean')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=30)
    assert done.stdout == b"clean\n"


# RFC 8032, 7.1, tests 1 and 2: public key, message, signature.
ED25519_VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
        "387b2eaeb4302aeeb00d291612bb0c00",
    ),
]


@pytest.mark.parametrize(("key", "message", "signature"), ED25519_VECTORS)
def test_ed25519_takes_the_vectors_and_nothing_else(key: str, message: str, signature: str) -> None:
    parts = [bytes.fromhex(each) for each in (key, message, signature)]
    ed25519_verify(*parts)
    with pytest.raises(FormatError, match="signature: not that of this key"):
        ed25519_verify(parts[0], parts[1] + b"x", parts[2])
    with pytest.raises(FormatError, match="signature: not that of this key"):
        ed25519_verify(parts[0], parts[1], parts[2][:-1] + b"\x7f")
    with pytest.raises(FormatError, match="public key: 31 bytes, not 32"):
        ed25519_verify(parts[0][1:], parts[1], parts[2])
    with pytest.raises(FormatError, match="signature: 63 bytes, not 64"):
        ed25519_verify(parts[0], parts[1], parts[2][1:])
