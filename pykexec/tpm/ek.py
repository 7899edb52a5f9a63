# SPDX-License-Identifier: Apache-2.0
"""The endorsement key: found or made as the TCG has it, with the manufacturer's certificate.

TCG EK Credential Profile for TPM Family 2.0, 2.5, 2.2.1.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass

from pykexec.errors import TpmError
from pykexec.tpm.capability import handles
from pykexec.tpm.command import Command, Password, execute
from pykexec.tpm.constants import CommandCode, Handle
from pykexec.tpm.entity import Entity
from pykexec.tpm.nv import read_certificate, read_issuers, read_nv
from pykexec.tpm.objects import Key, Made, create_primary, is_primary, read_public
from pykexec.tpm.public import EccKey, Public, RsaKey, parse_public
from pykexec.tpm.session import Session
from pykexec.tpm.templates import (
    EK_KINDS,
    EK_PROFILES,
    FIRST_INDEX,
    FIRST_ISSUER_INDEX,
    LAST_INDEX,
    POLICY_A,
    POLICY_B,
    POLICY_C,
    EkProfile,
    kind_of,
    same_but_unique,
    with_nonce,
)
from pykexec.tpm.transport import Transmit
from pykexec.tpm.wire import WireError, sized

log = logging.getLogger(__name__)

# Each costs a command; a TPM has one or two.
_PERSISTENT_MAX = 4
_NEVER_EXPIRES = bytes(4)


@dataclass(frozen=True, slots=True)
class Ek(Key):
    """certificates (DER): its own first, then its issuers'; none where the TPM has none for it."""

    kind: str
    certificates: tuple[bytes, ...]


def ek_indexes(transmit: Transmit) -> frozenset[int]:
    """NV indexes that exist of those which belong to EKs."""
    return frozenset(handles(transmit, FIRST_INDEX, LAST_INDEX))


def load_ek(transmit: Transmit, kind: str, indexes: Collection[int], made: Made) -> Ek:
    """The EK of a kind; a persistent one if that is the same key, for it is there at once.

    TpmError when the TPM cannot have it, or the manufacturer's template is none.
    """
    profile = _profile(kind, indexes)
    template = _template(transmit, profile, indexes)
    certificate = b""
    if profile.certificate in indexes:
        certificate = read_certificate(transmit, profile.certificate)
    key = _persistent(transmit, template, certificate)
    if key is None:
        key = create_primary(transmit, Handle.ENDORSEMENT, template, made)
    if certificate and not _certifies(certificate, key):
        log.warning("TPM: the certificate in %#x is not for the EK", profile.certificate)
        certificate = b""
    certificates: tuple[bytes, ...] = ()
    if certificate:
        issuers = [index for index in indexes if index >= FIRST_ISSUER_INDEX]
        certificates = (certificate, *read_issuers(transmit, issuers))
    return Ek(key.handle, key.public, key.name, kind, certificates)


def certified_kinds(indexes: Collection[int]) -> list[str]:
    """Kinds of EKs that the manufacturer has left certificates for, the preferred one first."""
    return [kind for kind in EK_KINDS if _profile(kind, indexes).certificate in indexes]


def authorize(transmit: Transmit, ek: Key, session: Session) -> None:
    """Satisfy the EK's policy in a policy session: who has the endorsement hierarchy may use it."""
    area = ek.area
    policy_a, policy_b = POLICY_A.get(area.name_alg), POLICY_B.get(area.name_alg)
    if area.policy not in (policy_a, policy_b):
        raise TpmError("TPM: the EK's policy is none of the TCG's")
    secret = Command(
        CommandCode.POLICY_SECRET,
        (Entity.of(Handle.ENDORSEMENT), session.entity),
        rest=sized(b"") * 3 + _NEVER_EXPIRES,
    )
    execute(transmit, secret, [Password()])
    if area.policy == policy_b:
        branches = (POLICY_A[area.name_alg], POLICY_C[area.name_alg])
        listed = len(branches).to_bytes(4, "big") + b"".join(map(sized, branches))
        either = Command(CommandCode.POLICY_OR, (session.entity,), rest=listed)
        execute(transmit, either).reader.end()


def _profile(kind: str, indexes: Collection[int]) -> EkProfile:
    profiles = [profile for profile in EK_PROFILES if profile.kind == kind]
    if not profiles:
        raise TpmError(f"EK {kind!r} is not one of {', '.join(EK_KINDS)}")
    certified = [profile for profile in profiles if profile.certificate in indexes]
    return (certified or profiles)[0]


def _template(transmit: Transmit, profile: EkProfile, indexes: Collection[int]) -> Public:
    """The manufacturer's own, or the TCG's, with the manufacturer's nonce if there is one."""
    template = profile.template
    if profile.template_index in indexes:
        template = parse_public(read_nv(transmit, profile.template_index))
        if kind_of(template) != profile.kind:
            raise WireError(f"EK template in {profile.template_index:#x}: not {profile.kind}")
    if profile.nonce is not None and profile.nonce in indexes:
        template = with_nonce(template, read_nv(transmit, profile.nonce))
    return template


def _persistent(transmit: Transmit, template: Public, certificate: bytes) -> Key | None:
    """A persistent key that the template and the endorsement seed have made.

    Who made it may have put something else into the unique field: then it is another key, which
    the certificate tells, or if there is none the verifier, who does not know it.
    """
    first, last = Handle.PERSISTENT_EK_FIRST, Handle.PERSISTENT_EK_LAST
    for handle in handles(transmit, first, last)[:_PERSISTENT_MAX]:
        try:
            key, qualified_name = read_public(transmit, handle)
        except WireError as error:
            log.debug("TPM: persistent key %#x: %s", handle, error)
            continue
        if (
            same_but_unique(key.area, template)
            and is_primary(key, qualified_name, Handle.ENDORSEMENT)
            and (not certificate or _certifies(certificate, key))
        ):
            return key
    return None


def _certifies(certificate: bytes, key: Key) -> bool:
    """Whether the key's modulus or point is in the certificate; who vouches for it is not asked."""
    material = key.area.key
    if isinstance(material, RsaKey):
        return bool(material.modulus) and material.modulus in certificate
    return isinstance(material, EccKey) and material.x + material.y in certificate
