# SPDX-License-Identifier: Apache-2.0
"""The EK of evidence: what is proven of it, and what was merely presented beside it.

Any certificate can be sent along with any EK. So the first question is whether the certificate is
one of this very key; until that is answered nothing that it says is looked at, and one of another
key is refused whoever the machine is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from datetime import datetime
from typing import final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pykexec.attest.protocol import Identity
from pykexec.verify.chain import BAD_CERTIFICATE, OTHER_KEY, ChainError, EkRoots
from pykexec.verify.keys import check_ek
from pykexec.verify.report import Report

_VERIFIER = object()


@dataclass(frozen=True, slots=True)
class Ek:
    """An EK and the certificate that is its; public is its TPMT_PUBLIC, certificate DER.

    certificate_info is what the certificate says (EkCertificate.to_json()), empty for one that no
    trusted authority vouches for.
    """

    public: bytes
    kind: str
    certificate: bytes | None = None
    certificate_info: Mapping[str, object] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """As Identity.fingerprint."""
        return hashlib.sha256(self.public).hexdigest()


@final
@dataclass(frozen=True, slots=True)
class VerifiedEk:
    """What enrolment may act on; judge_ek() alone makes one, of an EK with which all is well.

    vouched: a certificate that is this key's leads to a trusted authority.
    """

    ek: Ek
    vouched: bool
    verifier: InitVar[object] = None

    def __post_init__(self, verifier: object) -> None:
        if verifier is not _VERIFIER:
            raise TypeError("a verified EK is what judge_ek() makes")

    @property
    def names(self) -> tuple[str, ...]:
        """SHA-256 digests in hex by which a list may name this EK: of TPMT_PUBLIC, of its
        SubjectPublicKeyInfo and of a certificate of this key: what manufacturers hand out.
        """
        key, _ = check_ek(self.ek.public)
        assert key is not None
        info = key.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        named = (self.ek.public, info, self.ek.certificate)
        return tuple(hashlib.sha256(data).hexdigest() for data in named if data is not None)


def judge_ek(
    identity: Identity, roots: EkRoots, now: datetime, known: bool, report: Report
) -> tuple[VerifiedEk | None, dict[str, object]]:
    """The EK, None unless every check has passed that no list can replace, and claims["ek"].

    known: this very EK is enrolled, and needs no certificate.
    """
    key, faults = check_ek(identity.ek_public)
    report.extend(faults)
    claims: dict[str, object] = {"fingerprint": identity.fingerprint, "trusted": ""}
    if key is None:
        return None, claims
    claims["algorithm"] = key.kind
    # Its own certificate: unless the code says otherwise one of this key, trusted or not.
    own, code, info = bool(identity.ek_certificates), "", None
    if own:
        try:
            info = roots.verify(identity.ek_certificates, key.key, now).to_json()
        except ChainError as error:
            code, own = error.code, error.code not in (BAD_CERTIFICATE, OTHER_KEY)
            # One for another key is no accident; otherwise a known EK needs none.
            lenient = known and code != OTHER_KEY
            (report.note if lenient else report.refuse)(code, str(error))
    elif not known:
        report.refuse("ek.untrusted", "the EK has no certificate, and is not enrolled")
    if info is not None:
        claims["trusted"], claims["certificate"] = "certificate", info
    elif known:
        claims["trusted"] = "enrolled"
    if faults or code == OTHER_KEY:
        return None, claims
    certificate = identity.ek_certificates[0] if own else None
    ek = Ek(identity.ek_public, key.kind, certificate, info or {})
    return VerifiedEk(ek, info is not None, _VERIFIER), claims
