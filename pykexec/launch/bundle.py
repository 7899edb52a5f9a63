# SPDX-License-Identifier: Apache-2.0
"""Writing a bundle: the same bytes for the same domains, files and key."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pykexec.errors import UsageError
from pykexec.image import files
from pykexec.launch.dom0.bundle import HEAD, File, aligned, encode_header, open_bundle, signed_part
from pykexec.launch.dom0.domains import Domain


def read_key(path: Path) -> Ed25519PrivateKey:
    """The key that signs bundles; UsageError unless the file holds one of Ed25519 in PEM."""
    try:
        key = load_pem_private_key(files.read(path), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UsageError(f"{path}: no private key in PEM, or one with a password") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{path}: not a key of Ed25519 (openssl genpkey -algorithm ed25519)")
    return key


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    """The public key as dom0 holds it."""
    return key.public_key().public_bytes_raw()


def write_bundle(
    key: Ed25519PrivateKey,
    name: str,
    version: int,
    domains: Sequence[Domain],
    contents: Mapping[str, bytes],
) -> bytes:
    """A bundle of contents, path to bytes, in which domains' files are; as dom0 will read it, or
    FormatError.
    """
    listed = [
        File(path, len(data), hashlib.sha256(data).hexdigest()) for path, data in contents.items()
    ]
    header = encode_header(name, version, domains, listed)
    message = signed_part(header)
    out = bytearray(message[-HEAD.size - len(header) : -len(header)] + key.sign(message) + header)
    for data in contents.values():
        out += bytes(aligned(len(out)) - len(out)) + data
    found = bytes(out)
    open_bundle(lambda offset, size: found[offset : offset + size], public_bytes(key))
    return found
