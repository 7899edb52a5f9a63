# SPDX-License-Identifier: Apache-2.0
"""What mypy knows of the extension over libcrypto; tests/lint compares it with the real one."""

from typing import TypeAlias

from pykexec._native import _FFI, CData, _Buffer

_Pointer: TypeAlias = CData | _Buffer

class _Lib:
    def pk_aes_cfb(
        self,
        key: _Pointer,
        key_size: int,
        iv: _Pointer,
        encrypt: bool,
        data: _Pointer,
        size: int,
        out: CData,
    ) -> int: ...
    def pk_aes_gcm_open(
        self,
        key: _Pointer,
        key_size: int,
        iv: _Pointer,
        aad: _Pointer,
        aad_size: int,
        data: _Pointer,
        size: int,
        tag: _Pointer,
        tag_size: int,
        out: CData,
    ) -> int: ...
    def pk_aes_ccm_open(
        self,
        key: _Pointer,
        key_size: int,
        iv: _Pointer,
        data: _Pointer,
        size: int,
        tag: _Pointer,
        out: CData,
    ) -> int: ...
    def pk_authenticode_content(
        self, pkcs7: _Pointer, size: int, out: CData, room: int, ret: CData
    ) -> int: ...
    def pk_authenticode_certificate(
        self, pkcs7: _Pointer, size: int, index: int, out: CData, room: int, ret: CData
    ) -> int: ...
    def pk_authenticode_verify(
        self, pkcs7: _Pointer, size: int, anchor: _Pointer, anchor_size: int
    ) -> int: ...
    def pk_certificate_name(self, der: _Pointer, size: int, out: CData, room: int) -> int: ...
    def pk_ecdh_generate(self, curve: bytes, ret: CData) -> int: ...
    def pk_ecdh_free(self, key: CData) -> None: ...
    def pk_ecdh_size(self, key: CData) -> int: ...
    def pk_ecdh_public(self, key: CData, x: CData, y: CData) -> int: ...
    def pk_ecdh_derive(self, key: CData, x: _Pointer, y: _Pointer, out: CData) -> int: ...
    def pk_ed25519_verify(
        self, key: _Pointer, message: _Pointer, size: int, signature: _Pointer
    ) -> int: ...
    def pk_roots_new(self, ret: CData) -> int: ...
    def pk_roots_free(self, roots: CData) -> None: ...
    def pk_roots_add(self, roots: CData, der: _Pointer, size: int) -> int: ...
    def pk_roots_verify(
        self,
        roots: CData,
        certificates: _Pointer,
        sizes: CData,
        count: int,
        depth: int,
        now: int,
        ret: CData,
    ) -> int: ...
    def pk_concat_kdf(
        self, shared: _Pointer, shared_size: int, info: _Pointer, info_size: int, out: CData
    ) -> int: ...
    def pk_bitlocker_stretch(self, digest: _Pointer, salt: _Pointer, out: CData) -> int: ...
    def pk_luks_opens(self, slot: CData, passphrase: _Pointer, size: int) -> int: ...
    def pk_rsa_oaep_encrypt(
        self,
        modulus: _Pointer,
        modulus_size: int,
        exponent: int,
        hash: bytes,
        label: _Pointer,
        label_size: int,
        data: _Pointer,
        size: int,
        out: CData,
    ) -> int: ...

    # Enumerators; tests/lint checks that each one used exists.
    def __getattr__(self, name: str) -> int: ...

ffi: _FFI
lib: _Lib
