# SPDX-License-Identifier: Apache-2.0
"""Opens a session whose salt only the TPM with that key can read (Part 1, 17.6.13)."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable

from pykexec.errors import PykexecError, TpmError
from pykexec.tpm.banks import HashAlgorithm
from pykexec.tpm.command import Command, execute
from pykexec.tpm.constants import Algorithm, CommandCode, Handle, SessionType
from pykexec.tpm.entity import Entity
from pykexec.tpm.kdf import digest_size, kdfa, kdfe
from pykexec.tpm.public import EccKey, Public, RsaKey
from pykexec.tpm.session import AES_BITS, Session
from pykexec.tpm.transport import Transmit
from pykexec.tpm.wire import WireError, sized

_SALT_LABEL = b"SECRET"


def start_session(
    transmit: Transmit,
    kind: SessionType,
    salted_by: Entity,
    public: Public,
    opened: Callable[[int], None],
) -> Session:
    """TPM2_StartAuthSession (Part 3, 11.1), its salt encrypted for a key whose area is public.

    Its hash is that key's. opened is told the handle as soon as there is one.
    """
    hash_name = public.name_alg
    size = digest_size(hash_name)
    salt, encrypted = _salt(public)
    nonce = os.urandom(size)
    rest = sized(encrypted) + struct.pack(
        ">BHHHH",
        kind,
        Algorithm.AES,
        AES_BITS,
        Algorithm.CFB,
        HashAlgorithm[hash_name.upper()],
    )
    response = execute(
        transmit,
        Command(
            CommandCode.START_AUTH_SESSION,
            (salted_by, Entity.of(Handle.NULL)),
            first=nonce,
            rest=rest,
        ),
        makes_handle=True,
    )
    opened(response.handle)
    nonce_tpm = response.reader.sized()
    response.reader.end()
    if len(nonce_tpm) != size:
        raise WireError(f"{response.reader.what}: nonce of {len(nonce_tpm)} bytes")
    key = kdfa(hash_name, salt, b"ATH", nonce_tpm, nonce, size * 8)
    return Session(response.handle, hash_name, key, nonce, nonce_tpm)


def _salt(public: Public) -> tuple[bytes, bytes]:
    """A salt, and TPM2B_ENCRYPTED_SECRET's content for the key's owner (Part 1, 17.6.13)."""
    from pykexec.crypto import ecdh_generate, rsa_oaep_encrypt

    hash_name, key = public.name_alg, public.key
    size = digest_size(hash_name)
    try:
        if isinstance(key, RsaKey):
            salt = os.urandom(size)
            label = _SALT_LABEL + b"\0"
            return salt, rsa_oaep_encrypt(key.modulus, key.e, salt, label, hash_name)
        if isinstance(key, EccKey):
            ours = ecdh_generate(key.curve.title)
            coordinates = (part.rjust(key.curve.size, b"\0") for part in (key.x, key.y))
            with ours.derive(*coordinates) as z:
                salt = kdfe(hash_name, z.view, _SALT_LABEL, ours.x, key.x, size * 8)
            return salt, sized(ours.x) + sized(ours.y)
    except PykexecError as error:
        raise TpmError(f"TPM: its key is none: {error}") from None
    raise TpmError("TPM: a sealed object is no key")
