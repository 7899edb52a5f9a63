# SPDX-License-Identifier: Apache-2.0
"""The cryptography that the agent needs in the initramfs, by libcrypto through pykexec._crypto.

Import it where it is used: it costs the time of loading libcrypto.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, TypeAlias

from pykexec._crypto import ffi, lib
from pykexec.errors import FormatError, PykexecError
from pykexec.secret import Secret

if TYPE_CHECKING:
    from pykexec._native import CData

Buffer: TypeAlias = bytes | bytearray | memoryview
Pbkdf2: TypeAlias = tuple[str, bytes, int]
"""Hash, salt, iterations."""

IV_SIZE = lib.PK_AES_BLOCK_SIZE
GCM_IV_SIZE = lib.PK_GCM_IV_SIZE
GCM_TAG_SIZE = lib.PK_GCM_TAG_SIZE
GCM_SHORT_TAG_SIZE = lib.PK_GCM_SHORT_TAG_SIZE
CCM_IV_SIZE = lib.PK_CCM_IV_SIZE
CCM_TAG_SIZE = lib.PK_CCM_TAG_SIZE
ED25519_KEY_SIZE = lib.PK_ED25519_KEY_SIZE
ED25519_SIGNATURE_SIZE = lib.PK_ED25519_SIGNATURE_SIZE


class EcdhKey:
    """An ephemeral key; x and y are its public point, big endian. The private one never leaves."""

    def __init__(self, curve: str) -> None:
        found = ffi.new("struct pk_ecdh **")
        _check(lib.pk_ecdh_generate(curve.encode(), found), f"{curve}: not a known curve")
        self._key = ffi.gc(found[0], lib.pk_ecdh_free)
        self._size = lib.pk_ecdh_size(self._key)
        x, y = ffi.new("uint8_t[]", self._size), ffi.new("uint8_t[]", self._size)
        _check(lib.pk_ecdh_public(self._key, x, y), curve)
        self.x, self.y = bytes(ffi.buffer(x)), bytes(ffi.buffer(y))

    def derive(self, x: bytes, y: bytes) -> Secret:
        """X of the point shared with the owner of (x, y), as long as a coordinate is.

        FormatError if (x, y) is no point of the curve, in coordinates of full length.
        """
        if len(x) != self._size or len(y) != self._size:
            raise FormatError(f"public key: coordinates must have {self._size} bytes")
        shared = Secret(self._size)
        code = lib.pk_ecdh_derive(self._key, x, y, _writable(shared.view))
        _check(code, "public key: not a point of the curve")
        return shared


def ecdh_generate(curve: str) -> EcdhKey:
    """A new key on "P-256" or "P-384"; FormatError for another curve."""
    return EcdhKey(curve)


def aes_cfb(key: Buffer, iv: Buffer, data: Buffer, encrypt: bool) -> bytes:
    """AES-128 or -256 in CFB mode with whole blocks (SP 800-38A, 6.3)."""
    out = bytearray(len(data))
    aes_cfb_into(key, iv, data, encrypt, memoryview(out))
    return bytes(out)


def aes_cfb_into(key: Buffer, iv: Buffer, data: Buffer, encrypt: bool, out: memoryview) -> None:
    """aes_cfb() into a buffer as long as data, for what must not become bytes; it may be data."""
    _check_size(iv, IV_SIZE, "iv")
    _check_size(out, len(data), "out")
    code = lib.pk_aes_cfb(
        _readable(key),
        len(key),
        _readable(iv),
        encrypt,
        _readable(data),
        len(data),
        _writable(out),
    )
    _check(code, f"AES: no key has {len(key)} bytes")


def aes_gcm_open(
    key: Buffer,
    iv: Buffer,
    aad: Buffer,
    ciphertext: Buffer,
    tag: Buffer,
    out: memoryview,
    tag_size: int = GCM_TAG_SIZE,
) -> None:
    """Decrypt (SP 800-38D, 7.2) into a buffer as long as ciphertext.

    tag_size is what the caller's format says, GCM_TAG_SIZE or GCM_SHORT_TAG_SIZE, never what came.
    FormatError for a wrong tag: out is zeros then.
    """
    _check_size(iv, GCM_IV_SIZE, "iv")
    _check_size(tag, tag_size, "tag")
    _check_size(out, len(ciphertext), "out")
    code = lib.pk_aes_gcm_open(
        _readable(key),
        len(key),
        _readable(iv),
        _readable(aad),
        len(aad),
        _readable(ciphertext),
        len(ciphertext),
        _readable(tag),
        len(tag),
        _writable(out),
    )
    _check(code, f"AES: no key has {len(key)} bytes")


def aes_ccm_open(key: Buffer, iv: Buffer, ciphertext: Buffer, tag: Buffer, out: memoryview) -> None:
    """Decrypt (SP 800-38C, 6.2; AES-256) into a buffer as long as ciphertext.

    FormatError for a wrong tag: out is zeros then.
    """
    _check_size(iv, CCM_IV_SIZE, "iv")
    _check_size(tag, CCM_TAG_SIZE, "tag")
    _check_size(out, len(ciphertext), "out")
    code = lib.pk_aes_ccm_open(
        _readable(key),
        len(key),
        _readable(iv),
        _readable(ciphertext),
        len(ciphertext),
        _readable(tag),
        _writable(out),
    )
    _check(code, f"AES-CCM: key of {len(key)}, text of {len(ciphertext)} bytes")


def ed25519_verify(key: Buffer, message: Buffer, signature: Buffer) -> None:
    """FormatError unless signature is that of message (RFC 8032, 5.1.7) by key, a public one."""
    _check_size(key, ED25519_KEY_SIZE, "public key")
    _check_size(signature, ED25519_SIGNATURE_SIZE, "signature")
    code = lib.pk_ed25519_verify(
        _readable(key), _readable(message), len(message), _readable(signature)
    )
    if code == -errno.EBADMSG:
        raise FormatError("signature: not that of this key")
    _check(code, "public key: not one of Ed25519")


def concat_kdf(shared: Buffer, info: Buffer) -> Secret:
    """A key of 32 bytes by the Concatenation KDF with SHA-256 (RFC 7518, 4.6.2)."""
    key = Secret(lib.PK_CONCAT_KDF_SIZE)
    code = lib.pk_concat_kdf(
        _readable(shared), len(shared), _readable(info), len(info), _writable(key.view)
    )
    _check(code, "Concat KDF")
    return key


def bitlocker_stretch(digest: Buffer, salt: Buffer) -> Secret:
    """A key of 32 bytes out of the digest of what a person types; takes a second or so."""
    _check_size(digest, lib.PK_STRETCHED_SIZE, "digest")
    _check_size(salt, lib.PK_STRETCH_SALT_SIZE, "salt")
    key = Secret(lib.PK_STRETCHED_SIZE)
    _check(
        lib.pk_bitlocker_stretch(_readable(digest), _readable(salt), _writable(key.view)), "stretch"
    )
    return key


def luks_opens(
    key: Buffer,
    kdf: Pbkdf2,
    area: bytes,
    area_key_size: int,
    stripes: tuple[int, str],
    volume_key: tuple[int, Pbkdf2, bytes],
) -> bool:
    """Does key open a slot of LUKS2, which has this area by AES-XTS, stripes (count, hash), and the
    volume's key (size, KDF, digest)? FormatError for a slot of another kind.
    """
    size, digest_kdf, digest = volume_key
    # What the struct points to lives as long as this.
    hashes = [ffi.new("char[]", name.encode()) for name in (kdf[0], stripes[1], digest_kdf[0])]
    data = [_readable(each) for each in (kdf[1], area, digest_kdf[1], digest)]
    slot = ffi.new("struct pk_luks_slot *")
    slot.kdf = (hashes[0], data[0], len(kdf[1]), kdf[2])
    slot.area, slot.area_size, slot.area_key_size = data[1], len(area), area_key_size
    slot.stripes, slot.af_hash, slot.key_size = stripes[0], hashes[1], size
    slot.digest_kdf = (hashes[2], data[2], len(digest_kdf[1]), digest_kdf[2])
    slot.digest, slot.digest_size = data[3], len(digest)
    code = lib.pk_luks_opens(slot, _readable(key), len(key))
    if code == -errno.EBADMSG:
        return False
    _check(code, "key slot: of a kind that is not known")
    return True


def rsa_oaep_encrypt(n: bytes, e: int, data: Buffer, label: bytes, hash_name: str) -> bytes:
    """RSAES-OAEP (RFC 8017, 7.1.1) for the modulus n, big endian; MGF1 uses the same hash.

    The label is taken as it is: the TPM's ends with a NUL. FormatError for a key or hash that is
    none, or data that does not fit.
    """
    out = ffi.new("uint8_t[]", len(n) or 1)
    code = lib.pk_rsa_oaep_encrypt(
        n, len(n), e, hash_name.encode(), label, len(label), _readable(data), len(data), out
    )
    _check(code, f"RSA: {len(n) * 8} bits, {hash_name}: cannot encrypt {len(data)} bytes")
    return bytes(ffi.buffer(out, len(n)))


def _check(code: int, fault: str) -> None:
    if code == -errno.EINVAL:
        raise FormatError(fault)
    if code == -errno.EBADMSG:
        raise FormatError("authentication tag is wrong")
    if code:
        raise PykexecError(f"libcrypto: {os.strerror(-code)}")


def _check_size(data: Buffer, size: int, what: str) -> None:
    if len(data) != size:
        raise FormatError(f"{what}: {len(data)} bytes, not {size}")


def _readable(data: Buffer) -> CData:
    return ffi.from_buffer("uint8_t[]", data)


def _writable(data: memoryview) -> CData:
    return ffi.from_buffer("uint8_t[]", data, require_writable=True)
