# SPDX-License-Identifier: Apache-2.0
"""What a TPM does with its EK and AK, in software: public areas, quotes, ActivateCredential."""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

try:
    from cryptography.hazmat.decrepit.ciphers.modes import CFB
except ImportError:  # cryptography < 47
    from cryptography.hazmat.primitives.ciphers.modes import CFB

from tests.support.attest_log import ALGORITHMS

# TPM 2.0 Library Specification, Part 2.
RSA, ECC, NULL, ECDSA, AES, CFB_MODE = 0x0001, 0x0023, 0x0010, 0x0018, 0x0006, 0x0043
SHA256, SHA384 = ALGORITHMS["sha256"], ALGORITHMS["sha384"]
CURVES = {"secp256r1": 0x0003, "secp384r1": 0x0004}
MAGIC, QUOTE = 0xFF544347, 0x8018
ENDORSEMENT = struct.pack(">I", 0x4000000B)
AK_ATTRIBUTES = 0x00050072  # fixedTPM ... userWithAuth, restricted, sign
EK_ATTRIBUTES_LOW = 0x000300B2  # templates L-1 and L-2: adminWithPolicy, restricted, decrypt
EK_ATTRIBUTES_HIGH = 0x000300F2  # H-1 to H-3: userWithAuth, too
# TCG EK Credential Profile 2.5, B.6: PolicyA of SHA-256, PolicyB of SHA-384.
POLICY_A = bytes.fromhex("837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa")
POLICY_B_SHA384 = bytes.fromhex(
    "b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4cb1c0ad9bde419ca"
    "cb47ba09699646150f9fc000f3f80e12"
)

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
EcPublic = ec.EllipticCurvePublicKey


def sized(data: bytes) -> bytes:
    """TPM2B."""
    return struct.pack(">H", len(data)) + data


def point(public: EcPublic) -> bytes:
    """TPMS_ECC_POINT."""
    size = (public.curve.key_size + 7) // 8
    numbers = public.public_numbers()
    return b"".join(sized(value.to_bytes(size, "big")) for value in (numbers.x, numbers.y))


def ek_public(key: PrivateKey) -> bytes:
    """TPMT_PUBLIC of an EK by the templates L-1, L-2 and H-3."""
    if isinstance(key, rsa.RSAPrivateKey):
        modulus = key.public_key().public_numbers().n.to_bytes(256, "big")
        parameters = struct.pack(">HHHHHI", AES, 128, CFB_MODE, NULL, 2048, 0)
        head = struct.pack(">HHI", RSA, SHA256, EK_ATTRIBUTES_LOW) + sized(POLICY_A)
        return head + parameters + sized(modulus)
    curve = CURVES[key.curve.name]
    high = curve == CURVES["secp384r1"]
    bits = 256 if high else 128
    parameters = struct.pack(">HHHHHH", AES, bits, CFB_MODE, NULL, curve, NULL)
    name, attributes, policy = (
        (SHA384, EK_ATTRIBUTES_HIGH, POLICY_B_SHA384)
        if high
        else (SHA256, EK_ATTRIBUTES_LOW, POLICY_A)
    )
    head = struct.pack(">HHI", ECC, name, attributes) + sized(policy)
    return head + parameters + point(key.public_key())


def ak_public(
    key: ec.EllipticCurvePrivateKey, attributes: int = AK_ATTRIBUTES, policy: bytes = b""
) -> bytes:
    """TPMT_PUBLIC of an AK: restricted, ECDSA with SHA-256."""
    head = struct.pack(">HHI", ECC, SHA256, attributes) + sized(policy)
    parameters = struct.pack(">HHHHH", NULL, ECDSA, SHA256, CURVES[key.curve.name], NULL)
    return head + parameters + point(key.public_key())


def name_of(public: bytes) -> bytes:
    """The Name of a public area (Part 1, 16)."""
    (algorithm,) = struct.unpack_from(">H", public, 2)
    bank = "sha384" if algorithm == SHA384 else "sha256"
    return struct.pack(">H", algorithm) + hashlib.new(bank, public).digest()


def qualified_name(public: bytes) -> bytes:
    """The qualified name of a primary key in the endorsement hierarchy (Part 1, 26.5)."""
    return struct.pack(">H", SHA256) + hashlib.sha256(ENDORSEMENT + name_of(public)).digest()


