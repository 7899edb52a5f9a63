# SPDX-License-Identifier: Apache-2.0
"""What enrolment is told of a machine that asks to be known."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pykexec.attest.protocol import Identity
from pykexec.server.store.records import Candidate
from pykexec.verify.keys import check_ek

_CERTIFICATE = "certificate"


def candidate_of(identity: Identity, claims: Mapping[str, object]) -> Candidate:
    """The candidate that verified evidence, or all that is known of it, makes of a machine.

    A list may name an EK by SHA-256 of its SubjectPublicKeyInfo or of its certificate, too: that is
    what manufacturers hand out.
    """
    found = claims.get("ek")
    said = found if isinstance(found, dict) else {}
    info = said.get(_CERTIFICATE)
    certificate = next(iter(identity.ek_certificates), None)
    ek, _ = check_ek(identity.ek_public)
    hashes = [] if certificate is None else [certificate]
    if ek:
        hashes.append(ek.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return Candidate(
        fingerprint=identity.fingerprint,
        ek_public=identity.ek_public,
        ek_algorithm=str(said.get("algorithm", "")),
        certificate=certificate,
        certificate_info=info if isinstance(info, dict) else {},
        trusted=said.get("trusted") == _CERTIFICATE,
        hashes=tuple(hashlib.sha256(data).hexdigest() for data in hashes),
    )
