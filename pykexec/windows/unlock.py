# SPDX-License-Identifier: Apache-2.0
"""Does a key open a BitLocker volume? Its master key is unwrapped, believed if the tags are right,
and wiped again.
"""

from __future__ import annotations

import hashlib

from pykexec.disk.bek import recovery_key
from pykexec.errors import FormatError
from pykexec.secret import Secret
from pykexec.windows.bitlocker import Encrypted, Protector, Volume

_HEADER_SIZE = 12  # of a decrypted key: size, role, type, flags; method, flags
_MASTER_KEY_SIZE = 32
_DIGEST = hashlib.sha256


def opens(volume: Volume, protector: Protector, key: bytes | memoryview) -> bool:
    """Is key, 32 bytes, what protector's part of the metadata is encrypted with, and the master key
    in it the one that vouches for the volume's metadata?
    """
    if protector.key is None:
        return False
    with Secret(len(protector.key.text)) as plain:
        if len(plain) != _HEADER_SIZE + _MASTER_KEY_SIZE or not _open(protector.key, key, plain):
            return False
        return volume.integrity is None or _vouches(volume, plain.view[_HEADER_SIZE:])


def opens_by_password(volume: Volume, protector: Protector, password: memoryview) -> bool:
    """Is password the recovery password of protector? FormatError for what is none; takes a second
    or so.
    """
    if protector.salt is None:
        return False
    from pykexec.crypto import bitlocker_stretch

    with recovery_key(password, "recovery password") as short:
        digest = _DIGEST(short.view).digest()
    with bitlocker_stretch(digest, protector.salt) as key:
        return opens(volume, protector, key.view)


def _vouches(volume: Volume, master: memoryview) -> bool:
    assert volume.integrity
    with Secret(len(volume.integrity.text)) as plain:
        if not _open(volume.integrity, master, plain):
            return False
        return bytes(plain.view[_HEADER_SIZE:]) == _DIGEST(volume.block).digest()


def _open(sealed: Encrypted, key: bytes | memoryview, plain: Secret) -> bool:
    from pykexec.crypto import aes_ccm_open

    try:
        aes_ccm_open(key, sealed.nonce, sealed.text, sealed.tag, plain.view)
    except FormatError:
        return False
    return True