def selection(bank: str, numbers: tuple[int, ...]) -> bytes:
    """TPMS_PCR_SELECTION."""
    bits = sum(1 << number for number in numbers)
    return struct.pack(">HB", ALGORITHMS[bank], 3) + bits.to_bytes(3, "little")


def pcr_digest(values: Mapping[int, bytes], numbers: tuple[int, ...]) -> bytes:
    """The digest over selected registers by the AK's hash."""
    return hashlib.sha256(b"".join(values[number] for number in sorted(numbers))).digest()


@dataclass(frozen=True, slots=True)
class Attest:
    """TPMS_ATTEST of a quote, field by field."""

    qualified_signer: bytes
    extra_data: bytes
    clock: int
    reset_count: int
    restart_count: int
    firmware_version: int
    selections: tuple[bytes, ...]
    digest: bytes
    safe: int = 1
    magic: int = MAGIC
    type: int = QUOTE

    def encode(self) -> bytes:
        """The bytes that are signed."""
        clock = struct.pack(
            ">QIIBQ",
            self.clock,
            self.reset_count,
            self.restart_count,
            self.safe,
            self.firmware_version,
        )
        head = struct.pack(">IH", self.magic, self.type)
        selected = struct.pack(">I", len(self.selections)) + b"".join(self.selections)
        names = sized(self.qualified_signer) + sized(self.extra_data)
        return head + names + clock + selected + sized(self.digest)


_ECDSA_SHA256 = ec.ECDSA(hashes.SHA256())


def sign(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    """TPMT_SIGNATURE."""
    numbers = decode_dss_signature(key.sign(data, _ECDSA_SHA256))
    return struct.pack(">HH", ECDSA, SHA256) + b"".join(
        sized(number.to_bytes(32, "big")) for number in numbers
    )


def _kdfa(bank: str, key: bytes, label: bytes, context: bytes, bits: int) -> bytes:
    """SP 800-108 counter mode (Part 1, 11.4.10.2); one block is enough here."""
    data = struct.pack(">I", 1) + label + b"\0" + context + struct.pack(">I", bits)
    return hmac.digest(key, data, bank)[: bits // 8]


def _seed(key: PrivateKey, secret: bytes, bank: str) -> bytes:
    """The seed out of TPM2B_ENCRYPTED_SECRET's contents (Part 1, B.10.3 and C.6.3)."""
    if isinstance(key, rsa.RSAPrivateKey):
        oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), b"IDENTITY\0")
        return key.decrypt(secret, oaep)
    size = (key.curve.key_size + 7) // 8
    x, y = secret[2 : 2 + size], secret[4 + size :]
    other = ec.EllipticCurvePublicNumbers(
        int.from_bytes(x, "big"), int.from_bytes(y, "big"), key.curve
    )
    shared = key.exchange(ec.ECDH(), other.public_key())
    own = key.public_key().public_numbers().x.to_bytes(size, "big")
    data = struct.pack(">I", 1) + shared + b"IDENTITY\0" + x + own
    return hashlib.new(bank, data).digest()


def activate(key: PrivateKey, ak_name: bytes, blob: bytes, secret: bytes) -> bytes:
    """TPM2_ActivateCredential (Part 3, 12.5); ValueError where a TPM gives TPM_RC_INTEGRITY."""
    big = isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size > 256
    bank, bits = ("sha384", 256) if big else ("sha256", 128)
    size = hashlib.new(bank).digest_size
    seed = _seed(key, secret, bank)
    outer, encrypted = blob[2 : 2 + size], blob[2 + size :]
    mac = hmac.digest(_kdfa(bank, seed, b"INTEGRITY", b"", 8 * size), encrypted + ak_name, bank)
    if not hmac.compare_digest(mac, outer):
        raise ValueError("TPM_RC_INTEGRITY")
    cipher = Cipher(
        algorithms.AES(_kdfa(bank, seed, b"STORAGE", ak_name, bits)), CFB(bytes(16))
    ).decryptor()
    plain = cipher.update(encrypted) + cipher.finalize()
    (length,) = struct.unpack_from(">H", plain)
    return plain[2 : 2 + length]
